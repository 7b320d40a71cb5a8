"""Files that a person names: read without trust in what is there, written whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import pathlib
import select
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO, TypeAlias

KIB = 1024
PIECE = 1024 * KIB
"""So much is read at a time of what has no known size."""

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
        there = os.fstat(descriptor)
        mode = there.st_mode
        is_pipe = stat.S_ISFIFO(mode) and _has_no_name(descriptor)
        if not (is_pipe or stat.S_ISREG(mode) or (devices and stat.S_ISCHR(mode))):
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise OSError(errno.EINVAL, f"it is {kind}", str(path))
        os.set_blocking(descriptor, True)
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            data = read_most(file, size, max(there.st_size + 1, PIECE))
    finally:
        os.close(descriptor)
    if is_pipe and not data:
        raise OSError(errno.ENODATA, "nothing comes through the pipe", str(path))
    return data


def read_most(file: BinaryIO | io.RawIOBase, size: int, at_once: int = PIECE) -> bytes:
    """Return at most the first `size` bytes of what is open, read `at_once` at a time.

    So for a small file no memory is asked for as if it were a large one. Raises OSError.
    """
    # Unlike joined pieces this is never there twice.
    found = io.BytesIO(file.read(min(size, at_once)))
    left = size - found.seek(0, io.SEEK_END)
    while left > 0 and (piece := file.read(min(left, at_once))):
        left -= found.write(piece)
    return found.getvalue()


def _has_no_name(descriptor: int) -> bool:
    """Return whether a pipe is one of `pipe(2)`: of a FIFO nobody knows if somebody will write."""
    link = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115  (what it names is no path)
    return link.startswith("pipe:")


def _size(limit: int) -> str:
    for unit, name in ((KIB * KIB, "MiB"), (KIB, "KiB")):
        if limit >= unit and limit % unit == 0:
            return f"{limit // unit} {name}"
    return f"{limit} bytes"


MOST_LINKS = 40
"""So many symbolic links are followed, as the kernel does."""


def write_whole(path: pathlib.Path, text: str) -> None:
    """Write a file that has all of `text` then, or else what it had before.

    The text is written beside it and takes its place, with its mode, owner and attributes; of a
    symbolic link the file that it leads to. What cannot be replaced by its like is written as it
    is: a device, a FIFO, what a descriptor has (``/dev/stdout``), a file with several names, of
    somebody else, or in a folder that takes no new file. Raises OSError.
    """
    data = text.encode()
    number = _descriptor(path)
    if number is not None:
        write_all(number, data)
        return
    target = pathlib.Path(os.path.realpath(path))
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        _replace(target, data, None)
        return
    try:
        if not _is_replaced(target, data, os.fstat(descriptor)):
            with suppress(OSError):  # a device and a FIFO have no end
                os.ftruncate(descriptor, 0)
            write_all(descriptor, data)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, and wait where that takes time. Raises OSError."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # another process had it so: the file is not ours alone
            select.select((), (descriptor,), ())


def _descriptor(path: pathlib.Path) -> int | None:
    """Return the number of this process's descriptor that a path names, None for other paths."""
    for _ in range(MOST_LINKS):
        parent = os.path.realpath(path.parent)
        if parent == f"/proc/{os.getpid()}/fd" and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    return None


def _is_replaced(target: pathlib.Path, data: bytes, before: os.stat_result) -> bool:
    """Replace a file if that can be by its like, else change nothing; return which."""
    if not stat.S_ISREG(before.st_mode) or before.st_nlink > 1:
        return False
    try:
        _replace(target, data, before)
    except OSError as error:
        # A folder that takes no file, an owner that cannot be given, a file that is a mount.
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY):
            return False
        raise
    return True


def _replace(target: pathlib.Path, data: bytes, before: os.stat_result | None) -> None:
    """Put a file in the place of another, which was like `before`, or of none."""
    import shutil

    beside = target.with_name(f".svcnet-{os.urandom(8).hex()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        if before is not None:
            made = os.fstat(descriptor)
            if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
                os.fchown(descriptor, before.st_uid, before.st_gid)
            shutil.copystat(target, beside)
        write_all(descriptor, data)
        os.fsync(descriptor)
        beside.replace(target)
    except BaseException:
        beside.unlink()
        raise
    finally:
        os.close(descriptor)
