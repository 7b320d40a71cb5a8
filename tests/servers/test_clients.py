"""Clients of a listener: greedy ones take from themselves, and descriptors that run out."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, cast

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from svcnet.servers import clients
from svcnet.servers.clients import Acceptor, ClientConnection, Clients, source_of
from svcnet.servers.monitoring import listening
from svcnet.servers.monitoring.http import HTTPResponse
from svcnet.servers.monitoring.listening import CLIENTS, HTTPServer
from tests.servers.exhaustion import no_descriptors
from tests.servers.monitoring.serving import LOOPBACK, Running, get, read_all, running

REQUEST = b"GET /x HTTP/1.1\r\nHost: node\r\n\r\n"


@pytest.fixture(autouse=True)
def no_greedy_one_goes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """An honest client that is served only after others' time is up is not served here."""
    monkeypatch.setattr(listening, "HEAD_SECONDS", 600.0)
    monkeypatch.setattr(listening, "ANSWER_SECONDS", 600.0)


@pytest.fixture(name="loop", scope="module")
def a_loop() -> Iterator[Running]:
    with running() as loop:
        yield loop


@pytest.fixture(name="port")
def serving(loop: Running) -> Iterator[int]:
    server = loop.call(
        lambda: HTTPServer((LOOPBACK, 0), lambda path: HTTPResponse(200, path.encode()))
    )
    yield server.where[1]
    loop.call(server.close)


def connected(port: int, source: str = LOOPBACK) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=10, source_address=(source, 0))


def is_open(client: socket.socket) -> bool:
    """Whether the server has not ended a connection on which it said nothing."""
    client.setblocking(False)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    finally:
        client.settimeout(10)


class Fake:
    """A connection as far as keeping count takes one."""

    family = socket.AF_INET

    def __init__(self, address: str) -> None:
        self.address = address
        self.closed = False

    def close(self) -> None:
        self.closed = True


@define
class Held:
    """What a model of the clients knows of one: who it is, and when it last did something."""

    fake: Fake
    source: str
    since: int
    client: list[ClientConnection] = field(factory=list)


class FairClients(RuleBasedStateMachine):
    """Whoever comes, goes and does something: whoever has to go is of those who have most."""

    LIMIT = 7
    SOURCES = st.sampled_from([f"10.0.0.{number}" for number in range(1, 6)])

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clients = self.do(lambda: Clients(self.LIMIT))
        self.held: list[Held] = []
        self.moment = 0

    def do(self, work: Callable[[], Any]) -> Any:
        async def inside() -> Any:
            result = work()
            for _ in range(3):
                await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(inside())

    def number(self, source: str) -> int:
        return sum(held.source == source for held in self.held)

    @rule(source=SOURCES)
    def come(self, source: str) -> None:
        self.moment += 1
        new = Held(Fake(source), source, self.moment)

        async def converse(client: ClientConnection) -> None:
            new.client.append(client)
            await asyncio.Event().wait()

        fake = cast("socket.socket", new.fake)
        self.do(lambda: self.clients.serve(fake, (source, 1), converse))
        gone = [held for held in self.held if held.fake.closed]
        assert len(gone) == (len(self.held) == self.LIMIT)
        for held in gone:
            assert self.number(held.source) == max(self.number(each.source) for each in self.held)
            assert held.since == min(e.since for e in self.held if e.source == held.source)
        self.held = [held for held in self.held if held not in gone] + [new]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.held))
        task = held.client[0].task
        assert task is not None
        self.do(task.cancel)
        self.held.remove(held)
        assert held.fake.closed

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def do_something(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.held))
        self.moment += 1
        held.since = self.moment
        held.client[0].touch()

    @invariant()
    def nobody_is_lost(self) -> None:
        assert len(self.clients) == len(self.held) <= self.LIMIT
        assert not any(held.fake.closed for held in self.held)

    def teardown(self) -> None:
        for held in self.held:
            task = held.client[0].task
            assert task is not None
            self.do(task.cancel)
        assert len(self.clients) == 0
        self.do(self.clients.close)
        self.loop.close()


