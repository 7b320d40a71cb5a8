"""Standard output and error of a command that goes on: whoever reads them cannot hold it up.

A pipe that is full, or a terminal that stands still, makes a write wait for as long as it likes:
what writes from an event loop serves nobody then, and does not hear that it shall end.
"""

from __future__ import annotations

import io
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TextIO

from svcnet.files import write_all
from svcnet.words import count_noun

PENDING = 1 << 20
"""So many characters wait for a reader; what comes while they do is lost, and counted."""

END_SECONDS = 0.5
"""How long a reader has, at the end, to take what still waits."""


@contextmanager
def outlets() -> Iterator[None]:
    """Have all that is printed go through outlets, to where it went before.

    Until it is heard some other way, SIGINT ends the process at once, as SIGTERM does: what
    Python would print instead may wait too.
    """
    outlets: list[Outlet] = []
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGINT, signal.SIG_DFL)
            stack.callback(signal.signal, signal.SIGINT, before)
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            if stream is not None and has_file(stream):
                outlets.append(Outlet(stream))
                stack.enter_context(redirect(outlets[-1]))
        try:
            yield
        finally:
            until = time.monotonic() + END_SECONDS
            for outlet in outlets:
                outlet.drain(until)


def has_file(stream: TextIO) -> bool:
    """Return whether what is written to `stream` goes to a file of the system."""
    try:
        stream.fileno()
    except (OSError, ValueError):
        return False
    return True


class Outlet(io.TextIOBase):
    """Text that a thread of its own writes to the file of `stream`; writing to it never waits.

    ``gap`` makes the line that stands where some were lost, of their number. A file that takes
    nothing any more, like the pipe of a reader who has gone, is left alone.
    """

    def __init__(self, stream: TextIO) -> None:
        stream.flush()
        self._file = stream.fileno()
        self._is_terminal = stream.isatty()
        self._encoding = stream.encoding
        self._changed = threading.Condition()
        self._pending: list[str] = []
        self._size = 0
        self._lost = 0
        self._is_writing = False
        self._thread: threading.Thread | None = None
        self.gap: Callable[[int], str] = _gap

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    def fileno(self) -> int:
        return self._file

    def isatty(self) -> bool:
        return self._is_terminal

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"text is str, not {type(text).__name__}")
        with self._changed:
            if self._size >= PENDING:
                self._lost += 1
                return len(text)
            self._pending.append(text)
            self._size += len(text)
            if self._thread is None:
                # Not before: a process with threads cannot begin others safely.
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return len(text)

    def drain(self, until: float) -> None:
        """Wait until all is written, or until a time of the monotonic clock."""
        left = max(until - time.monotonic(), 0)
        with self._changed:
            self._changed.wait_for(lambda: not (self._pending or self._is_writing), left)

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                write_all(self._file, self._take())
        while True:  # nobody reads any more, and that is nothing to end for
            self._take()

    def _take(self) -> bytes:
        """Return what waits, as soon as something does."""
        with self._changed:
            self._is_writing = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._pending)
            if self._lost:
                self._pending.append(self.gap(self._lost))
            text = "".join(self._pending)
            self._pending.clear()
            self._size = self._lost = 0
            self._is_writing = True
        return text.encode(self._encoding, self.errors)


def _gap(lost: int) -> str:
    lines = count_noun(lost, "line is", "lines are")
    return f"here {lines} missing: nobody read them\n"
