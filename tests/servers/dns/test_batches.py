"""Many datagrams by one system call."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from svcnet.servers.dns.batches import PLACE_BYTES, Batch
from svcnet.servers.sockets import ask_for_destinations, unbound

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
EVERY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
FAMILIES = tuple(LOOPBACK)


@pytest.fixture(params=[(family, told) for family in FAMILIES for told in (False, True)])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[Batch, socket.socket, socket.socket]]:
    """A batch, the socket that it is for, and a client of that."""
    family, is_told = request.param
    with ExitStack() as stack:
        receiving = stack.enter_context(unbound(family, socket.SOCK_DGRAM))
        if is_told:
            ask_for_destinations(receiving)
        receiving.bind(((EVERY if is_told else LOOPBACK)[family], 0))
        client = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        client.settimeout(10)
        client.connect((LOOPBACK[family], receiving.getsockname()[1]))
        yield Batch(family, 4, is_told=is_told), receiving, client


def test_each_has_its_own_answer(ends: tuple[Batch, socket.socket, socket.socket]) -> None:
    """Those that have one get it, from where they had sent to, batch after batch."""
    batch, receiving, client = ends
    for number in range(3):
        asked = [b"%d%d" % (number, n) * (n + 1) for n in range(6)]
        for each in asked:
            client.send(each)
        assert batch.receive(receiving.fileno()) == asked[:4]
        batch.send(receiving.fileno(), [b"A" * 700, None, b"", b"D"])
        assert [client.recv(1000) for _ in range(2)] == [b"A" * 700, b"D"]
        assert batch.receive(receiving.fileno()) == asked[4:]
        batch.send(receiving.fileno(), [b"E", b"F"])
        assert [client.recv(1000) for _ in range(2)] == [b"E", b"F"]
        assert batch.receive(receiving.fileno()) == []


def test_who_waits(ends: tuple[Batch, socket.socket, socket.socket]) -> None:
    """A sender is known as the socket module knows it, and answered from where it had sent to."""
    batch, receiving, client = ends
    client.send(b"one")
    client.send(b"x" * (PLACE_BYTES + 1))
    assert batch.receive(receiving.fileno()) == [b"one", b"x" * PLACE_BYTES]
    ancillary, address = batch.sender(1)
    assert address == client.getsockname()
    receiving.sendmsg([b"later"], ancillary, 0, address)
    assert client.recv(1000) == b"later"


def test_one_that_cannot_be_sent(ends: tuple[Batch, socket.socket, socket.socket]) -> None:
    """The others are."""
    batch, receiving, client = ends
    for _ in range(3):
        client.send(b"ask")
    batch.receive(receiving.fileno())
    # A family that no socket is of.
    batch._names[128:130] = b"\xff\xff"
    batch.send(receiving.fileno(), [b"A", b"B", b"C"])
    assert [client.recv(1000) for _ in range(2)] == [b"A", b"C"]
