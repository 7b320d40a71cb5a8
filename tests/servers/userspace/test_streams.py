"""Connections through the proxy: real sockets, real backends, on loopback."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from errno import EINVAL, EPERM

import pytest

from svcnet.renderers.userspace.table import Backend, ProxiedPort
from svcnet.servers.userspace import filters
from svcnet.servers.userspace.pipes import Carriers
from svcnet.servers.userspace.proxy_protocol import SIGNATURE
from svcnet.servers.userspace.sockets import KEEPALIVE_SECONDS
from svcnet.servers.userspace.streams import LITTLE_BYTES, Direction
from tests.servers.userspace.backends import (
    LOOPBACK,
    RESET,
    WEB,
    Server,
    ask,
    connect,
    dead_backend,
    echo,
    greet,
    listener,
    port,
    received,
    running,
    service,
    table,
)

FAMILIES = ("IPv4", "IPv6")
SIZES = (1, 100, LITTLE_BYTES - 1, LITTLE_BYTES, 3 * LITTLE_BYTES)


@pytest.fixture(name="three")
def three_servers() -> Iterator[list[Server]]:
    servers = [Server(greet, name) for name in ("a", "b", "c")]
    yield servers
    for server in servers:
        server.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_backends_take_turns_in_their_order(family: str) -> None:
    """Connections go to the backends in the order of the table, over and over."""
    servers = [Server(greet, name, family) for name in ("a", "b", "c")]
    wanted = table(service(*(server.backend for server in servers)), family=family)
    with running(wanted) as proxy:
        assert "".join(ask(proxy) for _ in range(9)) == "abcabcabc"


def test_a_client_stays_with_its_backend(three: list[Server]) -> None:
    """With affinity a client has one backend, until it was away for the time."""
    with running(table(service(*(s.backend for s in three), affinity=1))) as proxy:
        assert {ask(proxy) for _ in range(5)} == {"a"}
        time.sleep(1.1)
        assert {ask(proxy) for _ in range(5)} == {"b"}


def test_affinity_is_one_for_all_listeners(three: list[Server]) -> None:
    """A client has the same backend by whichever listener of a service port it comes."""
    a, b, c = (server.backend for server in three)
    both = ProxiedPort(WEB, (listener(a, b, c), listener(b, c, role="local")), (), affinity=60)
    with running(table(both)) as proxy:
        assert ask(proxy, role="local") == "b"
        assert ask(proxy) == "b"


def test_a_dead_backend_is_not_noticed(three: list[Server]) -> None:
    """A client of a service with dead backends is served, and loses its affinity to them."""
    backends = (dead_backend(), dead_backend(), three[0].backend)
    with running(table(service(*backends, affinity=60))) as proxy:
        assert [ask(proxy) for _ in range(4)] == ["a"] * 4
        counts = {c.backend: c for c in proxy.statistics().services[WEB]}
        assert [counts[b].failed for b in backends] == [1, 1, 0]
        assert counts[backends[2]].connections == 4


def test_only_dead_backends_end_the_connection_in_bounded_time() -> None:
    """When no backend answers, the client is told by the end of the connection."""
    with running(table(service(dead_backend(), dead_backend()))) as proxy:
        before = time.monotonic()
        assert ask(proxy) == ""
        assert time.monotonic() - before < 5


def test_a_silent_backend_is_given_up_after_its_time(three: list[Server]) -> None:
    """A backend that takes no connection has 250 ms; the next one then answers."""
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    deaf.listen(0)
    fillers = []
    for _ in range(8):  # its queue is full: further connections get no answer
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(deaf.getsockname())
        fillers.append(filler)
    with running(table(service(Backend(*deaf.getsockname()), three[0].backend))) as proxy:
        before = time.monotonic()
        assert ask(proxy) == "a"
        assert 0.2 < time.monotonic() - before < 3
    for sock in (deaf, *fillers):
        sock.close()


def refuse(*_arguments: object, **_options: object) -> int:
    raise OSError(EINVAL, "Invalid argument")


@pytest.mark.parametrize("can_splice", [True, False])
def test_bytes_arrive_unchanged(can_splice: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large data come back the same, by splice and by buffers."""
    if not can_splice:
        monkeypatch.setattr(os, "splice", refuse)
    server = Server(echo)
    sent = os.urandom(20_000_003)
    with running(table(service(server.backend))) as proxy, connect(proxy) as sock:

        def send() -> None:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)

        threading.Thread(target=send).start()
        assert hashlib.sha256(received(sock)).digest() == hashlib.sha256(sent).digest()
    server.close()


