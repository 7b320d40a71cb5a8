"""Sockets of a DNS server, whose datagrams are answered from the address they were sent to."""

from __future__ import annotations

import socket
from typing import TypeAlias

from svcnet.errors import ApplyError
from svcnet.servers.dns import datagrams
from svcnet.servers.sockets import ask_for_destinations, family_of, unbound

Where: TypeAlias = tuple[str, int]
MAX_DATAGRAM = 65535
BACKLOG = 1024
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104


def write_address(where: Where) -> str:
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
