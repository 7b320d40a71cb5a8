"""Where bytes are between two sockets: in a pipe, and so never in Python.

A direction of a connection holds a pipe only while bytes wait in it; ten thousand idle
connections hold none.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from errno import EINVAL, ENOSYS, EPERM

# linux/splice.h; the standard library has the call, but not the names of its flags before 3.12.
SPLICE_F_MOVE = 1
SPLICE_F_NONBLOCK = 2
_FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK
F_SETPIPE_SZ = 1031

_REFUSALS = frozenset({EINVAL, ENOSYS, EPERM})

AT_ONCE = 1 << 20
"""The most that one connection moves before others have their turn, in bytes."""

PIPE_SIZE = 1 << 20
"""The largest pipe that needs no privilege (pipe(7), pipe-max-size).

Of the sizes from 64 KiB on it took the least CPU time for a GB. A pipe has a slot for each
page of its size, and a slot holds a fragment of what a socket received: up to 32 KiB, but
often less. What a slow receiver leaves is bounded by AT_ONCE with any size.
"""

SPARE_PIPES = 16
"""A user has 64 pipes of this size (pipe-user-pages-soft) for all processes: most stay free."""

BUFFER_SIZE = 64 << 10


class CannotSplice(Exception):  # noqa: N818  (not an error: the other way is taken)
    """The kernel does not move bytes between this kind of socket and a pipe."""


class Pipe:
    """A pipe that is filled from one socket and drained into another; it holds ``size`` bytes."""

    __slots__ = ("_read_end", "_write_end", "size")

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.size = 0
        with suppress(OSError):  # beyond the user's share of pipes, the default must do
            fcntl.fcntl(self._write_end, F_SETPIPE_SZ, PIPE_SIZE)

    def fill(self, fd: int) -> int:
        """Take what the socket `fd` has, into an empty pipe; return the bytes, 0 at its end.

        Raises BlockingIOError when there is nothing, and CannotSplice.
        """
        try:
            self.size = os.splice(fd, self._write_end, AT_ONCE, flags=_FLAGS)
        except OSError as error:
            if error.errno in _REFUSALS:
                raise CannotSplice from None
            raise
        return self.size

    def drain(self, fd: int) -> int:
        """Give what it holds to the socket `fd`; return how many bytes it took.

        Raises BlockingIOError when it takes nothing.
        """
        given = os.splice(self._read_end, fd, self.size, flags=_FLAGS)
        self.size -= given
        return given

    def close(self) -> None:
        os.close(self._read_end)
        os.close(self._write_end)


class Buffer:
    """What a :class:`Pipe` does, by copying; it needs no descriptor and no splice."""

    __slots__ = ("_bytes",)

    def __init__(self, held: bytes = b"") -> None:
        self._bytes = memoryview(held)

    @property
    def size(self) -> int:
        return len(self._bytes)

    def fill(self, fd: int) -> int:
        self._bytes = memoryview(os.read(fd, BUFFER_SIZE))
        return len(self._bytes)

    def drain(self, fd: int) -> int:
        given = os.write(fd, self._bytes)
        self._bytes = self._bytes[given:]
        return given

    def close(self) -> None:
        """There is nothing to close."""


class Carriers:
    """Pipes to borrow, at most ``most`` at a time.

    There is a buffer where there are too many, where the kernel cannot splice and where it has
    no descriptor left.
    """

    def __init__(self, most: int = 0) -> None:
        self.can_splice = True
        self.most = most
        self._open = 0
        self._spare: list[Pipe] = []

    def take(self) -> Pipe | Buffer:
        if not self.can_splice:
            return Buffer()
        if self._spare:
            return self._spare.pop()
        if self._open >= self.most:
            return Buffer()
        try:
            pipe = Pipe()
        except OSError:
            return Buffer()
        self._open += 1
        return pipe

    def give(self, carrier: Pipe | Buffer) -> None:
        """Take a carrier back; one that still holds bytes is of no use any more."""
        if isinstance(carrier, Buffer):
            carrier.close()
        elif carrier.size or len(self._spare) >= min(SPARE_PIPES, self.most):
            self._open -= 1
            carrier.close()
        else:
            self._spare.append(carrier)

    def close(self) -> None:
        """Give up the pipes that nobody has borrowed."""
        while self._spare:
            self._open -= 1
            self._spare.pop().close()
