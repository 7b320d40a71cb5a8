"""Sockets for UDP that share out what comes by its source, in the kernel.

What comes faster than it is read fills a socket's buffer, and then everybody's questions are
lost. So an address has several sockets, each with a buffer, and a source, an IPv4 address or 64
bits of an IPv6 address, always comes to the same one: whoever floods one leaves the others alone.
Which one that is, is different in each process (socket(7): SO_ATTACH_REUSEPORT_CBPF).
"""

from __future__ import annotations

import ctypes
import secrets
import socket
import struct
from collections.abc import Iterator

from svcnet.servers.sockets import unbound

SOCKETS = 16
"""How many sockets an address has."""

BUFFER_BYTES = 1 << 20
"""How much each keeps before it is read, as far as the kernel allows (rmem_max)."""

ATTACH_REUSEPORT_CBPF = 51
"""Linux's number of the option; Python has no name for it."""

# Classic BPF, linux/filter.h and linux/bpf_common.h.
_LOAD_WORD, _TO_X, _XOR_X = 0x20, 0x07, 0xAC
_XOR, _MULTIPLY, _SHIFT_RIGHT, _MODULO = 0xA4, 0x24, 0x74, 0x94
_RETURN = 0x16
_NETWORK_HEADER = 0xFFF00000
_IPV4_SOURCE = 12
_IPV6_SOURCE = 8
_INSTRUCTION = struct.Struct("=HBBI")


def group(family: socket.AddressFamily) -> list[socket.socket]:
    """Return sockets that do not block; :func:`bind` gives them their address."""
    made: list[socket.socket] = []
    try:
        for _ in range(SOCKETS):
            made.append(one := unbound(family, socket.SOCK_DGRAM))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    except BaseException:
        for one in made:
            one.close()
        raise
    return made


def bind(sockets: list[socket.socket], where: tuple[str, int]) -> None:
    """Bind sockets of one group. Raises OSError, also where another process has the address."""
    family = socket.AddressFamily(sockets[0].family)
    with unbound(family, socket.SOCK_DGRAM) as alone:
        # A process of the same user with such a group would else get part of the questions.
        alone.bind(where)
    for one in sockets:
        one.bind(where)
    program = b"".join(_INSTRUCTION.pack(code, 0, 0, k) for code, k in _program(family))
    kept = ctypes.create_string_buffer(program)
    count = len(program) // _INSTRUCTION.size
    # struct sock_fprog, with a pointer to the instructions.
    option = struct.pack("@HP", count, ctypes.addressof(kept))
    sockets[0].setsockopt(socket.SOL_SOCKET, ATTACH_REUSEPORT_CBPF, option)


def _program(family: int) -> Iterator[tuple[int, int]]:
    """Yield instructions that return the number of a socket by a datagram's source."""
    if family == socket.AF_INET:
        yield _LOAD_WORD, _NETWORK_HEADER + _IPV4_SOURCE
    else:
        yield _LOAD_WORD, _NETWORK_HEADER + _IPV6_SOURCE
        yield _MULTIPLY, _odd()
        yield _TO_X, 0
        yield _LOAD_WORD, _NETWORK_HEADER + _IPV6_SOURCE + 4
        yield _XOR_X, 0
    yield _XOR, secrets.randbits(32)
    yield _MULTIPLY, _odd()
    yield _SHIFT_RIGHT, 16
    yield _MODULO, SOCKETS
    yield _RETURN, 0


def _odd() -> int:
    return secrets.randbits(32) | 1
