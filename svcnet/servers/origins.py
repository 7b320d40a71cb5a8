"""What clients share that have one origin: who a connection or a datagram is counted for."""

from __future__ import annotations

import socket

_MAPPED = bytes(10) + b"\xff\xff"


def origin(address: str) -> str | bytes:
    """Return the origin of an address: the address itself in IPv4, its 64 bits in IPv6.

    Whoever has one address of IPv6 has as many as 64 bits can count. An address of IPv4 that a
    socket of both families tells as one of IPv6 is what it is.
    """
    if ":" not in address:
        return address
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    if packed.startswith(_MAPPED):
        return socket.inet_ntoa(packed[12:])
    return packed[:8]
