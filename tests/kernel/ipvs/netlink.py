"""What kernel tests of IPVS share: a network namespace, a socket to IPVS, an ear on others'."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

from svcnet.netfilter.ipvs.messages import Acknowledgement, DumpEnd, Message, Reply
from svcnet.netfilter.ipvs.wire import decode, encode, encode_family_request, parse_family
from tests.network import CLONE_NEWNET, new_network

NETLINK_GENERIC = 16
ETH_P_ALL = 3
SOL_SOCKET_BUFFER = 1 << 22


@contextmanager
def own_namespace() -> Iterator[None]:
    """Put this thread, and what it starts, into a network namespace of its own for a while."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        new_network()
        yield
    finally:
        if libc.setns(before, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(before)


def run(*command: str, stdin: str = "", check: bool = True) -> str:
    """Run a command and return what it prints; AssertionError with its complaint if it fails.

    Unless not to be checked: then it may fail.
    """
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, errors="surrogateescape", check=False
    )
    assert done.returncode == 0 or not check, f"{' '.join(command)}: {done.stderr}{done.stdout}"
    return done.stdout


@define
class Kernel:
    """A generic netlink socket to the IPVS of this namespace."""

    socket: socket.socket
    family: int
    sequence: int = 1

    @classmethod
    def open(cls) -> Kernel:
        """Open a socket and ask for IPVS's family id."""
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        opened.settimeout(10)
        opened.bind((0, 0))
        opened.send(encode_family_request(1))
        return cls(opened, parse_family([opened.recv(65536)]))

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, message: Message) -> list[Reply]:
        """Send a message and return what is answered, without the end of it; OSError if refused."""
        self.sequence += 1
        self.socket.send(encode(message, self.family, self.sequence))
        found: list[Reply] = []
        while True:
            for reply in decode(self.socket.recv(65536)):
                if not isinstance(reply, Acknowledgement | DumpEnd):
                    found.append(reply)
                    continue
                assert reply.sequence == self.sequence
                if reply.errno:
                    raise OSError(reply.errno, os.strerror(reply.errno))
                return found

    def refusal(self, message: Message) -> int:
        """Return the errno with which the kernel refuses a message; 0 if it does not."""
        try:
            self.ask(message)
        except OSError as error:
            return error.errno or errno.EIO
        return 0


@define
class Ear:
    """An nlmon device: it hears every netlink message of this namespace."""

    socket: socket.socket
    family: int = field()

    @classmethod
    def open(cls, family: int) -> Ear:
        """Begin to hear; `family` is IPVS's id."""
        run("ip", "link", "add", "nlmon0", "type", "nlmon")
        run("ip", "link", "set", "nlmon0", "up")
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOL_SOCKET_BUFFER)
        opened.bind(("nlmon0", 0))
        opened.setblocking(False)
        return cls(opened, family)

    def __enter__(self) -> Ear:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def heard(self) -> list[bytes]:
        """Return the requests to IPVS that were sent since the last call, in order."""
        found: list[bytes] = []
        while True:
            try:
                datagram = self.socket.recv(65536)
            except BlockingIOError:
                return found
            kind = int.from_bytes(datagram[4:6], "little")
            is_request = datagram[6] & 1
            if kind == self.family and is_request:
                found.append(datagram)


def read_sysctl(path: str) -> int:
    """Return a kernel setting of this namespace."""
    return int(Path("/proc/sys", path).read_text())
