"""Clients that take all they can get, beside honest ones: who is served, and what it costs."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from svcnet.graph import FragmentName
from svcnet.renderers.userspace.table import Backend
from svcnet.servers.userspace import NodeProxy, Proxy, Refusals
from svcnet.servers.userspace.budget import FileBudget
from tests.servers.exhaustion import no_descriptors
from tests.servers.userspace.backends import (
    DNS,
    LOOPBACK,
    WEB,
    DatagramServer,
    Server,
    ask,
    echo,
    greet,
    port,
    running,
    service,
    table,
)

OTHER = FragmentName("default", "other", "", "TCP")
OTHER_DNS = FragmentName("default", "other-dns", "", "UDP")
FILES = 500
SOURCES = [f"127.0.0.{number}" for number in range(2, 22)]


@pytest.fixture(name="servers")
def two_servers() -> Iterator[tuple[Server, Server]]:
    servers = Server(greet, "a"), Server(greet, "b")
    yield servers
    for server in servers:
        server.close()


@contextmanager
def crowded(
    proxy: Proxy, name: FragmentName, sources: list[str], number: int
) -> Iterator[list[socket.socket]]:
    """Hold connections of several sources to a Service, `number` of each if it gets them."""
    held = []
    with ExitStack() as stack:
        for source in sources:
            for _ in range(number):
                sock = stack.enter_context(socket.socket())
                sock.bind((source, 0))
                sock.setblocking(False)
                sock.connect_ex((LOOPBACK["IPv4"], port(proxy, name)))
                held.append(sock)
        yield held


@contextmanager
def few_files(number: int) -> Iterator[None]:
    """Let this process, and those that it begins, have so many files while what serves is made."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def serving(serve: Callable[[], None], stop: Callable[[], object]) -> Iterator[None]:
    """Serve in a thread until the end."""
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(10)
        assert not thread.is_alive()


def settled(proxy: Proxy) -> dict[FragmentName, Refusals]:
    """Return what there was no room for, once it does not change any more."""
    before: Any = None
    deadline = time.monotonic() + 20
    while (now := (proxy.statistics(), dict(proxy.refusals()))) != before:
        assert time.monotonic() < deadline
        before = now
        time.sleep(0.2)
    return now[1]


def answer_time(proxy: Proxy, name: FragmentName, source: str = LOOPBACK["IPv4"]) -> float:
    """Return how long an honest client of a source waits for its answer."""
    begun = time.monotonic()
    address = (LOOPBACK["IPv4"], port(proxy, name))
    with socket.create_connection(address, 5, (source, 0)) as sock:
        assert sock.recv(1)
    return time.monotonic() - begun


def test_many_sources_that_hold_a_service_leave_others_theirs(
    servers: tuple[Server, Server],
) -> None:
    """Other Services are served at once, and of the full one a client that has nothing yet."""
    one, other = servers
    wanted = table(service(one.backend), service(other.backend, name=OTHER))
    with running(wanted, budget=FileBudget(FILES)) as proxy:
        with crowded(proxy, WEB, SOURCES[:10], 60):
            refused = settled(proxy)
            assert refused[WEB].refused > 300
            assert OTHER not in refused
            for _ in range(20):
                assert answer_time(proxy, OTHER) < 1
            assert answer_time(proxy, WEB) < 1
            assert proxy.statistics().connections < FILES / 2
        for _ in range(20):
            assert ask(proxy) == "a"


def test_a_full_service_has_its_clients_wait(servers: tuple[Server, Server]) -> None:
    """With so many sources that it is full, further clients are served when others end."""
    one, other = servers
    wanted = table(service(one.backend), service(other.backend, name=OTHER))
    sources = [f"127.0.{number // 200}.{number % 200 + 2}" for number in range(300)]
    with (
        running(wanted, budget=FileBudget(FILES)) as proxy,
        ExitStack() as stack,
        crowded(proxy, WEB, sources, 1) as held,
    ):
        assert settled(proxy)[WEB].waited >= 1
        assert answer_time(proxy, OTHER) < 1
        late = stack.enter_context(socket.create_connection((LOOPBACK["IPv4"], port(proxy)), 5))
        late.settimeout(0.3)
        with pytest.raises(TimeoutError):
            late.recv(1)
        for sock in held:
            sock.close()
        late.settimeout(5)
        assert late.recv(1) == b"a"
    assert len(proxy._engine.budget.connections) == 0


def test_a_source_that_opens_on_and_on_does_not_keep_another_out(
    servers: tuple[Server, Server],
) -> None:
    """Resets do not keep an honest client waiting, and what it has is not ended."""
    one = Server(echo)
    with running(table(service(one.backend)), budget=FileBudget(200)) as proxy:
        honest = socket.create_connection((LOOPBACK["IPv4"], port(proxy)), 5)
        honest.sendall(b"x")
        assert honest.recv(1) == b"x"
        with crowded(proxy, WEB, SOURCES[:2], 300):
            begun = time.monotonic()
            with socket.create_connection((LOOPBACK["IPv4"], port(proxy)), 5) as late:
                late.sendall(b"y")
                assert late.recv(1) == b"y"
            assert time.monotonic() - begun < 1
            honest.sendall(b"z")
            assert honest.recv(1) == b"z"
        honest.close()
    one.close()