@pytest.mark.parametrize("can_splice", [True, False])
def test_pieces_of_any_size_arrive_in_order(can_splice: bool) -> None:
    """Copied or by a pipe, all at once or when there is room, what comes is what was sent."""
    dice = random.Random(1)
    carriers = Carriers(4)
    carriers.can_splice = can_splice
    with ExitStack() as stack:
        (client, source), (sink, backend) = (
            map(stack.enter_context, socket.socketpair()) for _ in range(2)
        )
        for sock in (client, source, sink, backend):
            sock.setblocking(False)
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 0)
        direction, sent, got, waits = Direction(carriers, source, sink), bytearray(), bytearray(), 0
        for size in (*range(LITTLE_BYTES - 2, LITTLE_BYTES + 3), *dice.choices(SIZES, k=300)):
            piece = dice.randbytes(size)
            sent += piece[: client.send(piece)]
            while len(got) < len(sent):
                if direction.reads:
                    direction.pump()
                waits += direction.waits
                # What waits goes on when there is room, never before all of it is gone.
                assert direction.reads is not direction.waits
                with suppress(BlockingIOError):
                    got += backend.recv(dice.choice(SIZES))
                if direction.waits:
                    direction.flush()
        client.close()
        direction.pump()
        assert direction.finished
        assert backend.recv(1) == b""
        assert got == sent
        assert direction.moved == len(sent)
        assert waits
        direction.close()
    carriers.close()


def test_the_end_of_one_direction_leaves_the_other(three: list[Server]) -> None:
    """A client that shuts its writing side down still gets the whole answer (HTTP/1.0)."""

    def answer(connection: socket.socket, _name: str) -> None:
        request = received(connection)  # until the client's end
        body = b"x" * 1_000_000
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + request + body)

    server = Server(answer)
    with running(table(service(server.backend))) as proxy, connect(proxy) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        answer_bytes = received(sock)
    assert answer_bytes.startswith(b"HTTP/1.0 200 OK\r\n\r\nGET / HTTP/1.0")
    assert len(answer_bytes) > 1_000_000
    server.close()


def test_the_server_may_end_first() -> None:
    """A server that ends its side still gets what the client sends."""
    got: list[bytes] = []
    done = threading.Event()

    def answer(connection: socket.socket, _name: str) -> None:
        connection.sendall(b"bye")
        connection.shutdown(socket.SHUT_WR)
        got.append(received(connection))
        done.set()

    server = Server(answer)
    with running(table(service(server.backend))) as proxy, connect(proxy) as sock:
        assert received(sock) == b"bye"
        sock.sendall(b"x" * 300_000)
        sock.shutdown(socket.SHUT_WR)
        assert done.wait(10)
    assert got == [b"x" * 300_000]
    server.close()


