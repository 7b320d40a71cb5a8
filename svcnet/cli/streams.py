"""The three standard streams, whatever whoever started the process made of them.

Each may be closed, full, a pipe that nobody reads, a folder, or one whose reads and writes do not
wait because another process had it so.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING

from svcnet.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@contextmanager
def standard_streams() -> Iterator[None]:
    """Have standard output raise OutputError where it fails, and standard error not fail at all.

    What cannot be told is lost, and nothing more: an exit code says the rest. Streams that
    somebody put in the place of the process's own stay.
    """
    _open_closed()
    output, error = sys.stdout, sys.stderr
    if output is sys.__stdout__:
        output = _text(_Output(1, "w", closefd=False), "strict")
    if error is sys.__stderr__:
        error = _text(_Error(2, "w", closefd=False), "backslashreplace")
    with redirect_stdout(output), redirect_stderr(error):
        try:
            yield
        finally:
            with suppress(OutputError):
                output.flush()


def _open_closed() -> None:
    """Put something in the place of a closed stream, so that no file takes its number.

    It is opened the wrong way round: what uses it fails, as with a closed one.
    """
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one.
            os.set_inheritable(os.open(os.devnull, flags), True)


def _text(raw: io.FileIO, errors: str) -> io.TextIOWrapper:
    is_watched = raw.isatty() or isinstance(raw, _Error)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors=errors, line_buffering=is_watched
    )


class _Waiting(io.FileIO):
    """Waits until there is room to write."""

    def write(self, data: ReadableBuffer, /) -> int:
        while (size := super().write(data)) is None:
            select.select((), (self,), ())
        return size


class _Output(_Waiting):
    """Raises OutputError at the first write that fails, and takes what comes after it for nothing.

    So what still waits in a buffer does not fail once more at the end of the process.
    """

    _is_broken = False

    def write(self, data: ReadableBuffer, /) -> int:
        if self._is_broken:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self._is_broken = True
            reason = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise OutputError(f"standard output cannot be written: {reason}", error) from None


class _Error(_Waiting):
    """Loses what cannot be written."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes
