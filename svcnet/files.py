"""Reading files that a person names, without trust in what is there."""

from __future__ import annotations

import errno
import os
import stat

KIB = 1024


def read_small(path: str | os.PathLike[str], limit: int) -> bytes:
    """Return the whole of a regular file that has at most `limit` bytes.

    It neither waits nor reads for ever: a FIFO, a device and a socket are refused, and so is
    what is larger. Raises OSError, whose ``strerror`` has the reason, also for a path that
    can be none.
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
    """Return at most the first `size` bytes of a regular file.

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
        if not (stat.S_ISREG(mode) or (devices and stat.S_ISCHR(mode))):
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise OSError(errno.EINVAL, f"it is {kind}", str(path))
        os.set_blocking(descriptor, True)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(size)
    finally:
        os.close(descriptor)


def _size(limit: int) -> str:
    for unit, name in ((KIB * KIB, "MiB"), (KIB, "KiB")):
        if limit >= unit and limit % unit == 0:
            return f"{limit // unit} {name}"
    return f"{limit} bytes"
