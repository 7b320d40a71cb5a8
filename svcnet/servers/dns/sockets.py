"""Datagrams that are answered from the address they were sent to.

A socket that listens on every address would let the kernel choose one by its routes, and a
client does not take an answer from an address that it has not asked (ip(7), ipv6(7)).
"""

from __future__ import annotations

import socket
import struct
from typing import Any, TypeAlias

from svcnet.errors import ApplyError
from svcnet.servers.dns import datagrams
from svcnet.servers.sockets import ask_for_destinations, family_of, unbound

Where: TypeAlias = tuple[str, int]
Ancillary: TypeAlias = list[tuple[int, int, bytes]]
Question: TypeAlias = tuple[bytes, Ancillary, Any]
"""A datagram, where it was sent to, and who sent it."""

MAX_DATAGRAM = 65535
_ANCILLARY_SPACE = socket.CMSG_SPACE(20)
_IN_PKTINFO = struct.Struct("=I4s4s")
BACKLOG = 1024
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104


def shown(where: Where) -> str:
    """Return an address and port as people write them, IPv6 in brackets."""
    address, port = where
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def listen(where: Where) -> tuple[list[socket.socket], socket.socket]:
    """Return sockets for UDP and one for TCP that listen on an address; port 0 means any free.

    Raises ApplyError.
    """
    address, port = where
    family = family_of(address)
    try:
        receiving = datagrams.group(family)
        listening = unbound(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ApplyError(f"{address} port {port}: no sockets: {error.strerror}") from None
    try:
        if address in EVERY_ADDRESS:
            for one in receiving:
                ask_for_destinations(one)
        listening.bind(where)
        datagrams.bind(receiving, (address, listening.getsockname()[1]))
        listening.listen(BACKLOG)
    except OSError as error:
        for one in (*receiving, listening):
            one.close()
        raise ApplyError(
            f"{address} port {port}: cannot be listened on: {error.strerror}"
        ) from None
    return receiving, listening


def receive(receiving: socket.socket) -> Question:
    """Return a datagram, where it was sent to, and who sent it. Raises OSError."""
    data, ancillary, _, client = receiving.recvmsg(MAX_DATAGRAM, _ANCILLARY_SPACE)
    return data, [_source(item) for item in ancillary], client


def _source(item: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    """Return what makes the kernel send from the address that a datagram was sent to."""
    level, kind, data = item
    if level != socket.IPPROTO_IP:
        return item
    _, local, _ = _IN_PKTINFO.unpack(data)
    return level, kind, _IN_PKTINFO.pack(0, local, bytes(4))