def test_a_backend_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel probes both ends of a connection that is open for a while."""
    monkeypatch.setattr("svcnet.servers.userspace.streams.YOUTH_SECONDS", 0.1)
    server = Server(echo)
    with running(table(service(server.backend))) as proxy, connect(proxy) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        (relay,) = proxy._engine._relays
        deadline = time.monotonic() + 10
        for end in (relay._client, relay._backend):
            assert end is not None
            while not end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEPALIVE_SECONDS
    server.close()


def test_a_reset_reaches_the_other_end() -> None:
    """A client that resets is a reset for the backend, not an orderly end."""
    seen: list[str] = []
    done = threading.Event()

    def answer(connection: socket.socket, _name: str) -> None:
        try:
            received(connection)
            seen.append("end")
        except ConnectionResetError:
            seen.append("reset")
        done.set()

    server = Server(answer)
    with running(table(service(server.backend))) as proxy:
        sock = connect(proxy)
        sock.sendall(b"x")
        time.sleep(0.2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.close()
        assert done.wait(10)
        assert proxy.statistics().connections == 0
    assert seen == ["reset"]
    server.close()


def test_a_slow_backend_slows_its_client_and_nobody_else() -> None:
    """What a backend does not read stays bounded, and other connections go on."""
    wake = threading.Event()

    def answer(connection: socket.socket, _name: str) -> None:
        first = connection.recv(1)
        if first == b"s":
            wake.wait(20)
        connection.sendall(str(len(received(connection))).encode())

    server = Server(answer)
    with running(table(service(server.backend))) as proxy:
        slow = connect(proxy)
        slow.settimeout(1)
        sent = slow.send(b"s")
        with suppress(TimeoutError):
            while sent < 64 << 20:  # more than the kernel's buffers hold
                sent += slow.send(bytes(1 << 16))
        assert sent < 64 << 20
        with connect(proxy) as other:
            other.sendall(b"qx")
            other.shutdown(socket.SHUT_WR)
            assert received(other) == b"1"
        wake.set()
        slow.settimeout(10)
        slow.shutdown(socket.SHUT_WR)
        assert received(slow) == str(sent - 1).encode()
        slow.close()
    server.close()


def test_without_endpoints_connections_are_refused(three: list[Server]) -> None:
    """A service that loses its endpoints refuses at once, and serves again when they come."""
    with running(table(service())) as proxy:
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        first = port(proxy)
        proxy.update(table(service(three[0].backend)))
        assert ask(proxy) == "a"
        proxy.update(table(service()))
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        proxy.update(table(service(three[1].backend)))
        assert ask(proxy) == "b"
        assert port(proxy) == first


@pytest.mark.parametrize("family", FAMILIES)
def test_sources_outside_the_ranges_get_no_answer(family: str) -> None:
    """The kernel drops what does not come from the listener's sources."""
    server = Server(greet, "a", family)
    inside = {"IPv4": ("10.0.0.0/8", "127.0.0.0/8"), "IPv6": ("fd00::/8", "::1/128")}[family]
    outside = {"IPv4": ("10.0.0.0/8",), "IPv6": ("fd00::/8",)}[family]

    def guarded(sources: tuple[str, ...]) -> ProxiedPort:
        return ProxiedPort(WEB, (listener(server.backend, sources=sources),), ())

    with running(table(guarded(inside), family=family)) as proxy:
        assert ask(proxy) == "a"
        proxy.update(table(guarded(outside), family=family))
        with pytest.raises(TimeoutError):
            socket.create_connection((LOOPBACK[family], port(proxy)), 0.5)
        proxy.update(table(guarded(()), family=family))
        assert ask(proxy) == "a"
    server.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_filter_what_is_not_taken_is_refused(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel may not filter, connections from outside the ranges are reset."""
    monkeypatch.setattr(filters, "attach", forbid)
    server = Server(greet, "a", family)
    inside = {"IPv4": ("127.0.0.0/8",), "IPv6": ("::1/128",)}[family]
    outside = {"IPv4": ("10.0.0.0/8",), "IPv6": ("fd00::/8",)}[family]

    def guarded(sources: tuple[str, ...]) -> ProxiedPort:
        return ProxiedPort(WEB, (listener(server.backend, sources=sources),), ())

    with running(table(guarded(inside), family=family)) as proxy:
        assert ask(proxy) == "a"
        proxy.update(table(guarded(outside), family=family))
        assert ask(proxy) == ""
        proxy.update(table(ProxiedPort(WEB, (listener(answer="drop"),), ()), family=family))
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        proxy.update(table(guarded(()), family=family))
        assert ask(proxy) == "a"
    server.close()


def forbid(*_arguments: object) -> None:
    raise PermissionError(EPERM, "Operation not permitted")


def test_more_ranges_than_a_filter_holds(three: list[Server]) -> None:
    """Thousands of source ranges are checked where connections are accepted."""
    many = tuple(f"10.{n // 256}.{n % 256}.0/26" for n in range(5000))

    def guarded(sources: tuple[str, ...]) -> ProxiedPort:
        return ProxiedPort(WEB, (listener(three[0].backend, sources=sources),), ())

    with running(table(guarded((*many, "127.0.0.1/32")))) as proxy:
        assert ask(proxy) == "a"
        proxy.update(table(guarded(many)))
        assert ask(proxy) == ""


def test_dropped_connections_get_no_answer(three: list[Server]) -> None:
    """A listener that drops is silent, and can serve later."""
    dropping = ProxiedPort(WEB, (listener(answer="drop"),), ())
    with running(table(dropping)) as proxy:
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", port(proxy)), 0.5)
        proxy.update(table(service(three[0].backend)))
        assert ask(proxy) == "a"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_proxy_protocol_tells_the_client(family: str) -> None:
    """By annotation a backend first gets a header with the client's address and port."""

    def answer(connection: socket.socket, _name: str) -> None:
        connection.sendall(connection.recv(1 << 10))

    server = Server(answer, family=family)
    wanted = table(service(server.backend, proxy_protocol=True), family=family)
    with running(wanted) as proxy, connect(proxy) as sock:
        header = received(sock)
        own, there = sock.getsockname(), sock.getpeername()
    width = 16 if family == "IPv6" else 4
    packed = [socket.inet_pton(sock.family, end[0]) for end in (own, there)]
    assert header[:12] == SIGNATURE
    assert header[12:14] == (b"\x21\x21" if family == "IPv6" else b"\x21\x11")
    assert header[14:16] == (2 * width + 4).to_bytes(2, "big")
    assert header[16 : 16 + 2 * width] == b"".join(packed)
    assert header[16 + 2 * width :] == own[1].to_bytes(2, "big") + there[1].to_bytes(2, "big")
    server.close()
