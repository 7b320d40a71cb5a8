"""What all sockets have in common at which svcnet answers."""

from __future__ import annotations

import socket
from struct import Struct
from typing import TypeAlias

# Linux's number (linux/in.h); Python 3.11 has no name for it.
IP_PKTINFO = 8
_IN_PKTINFO = Struct("=I4s4s")
_IN6_PKTINFO = Struct("=16sI")
CONTROL_SPACE = socket.CMSG_SPACE(_IN6_PKTINFO.size)
"""Room for what :func:`ask_for_destinations` has the kernel tell of a datagram."""

DESTINATION_BYTES = {socket.AF_INET: _IN_PKTINFO.size, socket.AF_INET6: _IN6_PKTINFO.size}
"""How much that is, by family."""

Ancillary: TypeAlias = list[tuple[int, int, bytes]]
"""What goes with a datagram, as ``recvmsg`` gives it and ``sendmsg`` takes it."""


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of an address that is written as text."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def unbound(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
    """Return a socket that does not block, for one family alone. Raises OSError."""
    made = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, True)
        if kind == socket.SOCK_STREAM:
            # Connections of a process that was killed must not keep its ports from the next.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except BaseException:
        made.close()
        raise
    return made


def ask_for_destinations(receiving: socket.socket) -> None:
    """Have the kernel tell of each datagram which address it was sent to (ip(7), ipv6(7))."""
    if receiving.family == socket.AF_INET6:
        receiving.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        receiving.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


def answer_source(info: bytes) -> Ancillary:
    """Return what has an answer come from the address that a datagram was sent to.

    `info` is what the kernel told of the datagram: its in_pktinfo, or its in6_pktinfo, empty where
    it was not asked. By routes alone the answer might come from another address: a client does
    not take that, and connection tracking does not translate it back. The interface is left to
    routes, but for an address that is one of a link alone.
    """
    match len(info):
        case _IN_PKTINFO.size:
            _, local, _ = _IN_PKTINFO.unpack(info)
            return [(socket.IPPROTO_IP, IP_PKTINFO, _IN_PKTINFO.pack(0, local, bytes(4)))]
        case _IN6_PKTINFO.size:
            local, index = _IN6_PKTINFO.unpack(info)
            is_of_link = local[0] == 0xFE and local[1] & 0xC0 == 0x80
            source = _IN6_PKTINFO.pack(local, index if is_of_link else 0)
            return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, source)]
        case _:
            return []
