"""What all sockets have in common at which svcnet answers."""

from __future__ import annotations

import socket

# Linux's number (linux/in.h); Python 3.11 has no name for it.
IP_PKTINFO = 8


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