def test_both_families_share_what_a_process_has(servers: tuple[Server, Server]) -> None:
    """A Service has one share for both of its families."""
    six = Server(greet, "c", "IPv6")
    tables = (
        table(service(servers[0].backend)),
        table(service(six.backend), service(six.backend, name=OTHER), family="IPv6", first=42_500),
    )
    with few_files(FILES):
        node = NodeProxy(tables, loopback=True)
    four, other = node.proxies.values()
    with serving(node.serve, lambda: node.stop(0)), crowded(four, WEB, SOURCES, 30):
        settled(four)
        budget = four._engine.budget
        assert other._engine.budget is budget
        assert len(budget.connections) < budget.connections.capacity < FILES / 2
        assert ask(other, OTHER) == "c"
    six.close()


def test_clients_that_read_nothing_take_a_bounded_number_of_pipes() -> None:
    """A pipe is two descriptors: connections with bytes on their way take no more of them."""

    def flood(connection: socket.socket, _: str) -> None:
        while True:
            connection.sendall(b"x" * 65536)

    server = Server(flood)
    budget = FileBudget(400)
    with (
        running(table(service(server.backend)), budget=budget) as proxy,
        crowded(proxy, WEB, SOURCES[:1], 60),
    ):
        time.sleep(1)
        assert proxy.statistics().connections == 60
        assert 0 < budget.carriers._open <= budget.carriers.most <= 400 // 32
    server.close()


@pytest.mark.parametrize("left", range(5))
def test_descriptors_that_run_out_do_not_make_it_spin(left: int) -> None:
    """Without descriptors, whoever has used them up, it waits; then those who waited are served."""
    with (
        subprocess.Popen(
            [sys.executable, "-m", "tests.servers.userspace.echoing"], stdout=subprocess.PIPE
        ) as backend,
        ExitStack() as stack,
    ):
        stack.callback(backend.kill)
        assert backend.stdout is not None
        number = int(backend.stdout.readline())
        proxy = stack.enter_context(running(table(service(Backend("127.0.0.1", number)))))
        clients = [stack.enter_context(socket.socket()) for _ in range(5)]
        with no_descriptors(left):
            for sock in clients:
                sock.settimeout(10)
                sock.connect((LOOPBACK["IPv4"], port(proxy)))
                sock.sendall(b"x")
            before = time.process_time()
            time.sleep(0.3)
            assert time.process_time() - before < 0.15
        assert all(sock.recv(1) == b"x" for sock in clients)


@pytest.fixture(name="answering")
def two_datagram_servers() -> Iterator[tuple[DatagramServer, DatagramServer]]:
    servers = DatagramServer("a"), DatagramServer("b")
    yield servers
    for server in servers:
        server.close()


def test_flows_of_a_flooded_service_do_not_end_those_of_another(
    answering: tuple[DatagramServer, DatagramServer],
) -> None:
    """Clients of another Service keep their flows, and new ones are served at once."""
    one, other = answering
    wanted = table(service(one.backend, name=DNS), service(other.backend, name=OTHER_DNS))
    with running(wanted, budget=FileBudget(1000, most_flows=100), udp_idle=60) as proxy:

        def client(name: FragmentName, source: str) -> socket.socket:
            sock = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            sock.bind((source, 0))
            sock.settimeout(5)
            sock.connect((LOOPBACK["IPv4"], port(proxy, name)))
            return sock

        with ExitStack() as stack:
            honest = [client(OTHER_DNS, "127.0.0.1") for _ in range(20)]
            for sock in honest:
                sock.send(b"?")
                assert sock.recv(10) == b"b ?"
            for number in range(600):
                client(DNS, SOURCES[number % 20]).send(b"?")
            refused = settled(proxy)
            assert refused[DNS].displaced >= 500
            assert OTHER_DNS not in refused
            assert proxy.statistics().flows == 100
            seen = len(other.clients)
            for sock in honest:
                sock.send(b"!")
                assert sock.recv(10) == b"b !"
            assert len(other.clients) == seen  # by the flows that they had


def test_flows_and_connections_leave_each_other_descriptors(
    servers: tuple[Server, Server], answering: tuple[DatagramServer, DatagramServer]
) -> None:
    """Datagrams of ever new clients take no connection its descriptors, nor the other way."""
    wanted = table(service(servers[0].backend), service(answering[0].backend, name=DNS))
    budget = FileBudget(FILES)
    with running(wanted, budget=budget, udp_idle=60) as proxy, ExitStack() as stack:
        for _ in range(600):
            sock = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            sock.connect((LOOPBACK["IPv4"], port(proxy, DNS)))
            sock.send(b"?")
        with crowded(proxy, WEB, SOURCES[:5], 60):
            settled(proxy)
            found = proxy.statistics()
            assert 2 * found.connections + found.flows <= FILES
            sock.send(b"!")
            sock.settimeout(5)
            assert sock.recv(10)
            assert answer_time(proxy, WEB) < 1


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_have_shares_each(servers: tuple[Server, Server], workers: int) -> None:
    """Each process has its own descriptors and shares, and all are counted together."""
    one, other = servers
    wanted = table(service(one.backend), service(other.backend, name=OTHER))
    with few_files(400):
        proxy = Proxy(wanted, address=LOOPBACK["IPv4"], workers=workers)
    with serving(proxy.run, proxy.stop), crowded(proxy, WEB, SOURCES[:10], 100):
        assert settled(proxy)[WEB].refused > 100
        for _ in range(10):
            assert answer_time(proxy, OTHER) < 1
