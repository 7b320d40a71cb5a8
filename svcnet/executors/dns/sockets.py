"""Datagrams that are answered from the address they were sent to.

A socket that listens on every address would let the kernel choose one by its routes, and a
client does not take an answer from an address that it has not asked (ip(7), ipv6(7)).
"""

from __future__ import annotations

import socket
import struct
from typing import Any, TypeAlias

from svcnet.errors import ApplyError

Where: TypeAlias = tuple[str, int]
Ancillary: TypeAlias = list[tuple[int, int, bytes]]

MAX_DATAGRAM = 65535
_ANCILLARY_SPACE = socket.CMSG_SPACE(20)
_IN_PKTINFO = struct.Struct("=I4s4s")
# Linux's number; Python 3.11 has no name for it.
IP_PKTINFO = 8
BACKLOG = 1024


def shown(where: Where) -> str:
    """Return an address and port as people write them, IPv6 in brackets."""
    address, port = where
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def listen(where: Where) -> tuple[socket.socket, socket.socket]:
    """Return a UDP and a TCP socket that listen on an address; port 0 means any free one.

    Raises ApplyError.
    """
    address, port = where
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    streams = socket.socket(family, socket.SOCK_STREAM)
    try:
        streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for one in (datagrams, streams):
            one.setblocking(False)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _tell_destination(datagrams, address)
        streams.bind(where)
        datagrams.bind((address, streams.getsockname()[1]))
        streams.listen(BACKLOG)
    except OSError as error:
        datagrams.close()
        streams.close()
        raise ApplyError(
            f"{address} port {port}: cannot be listened on: {error.strerror}"
        ) from None
    return datagrams, streams


def _tell_destination(datagrams: socket.socket, address: str) -> None:
    if address == "0.0.0.0":  # noqa: S104
        datagrams.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    elif address == "::":
        datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)


def receive(datagrams: socket.socket) -> tuple[bytes, Ancillary, Any]:
    """Return a datagram, where it was sent to, and who sent it. Raises BlockingIOError."""
    data, ancillary, _, client = datagrams.recvmsg(MAX_DATAGRAM, _ANCILLARY_SPACE)
    return data, [_source(item) for item in ancillary], client


def _source(item: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    """Return what makes the kernel send from the address that a datagram was sent to."""
    level, kind, data = item
    if level != socket.IPPROTO_IP:
        return item
    _, local, _ = _IN_PKTINFO.unpack(data)
    return level, kind, _IN_PKTINFO.pack(0, local, bytes(4))
