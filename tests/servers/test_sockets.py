"""What all sockets at which svcnet answers have in common."""

from __future__ import annotations

import socket
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.servers.sockets import (
    CONTROL_SPACE,
    IP_PKTINFO,
    answer_source,
    ask_for_destinations,
    unbound,
)


@pytest.mark.parametrize(
    ("family", "any_address", "asked"),
    [
        (socket.AF_INET, "0.0.0.0", ["127.0.0.1", "127.8.8.8"]),
        (socket.AF_INET6, "::", ["::1"]),
    ],
    ids=["IPv4", "IPv6"],
)
def test_an_answer_comes_from_the_address_that_was_asked(
    family: socket.AddressFamily, any_address: str, asked: list[str]
) -> None:
    """At a socket that listens on every address, and by no route's choice."""
    with unbound(family, socket.SOCK_DGRAM) as server, unbound(family, socket.SOCK_DGRAM) as client:
        ask_for_destinations(server)
        server.bind((any_address, 0))
        for each in (server, client):
            each.settimeout(10)
        for address in asked:
            client.sendto(b"question", (address, server.getsockname()[1]))
            data, ancillary, _, sender = server.recvmsg(100, CONTROL_SPACE)
            server.sendmsg([data], answer_source(ancillary[0][2]), 0, sender)
            assert client.recvfrom(100)[1][0] == address


LOCAL, REMOTE = b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02"


@pytest.mark.parametrize(
    ("info", "source"),
    [
        (
            pack("=I4s4s", 3, LOCAL, REMOTE),
            (socket.IPPROTO_IP, IP_PKTINFO, pack("=I4s4s", 0, LOCAL, bytes(4))),
        ),
        (
            pack("=16sI", b"\xfd" + bytes(15), 3),
            (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, b"\xfd" + bytes(15) + bytes(4)),
        ),
        (
            pack("=16sI", b"\xfe\x80" + bytes(14), 3),
            (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, pack("=16sI", b"\xfe\x80" + bytes(14), 3)),
        ),
    ],
    ids=["IPv4", "IPv6", "of a link"],
)
def test_the_interface_is_left_to_routes(info: bytes, source: tuple[int, int, bytes]) -> None:
    """But for an address that is there on several links."""
    assert answer_source(info) == [source]


@given(st.binary(max_size=40))
def test_what_the_kernel_tells_is_one_of_two_structures(info: bytes) -> None:
    """Anything else names no source, and the answer's is the routes' choice."""
    assert len(answer_source(info)) == (len(info) in (12, 20))
