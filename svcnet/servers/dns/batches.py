"""Many datagrams in one system call, and their answers in another (recvmmsg(2), sendmmsg(2)).

Python's sockets have no such calls. Here the kernel writes datagrams, and who sent each, into
memory that is made once; an answer takes the place of its question, and goes to the address that
is there already. So nobody's address becomes an object of Python, but for who has to wait.
"""

from __future__ import annotations

import ctypes
import mmap
import socket
from array import array
from collections.abc import Sequence
from itertools import groupby
from struct import Struct
from typing import Any, Literal, TypeAlias

from svcnet.servers.sockets import (
    CONTROL_SPACE,
    DESTINATION_BYTES,
    Ancillary,
    answer_source,
)

Sender: TypeAlias = tuple[Ancillary, Any]
"""Where an answer comes from and who it is for, as ``sendmsg`` takes them."""

PLACE_BYTES = 8192
"""What each datagram has room for, and its answer; a longer one is cut."""

_NAME_BYTES = 128
"""Room for an address of any family: struct sockaddr_storage."""

_CONTROL_START = socket.CMSG_LEN(0)
_ARGUMENTS = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)

# struct sockaddr_in, and sockaddr_in6 (netinet/in.h), whose scope is in the machine's own order.
_IPV4_NAME = Struct("!2xH4s")
_IPV6_NAME = Struct("!2xHI16s")
_SCOPE = Struct("=I")


class _Vector(ctypes.Structure):
    """Where the bytes of a datagram are: struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """The bytes of a datagram with its addresses: struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Header(ctypes.Structure):
    """One of several: struct mmsghdr."""

    _fields_ = (("message", _Message), ("length", ctypes.c_uint))


class Batch:
    """Room for so many datagrams of sockets that do not block, all of one `family`.

    `is_told` is whether the kernel tells which address each datagram was sent to
    (:func:`~svcnet.servers.sockets.ask_for_destinations`): its answer comes from there.
    """

    def __init__(self, family: socket.AddressFamily, count: int, *, is_told: bool) -> None:
        self._family = family
        self._count = count
        self._is_told = is_told
        # These calls never wait, so they need not let other threads run.
        libc = ctypes.PyDLL(None)
        self._recvmmsg, self._sendmmsg = libc.recvmmsg, libc.sendmmsg
        self._recvmmsg.argtypes = (*_ARGUMENTS, ctypes.c_void_p)
        self._sendmmsg.argtypes = _ARGUMENTS
        self._data = mmap.mmap(-1, count * PLACE_BYTES)
        self._names = mmap.mmap(-1, count * _NAME_BYTES)
        self._controls = mmap.mmap(-1, count * CONTROL_SPACE)
        self._vectors = (_Vector * count)()
        self._headers = (_Header * count)()
        self._fill()
        self._start = ctypes.addressof(self._headers)
        self._places = range(0, count * PLACE_BYTES, PLACE_BYTES)
        self._received = _column(self._headers, _Header.length.offset, "I")
        self._lengths = _column(self._vectors, _Vector.length.offset, "L")
        control_length = _Header.message.offset + _Message.control_length.offset
        self._control_lengths = _column(self._headers, control_length, "L")
        self._room = array("L", [PLACE_BYTES] * count)
        self._control_room = array("L", [CONTROL_SPACE if is_told else 0] * count)

    def receive(self, fd: int) -> list[bytes]:
        """Return the datagrams that wait at the socket `fd`, none if the kernel tells an error."""
        self._lengths[:] = self._room
        self._control_lengths[:] = self._control_room
        count = self._recvmmsg(fd, self._start, self._count, 0, None)
        if count <= 0:
            return []
        data, sizes = self._data, self._received[:count].tolist()
        if self._is_told:
            for number in range(count):
                self._forget_interface(number)
        return [data[at : at + size] for at, size in zip(self._places, sizes, strict=False)]

    def sender(self, number: int) -> Sender:
        """Return where the answer to a datagram comes from, and who it is for."""
        source = answer_source(self._destination(number)) if self._is_told else []
        name = self._names[number * _NAME_BYTES : (number + 1) * _NAME_BYTES]
        if self._family == socket.AF_INET:
            port, packed = _IPV4_NAME.unpack_from(name)
            return source, (socket.inet_ntop(self._family, packed), port)
        port, flow, packed = _IPV6_NAME.unpack_from(name)
        (scope,) = _SCOPE.unpack_from(name, _IPV6_NAME.size)
        return source, (socket.inet_ntop(self._family, packed), port, flow, scope)

    def send(self, fd: int, answers: Sequence[bytes | None]) -> None:
        """Send the answer to each datagram that was received, in their order, if it has one."""
        data = self._data
        for at, answer in zip(self._places, answers, strict=False):
            if answer:
                data[at : at + len(answer)] = answer
        self._lengths[: len(answers)] = array("L", [len(answer or b"") for answer in answers])
        first = 0
        for has_one, same in groupby(answers, bool):
            count = len(list(same))
            if has_one:
                self._send(fd, first, count)
            first += count

    def _send(self, fd: int, first: int, count: int) -> None:
        while count > 0:
            start = self._start + first * ctypes.sizeof(_Header)
            # A client that is gone, or a full buffer, loses its answer: it will ask again.
            done = max(self._sendmmsg(fd, start, count, 0), 1)
            first, count = first + done, count - done

    def _fill(self) -> None:
        """Tell the kernel where everything is."""
        for number, (vector, header) in enumerate(zip(self._vectors, self._headers, strict=True)):
            vector.base = _address(self._data) + number * PLACE_BYTES
            message = header.message
            message.name = _address(self._names) + number * _NAME_BYTES
            message.name_length = _NAME_BYTES
            message.vectors = ctypes.addressof(vector)
            message.vector_count = 1
            if self._is_told:
                message.control = _address(self._controls) + number * CONTROL_SPACE

    def _destination(self, number: int) -> bytes:
        """Return what the kernel has told of a datagram's destination."""
        start = number * CONTROL_SPACE + _CONTROL_START
        return self._controls[start : start + DESTINATION_BYTES[self._family]]

    def _forget_interface(self, number: int) -> None:
        """Have the answer to a datagram come from its destination, by whatever interface."""
        start = number * CONTROL_SPACE + _CONTROL_START
        for _, _, source in answer_source(self._destination(number)):
            self._controls[start : start + len(source)] = source


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _column(rows: Any, offset: int, form: Literal["I", "L"]) -> memoryview:
    """Return one member of all structures in an array, as numbers that can be set."""
    row, numbers = ctypes.sizeof(rows) // len(rows), memoryview(rows).cast("B").cast(form)
    found: memoryview = numbers[offset // numbers.itemsize :: row // numbers.itemsize]
    return found
