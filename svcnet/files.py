"""Reading files that a person names, without trust in what is there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from typing import TypeAlias

KIB = 1024

Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Paths: TypeAlias = Path | Iterable[Path]
"""What a caller may give who names files: one, or many."""


def names_of(paths: Paths) -> tuple[str, ...]:
    """Return the names of one path or of many. A text is one path, and not its letters."""
    if isinstance(paths, (str, bytes, os.PathLike)):
        return (os.fsdecode(paths),)
    return tuple(map(os.fsdecode, paths))


def read_small(path: str | os.PathLike[str], limit: int) -> bytes:
    """Return the whole of a regular file that has at most `limit` bytes, or of a shell's pipe.

    It does not read for ever: a FIFO, a device and a socket are refused, and so is what is
    larger. It waits for nothing but the writer of a pipe, which a shell makes of ``<(command)``.
    Raises OSError, whose ``strerror`` has the reason, also for a path that can be none, and for
    a pipe that nothing comes through: its command failed, or it was read before.
    """
    data = read_beginning(path, limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {_size(limit)}", str(path))
    return data


def read_text(path: str | os.PathLike[str], limit: int) -> str:
    """Return the text in a small file, as :func:`read_small` its bytes; it must be UTF-8."""
    try:
        return read_small(path, limit).decode()
    except UnicodeDecodeError:
        raise OSError(errno.EILSEQ, "it is not text", str(path)) from None


def read_beginning(path: str | os.PathLike[str], size: int, *, devices: bool = False) -> bytes:
    """Return at most the first `size` bytes of a regular file, or of a shell's pipe.

    With `devices` it may be a character device too, such as ``/dev/stdin`` on a terminal and
    ``/dev/null``. Raises OSError, as :func:`read_small` does.
    """
    try:
        # Without O_NONBLOCK to open a FIFO is to wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    try:
        mode = os.fstat(descriptor).st_mode
        is_pipe = stat.S_ISFIFO(mode) and _has_no_name(descriptor)
        if not (is_pipe or stat.S_ISREG(mode) or (devices and stat.S_ISCHR(mode))):
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise OSError(errno.EINVAL, f"it is {kind}", str(path))
        os.set_blocking(descriptor, True)
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(size)
    finally:
        os.close(descriptor)
    if is_pipe and not data:
        raise OSError(errno.ENODATA, "nothing comes through the pipe", str(path))
    return data


def _has_no_name(descriptor: int) -> bool:
    """Return whether a pipe is one of `pipe(2)`: of a FIFO nobody knows if somebody will write."""
    link = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115  (what it names is no path)
    return link.startswith("pipe:")


def _size(limit: int) -> str:
    for unit, name in ((KIB * KIB, "MiB"), (KIB, "KiB")):
        if limit >= unit and limit % unit == 0:
            return f"{limit // unit} {name}"
    return f"{limit} bytes"
