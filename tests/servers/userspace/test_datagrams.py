"""Datagrams through the proxy: real sockets, real backends, on loopback."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from svcnet.servers.userspace import Proxy
from svcnet.servers.userspace.budget import FileBudget
from tests.servers.userspace.backends import (
    ADDRESS_FAMILY,
    DNS,
    LOOPBACK,
    DatagramServer,
    dead_backend,
    port,
    running,
    service,
    table,
)

FAMILIES = ("IPv4", "IPv6")


@pytest.fixture(name="three")
def three_servers() -> Iterator[list[DatagramServer]]:
    servers = [DatagramServer(name) for name in ("a", "b", "c")]
    yield servers
    for server in servers:
        server.close()


def client(proxy: Proxy) -> socket.socket:
    """Return a client's socket that is connected to the proxy."""
    family = proxy.table.family
    sock = socket.socket(ADDRESS_FAMILY[family], socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.connect((LOOPBACK[family], port(proxy, DNS)))
    return sock


def ask(sock: socket.socket, data: bytes = b"?") -> str:
    """Return the name of the server that answers."""
    sock.send(data)
    name, _, rest = sock.recv(1 << 16).partition(b" ")
    assert rest == data
    return name.decode()


@pytest.mark.parametrize("family", FAMILIES)
def test_clients_take_turns_and_keep_their_backend(family: str) -> None:
    """Each client's datagrams go to one backend, and the next client's to the next."""
    servers = [DatagramServer(name, family) for name in ("a", "b", "c")]
    wanted = table(service(*(s.backend for s in servers), name=DNS), family=family)
    with running(wanted, udp_idle=60) as proxy:
        clients = [client(proxy) for _ in range(6)]
        assert [ask(sock) for sock in clients] == ["a", "b", "c"] * 2
        assert [ask(sock) for sock in clients] == ["a", "b", "c"] * 2
        assert proxy.statistics().flows == 6
    for sock in clients:
        sock.close()
    for server in servers:
        server.close()


def test_a_silent_flow_ends(three: list[DatagramServer]) -> None:
    """A client that was silent for the idle time is a new one."""
    wanted = table(service(*(server.backend for server in three), name=DNS))
    with running(wanted, udp_idle=0.3) as proxy, client(proxy) as sock:
        assert ask(sock) == "a"
        for _ in range(4):  # what passes keeps it
            time.sleep(0.1)
            assert ask(sock) == "a"
        time.sleep(0.5)
        assert proxy.statistics().flows == 0
        assert ask(sock) == "b"


def test_affinity_outlives_a_flow(three: list[DatagramServer]) -> None:
    """With affinity a client has the same backend in a new flow."""
    wanted = table(service(*(s.backend for s in three), name=DNS, affinity=60))
    with running(wanted, udp_idle=0.1) as proxy:
        for _ in range(3):
            with client(proxy) as sock:
                assert ask(sock) == "a"
            time.sleep(0.2)


def test_large_and_empty_datagrams_pass(three: list[DatagramServer]) -> None:
    """A datagram is handed on whole, whatever its size."""
    with running(table(service(three[0].backend, name=DNS))) as proxy, client(proxy) as sock:
        for size in (0, 1, 4097, 60_000):
            assert ask(sock, bytes(size)) == "a"


def test_a_refused_datagram_ends_the_flow(three: list[DatagramServer]) -> None:
    """A client of a backend that is not there gets the next one, and hears of no error."""
    backends = (dead_backend(), three[0].backend)
    with running(table(service(*backends, name=DNS)), udp_idle=60) as proxy:
        with client(proxy) as sock:
            sock.send(b"lost")
            time.sleep(0.2)
            assert ask(sock) == "a"
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(100)
        assert [c.failed for c in proxy.statistics().services[DNS]].count(1) == 1


def test_the_oldest_flow_makes_room(three: list[DatagramServer]) -> None:
    """When there are as many flows as may be, the one that was silent longest goes."""
    wanted = table(service(three[0].backend, name=DNS))
    with running(wanted, udp_idle=60, budget=FileBudget(1000, most_flows=3)) as proxy:
        clients = [client(proxy) for _ in range(4)]
        for sock in clients[:3]:
            ask(sock)
        ask(clients[0])
        ask(clients[3])
        assert proxy.statistics().flows == 3
        before = len(three[0].clients)
        ask(clients[0])  # still has its flow
        assert len(three[0].clients) == before
        ask(clients[1])  # was the oldest
        assert len(three[0].clients) == before + 1
        for sock in clients:
            sock.close()


def test_five_thousand_clients(three: list[DatagramServer]) -> None:
    """Datagrams of 5,000 clients come back to the client that sent them."""
    wanted = table(service(*(s.backend for s in three), name=DNS))
    with running(wanted, udp_idle=60) as proxy:
        clients = [client(proxy) for _ in range(5000)]
        for number, sock in enumerate(clients):
            assert ask(sock, b"%d" % number)
        for number, sock in enumerate(reversed(clients)):
            assert ask(sock, b"%d" % number)
        assert proxy.statistics().flows == 5000
        assert [c.connections for c in proxy.statistics().services[DNS]].count(1667) == 2
        for sock in clients:
            sock.close()


def test_without_endpoints_datagrams_are_refused(three: list[DatagramServer]) -> None:
    """A service that loses its endpoints refuses datagrams, and serves when they come."""
    with running(table(service(name=DNS))) as proxy, client(proxy) as sock:
        sock.send(b"?")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(100)
        proxy.update(table(service(three[0].backend, name=DNS)))
        assert ask(sock) == "a"
        proxy.update(table(service(name=DNS)))
        sock.send(b"?")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(100)


def test_a_removed_backend_gets_no_more_datagrams(three: list[DatagramServer]) -> None:
    """A client that never falls silent moves on when its backend goes."""
    a, b, _ = (server.backend for server in three)
    with running(table(service(a, b, name=DNS)), udp_idle=60) as proxy, client(proxy) as sock:
        assert ask(sock) == "a"
        proxy.update(table(service(b, name=DNS)))
        assert ask(sock) == "b"
