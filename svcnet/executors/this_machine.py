"""The machine that svcnet runs on, in the network namespace of the thread that asks."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from struct import Struct
from types import MappingProxyType
from typing import Final, TypeVar

from svcnet.executors import children, lock, namespace
from svcnet.executors.children import Output
from svcnet.executors.machine import Machine, Netlink
from svcnet.family import IPFamily

__all__ = ["THIS_MACHINE", "ThisMachine"]

_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Searched as well, because the PATH of ordinary users often lacks those of root's tools."""

_SOL_NETLINK = 270  # linux/socket.h
_SO_SNDBUFFORCE = 32  # asm-generic/socket.h
_SO_RCVBUFFORCE = 33
_DATAGRAM = 1 << 18
_PATIENCE = Struct("@ll").pack(10, 0)
"""Seconds and microseconds of a struct timeval: the kernel answers at once, or not at all."""
_FAMILIES = MappingProxyType(
    {
        "IPv4": (socket.AF_INET, socket.IPPROTO_IP),
        "IPv6": (socket.AF_INET6, socket.IPPROTO_IPV6),
    }
)

_Value = TypeVar("_Value")


class ThisMachine(Machine):
    """The machine of this process. It holds nothing: all values are the same one."""

    def find(self, command: str) -> str | None:
        """Return the path of a command, from PATH or a system folder.

        Folders of PATH that are not absolute are passed over: a file of the working directory is
        no tool.
        """
        folders = filter(os.path.isabs, os.environ.get("PATH", "").split(os.pathsep))
        return shutil.which(command, path=os.pathsep.join([*folders, *_SYSTEM_FOLDERS]))

    def run(
        self, path: str, *options: str, stdin: str | bytes = b"", seconds: float | None = None
    ) -> Output:
        """Run a program; see ``svcnet.executors.children``."""
        return children.run_child(path, *options, stdin=stdin, seconds=seconds)

    def netlink(self, protocol: int) -> Netlink:
        """Open a socket of netlink, bound to an address of the kernel's choice."""
        return _Socket(protocol)

    def socket_option(self, family: IPFamily, option: int, value: bytearray) -> None:
        """Do what ``socket.getsockopt`` does, which passes nothing in and takes 1024 bytes.

        Any kind of socket will do, and one for datagrams needs no right of its own.
        """
        domain, level = _FAMILIES[family]
        library = ctypes.CDLL(None, use_errno=True)
        length = ctypes.c_uint(len(value))
        array = (ctypes.c_char * len(value)).from_buffer(value)
        with socket.socket(domain, socket.SOCK_DGRAM) as opened:
            asked = opened.fileno(), level, option, array, ctypes.byref(length)
            if library.getsockopt(*asked):
                errno = ctypes.get_errno()
                raise OSError(errno, os.strerror(errno))

    def read(self, path: Path) -> str:
        """Return the text of a file."""
        return path.read_text("utf-8", "surrogateescape")

    def write(self, path: Path, text: str) -> None:
        """Write a file."""
        path.write_text(text, "utf-8")

    def names(self, folder: Path) -> tuple[str, ...]:
        """Return the names in a folder."""
        return tuple(each.name for each in folder.iterdir())

    def lock(
        self, family: IPFamily, *, wait: bool = False, keeps: bool = False
    ) -> AbstractContextManager[None]:
        """Take the lock; see :func:`svcnet.executors.lock.lock`."""
        return lock.lock(family, wait=wait, keeps=keeps)

    def is_free(self, family: IPFamily) -> bool:
        """Return whether nobody has the lock; see :func:`svcnet.executors.lock.is_free`."""
        return lock.is_free(family)

    def in_own_namespace(self, work: Callable[[], _Value]) -> _Value:
        """Do `work` in a thread that has moved to a new network namespace."""
        return namespace.in_own_namespace(work)


THIS_MACHINE: Final = ThisMachine()
"""What executors are given unless they are given another."""


class _Socket(Netlink):
    """Python's own socket: pyroute2 takes several times as long for much that is listed."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        try:
            # Python's own timeout would have a look at what is pending wait as well.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
            self._socket.bind((0, 0))
        except OSError:
            self._socket.close()
            raise

    def enable(self, option: int, value: int = 1) -> None:
        self._socket.setsockopt(_SOL_NETLINK, option, value)

    def hold(self, size: int) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)

    def allow(self, size: int) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, size)

    def send(self, data: bytes) -> None:
        self._socket.send(data)

    def receive(self) -> bytes:
        return self._socket.recv(_DATAGRAM)

    def pending(self) -> Iterator[bytes]:
        while True:
            try:
                yield self._socket.recv(_DATAGRAM, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return

    def close(self) -> None:
        self._socket.close()