TestFairClients = FairClients.TestCase
TestFairClients.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("number", [1, 3])
def test_greedy_sources_do_not_end_an_honest_one(port: int, number: int) -> None:
    """Who has one connection keeps it, however many those have who connect on and on."""
    sources = [f"127.0.0.{10 + each}" for each in range(number)]
    with ExitStack() as stack:
        slow = stack.enter_context(connected(port, "127.0.0.2"))
        slow.sendall(REQUEST[:5])
        greedy = [
            stack.enter_context(connected(port, source))
            for _ in range(3 * CLIENTS // number)
            for source in sources
        ]
        assert get(port)[0] == 200
        slow.sendall(REQUEST[5:])
        assert read_all(slow).startswith(b"HTTP/1.1 200 ")
        assert sum(map(is_open, greedy)) < CLIENTS


def test_clients_that_read_no_answer_do_not_keep_out_an_honest_one(loop: Running) -> None:
    """However many ask for a large page and do not read it, one more has it soon."""
    page = bytes(4 << 20)
    server = loop.call(lambda: HTTPServer((LOOPBACK, 0), lambda _: HTTPResponse(200, page)))
    with ExitStack() as stack:
        for number in range(CLIENTS + 20):
            sock = stack.enter_context(connected(server.where[1], f"127.0.0.{2 + number % 3}"))
            sock.sendall(REQUEST)
        assert get(server.where[1])[2] == page
    loop.call(server.close)


def test_greedy_clients_of_one_health_check_port_leave_the_others_alone(loop: Running) -> None:
    """Listeners that share their clients share them among sources: no port takes all."""

    async def converse(client: ClientConnection) -> None:
        await asyncio.get_running_loop().sock_recv(client.connection, 1)
        await asyncio.get_running_loop().sock_sendall(client.connection, b"x")

    def listener() -> Acceptor:
        listening = socket.create_server((LOOPBACK, 0), backlog=1000)
        listening.setblocking(False)
        return Acceptor(listening, converse, shared)

    shared = loop.call(lambda: Clients(20))
    one, other = loop.call(listener), loop.call(listener)
    with ExitStack() as stack:
        honest = stack.enter_context(connected(other.where[1], "127.0.0.2"))
        for _ in range(100):
            stack.enter_context(connected(one.where[1], "127.0.0.10"))
        honest.sendall(b"x")
        assert honest.recv(1) == b"x"
        for each in (one, other, shared):
            loop.call(each.close)


def test_a_process_without_descriptors_answers(
    loop: Running, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With none left, honest clients are answered by those that are kept back, without a pause."""
    monkeypatch.setattr(clients, "PAUSE_SECONDS", 600.0)
    for _ in range(3):
        socks = [socket.socket() for _ in range(10)]
        with no_descriptors():
            for sock in socks:
                sock.settimeout(10)
                sock.connect((LOOPBACK, port))
                sock.sendall(REQUEST)
                assert read_all(sock).startswith(b"HTTP/1.1 200 ")
                sock.close()


def test_a_process_without_descriptors_is_not_held_by_silent_clients(port: int) -> None:
    """Silent clients have all that was kept back: they have to go, and the honest one is in."""
    socks = [socket.socket() for _ in range(20)]
    honest = socket.socket()
    with no_descriptors():
        for sock in socks:
            sock.connect((LOOPBACK, port))
        cpu = time.process_time()
        honest.settimeout(10)
        honest.connect((LOOPBACK, port))
        honest.sendall(REQUEST)
        assert read_all(honest).startswith(b"HTTP/1.1 200 ")
        time.sleep(0.3)
        assert time.process_time() - cpu < 0.2
    for sock in (*socks, honest):
        sock.close()
    assert get(port)[0] == 200


def test_descriptors_that_nobody_gives_back(loop: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing kept back and nobody to end, it looks now and then and does not spin."""
    monkeypatch.setattr(clients, "KEPT_BACK", 0)
    monkeypatch.setattr(clients, "PAUSE_SECONDS", 0.1)
    server = loop.call(lambda: HTTPServer((LOOPBACK, 0), lambda _: HTTPResponse(200, b"")))
    honest = socket.socket()
    with no_descriptors():
        honest.settimeout(10)
        honest.connect(server.where)
        cpu = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - cpu < 0.1
    honest.sendall(REQUEST)
    assert read_all(honest).startswith(b"HTTP/1.1 200 ")
    honest.close()
    loop.call(server.close)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::2:3:4", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%lo", "fe80::2", True),
        ("::1", "::2", True),
    ],
)
def test_sources_of_ipv6(one: str, other: str, same: bool) -> None:
    """Of IPv6 the network of 64 bits counts, but not of an address of IPv4 in it."""
    with socket.socket(socket.AF_INET6) as sock:
        assert (source_of(sock, (one, 1)) == source_of(sock, (other, 1))) is same


def test_one_address_is_one_source_by_either_family() -> None:
    """A client that comes to a socket of both families is the one that came to IPv4."""
    with socket.socket() as four, socket.socket(socket.AF_INET6) as six:
        assert source_of(four, ("192.0.2.1", 1)) == source_of(six, ("::ffff:192.0.2.1", 1))


@given(st.ip_addresses(v=6))
def test_every_address_has_a_source(address: Any) -> None:
    """Whatever address the kernel tells, it has a source."""
    with socket.socket(socket.AF_INET6) as sock:
        assert source_of(sock, (str(address), 1, 0, 0))
