"""A proxy whose table changes while it serves, whose descriptors run out, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from svcnet.errors import ApplyError
from svcnet.graph import FragmentName
from svcnet.renderers.userspace.table import Backend, ListenerName
from svcnet.servers.userspace import Proxy, raise_file_limit
from svcnet.servers.userspace import proxy as proxy_module
from tests.servers.userspace.backends import (
    DNS,
    WEB,
    DatagramServer,
    Server,
    ask,
    connect,
    echo,
    greet,
    port,
    running,
    service,
    table,
)

OTHER = FragmentName("default", "other", "", "TCP")


@pytest.fixture(name="three")
def three_servers() -> Iterator[list[Server]]:
    servers = [Server(greet, name) for name in ("a", "b", "c")]
    yield servers
    for server in servers:
        server.close()


def test_a_taken_port_is_passed_over(three: list[Server]) -> None:
    """A proxy port that is in use is replaced by the next free one, and that is told."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = table(service(three[0].backend), first=taken.getsockname()[1])
        with running(wanted) as proxy:
            assert port(proxy) != wanted.ports[ListenerName(WEB, "cluster")]
            assert ask(proxy) == "a"


def test_a_changed_service_keeps_its_port_and_connections(three: list[Server]) -> None:
    """Backends come and go; a connection to one that went lives on, and no new one goes there."""
    a, b, c = (server.backend for server in three)
    with running(table(service(a))) as proxy, connect(proxy) as sock:
        assert sock.recv(10) == b"a\n"
        first = port(proxy)
        proxy.update(table(service(b, c)))
        assert [ask(proxy) for _ in range(4)] == ["b", "c", "b", "c"]
        sock.sendall(b"still there")
        assert sock.recv(20) == b"still there"
        assert port(proxy) == first


def test_the_same_backends_go_on_in_turn(three: list[Server]) -> None:
    """A change that leaves a pool as it is does not begin its turn again."""
    backends = tuple(server.backend for server in three)
    with running(table(service(*backends))) as proxy:
        assert ask(proxy) == "a"
        proxy.update(table(service(*backends, affinity=0, proxy_protocol=False)))
        assert ask(proxy) == "b"


def test_a_service_comes_and_goes(three: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that went serves for a moment, then its port is closed; its connections stay."""
    monkeypatch.setattr(proxy_module, "GRACE_SECONDS", 0.3)
    a, b, _ = (server.backend for server in three)
    web, other = service(a), service(b, name=OTHER)
    with running(table(web)) as proxy:
        proxy.update(table(web, other))
        assert ask(proxy, OTHER) == "b"
        number = port(proxy, OTHER)
        held = connect(proxy, OTHER)
        assert held.recv(10) == b"b\n"
        proxy.update(table(web))
        assert ListenerName(OTHER, "cluster") not in proxy.ports
        with socket.create_connection(("127.0.0.1", number)) as late:
            assert late.recv(10) == b"b\n"
        time.sleep(0.6)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", number))
        held.sendall(b"x")
        assert held.recv(10) == b"x"
        held.close()
        assert ask(proxy) == "a"


def test_held_listeners_serve_until_they_are_let_go(
    three: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While something may still lead to it, a listener that the table has no more serves on."""
    monkeypatch.setattr(proxy_module, "GRACE_SECONDS", 0.2)
    a, b, _ = (server.backend for server in three)
    web, other = service(a), service(b, name=OTHER)
    with running(table(web, other)) as proxy:
        number = port(proxy, OTHER)
        proxy.update(table(web), hold=True)
        time.sleep(0.6)
        with socket.create_connection(("127.0.0.1", number)) as late:
            assert late.recv(10) == b"b\n"
        proxy.update(table(web, other), hold=True)
        assert port(proxy, OTHER) == number
        proxy.let_go()
        time.sleep(0.6)
        assert ask(proxy, OTHER) == "b"
        proxy.update(table(web), hold=True)
        proxy.let_go()
        time.sleep(0.6)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", number))
        assert ask(proxy) == "a"


def test_a_proxy_that_has_ended_refuses(three: list[Server]) -> None:
    """To follow a table after the end is an error, not a wait without end."""
    with running(table(service(three[0].backend))) as proxy:
        pass
    with pytest.raises(ApplyError, match="has ended"):
        proxy.update(table())


def test_a_service_that_returns_in_time_was_never_away(three: list[Server]) -> None:
    """Removed and added within the grace, a listener keeps its port and serves on."""
    a, b, _ = (server.backend for server in three)
    with running(table(service(a))) as proxy:
        number = port(proxy)
        proxy.update(table())
        proxy.update(table(service(b)))
        assert port(proxy) == number
        time.sleep(1.3)
        assert ask(proxy) == "b"


def test_changes_under_load_fail_no_request(three: list[Server]) -> None:
    """While services are added, changed and removed, no request to any of them fails."""
    a, b, c = (server.backend for server in three)
    states = [
        table(service(a), service(a, name=OTHER)),
        table(service(b, c), service(a, name=OTHER)),
        table(service(b, c)),
        table(service(a, c), service(c, name=OTHER)),
    ]
    answers: list[str] = []
    over = threading.Event()

    with running(states[0]) as proxy:

        def load() -> None:
            while not over.is_set():
                answers.append(ask(proxy))

        clients = [threading.Thread(target=load) for _ in range(4)]
        for thread in clients:
            thread.start()
        for number in range(40):
            proxy.update(states[number % 4])
            time.sleep(0.01)
        over.set()
        for thread in clients:
            thread.join()
    assert len(answers) > 100
    assert set(answers) == {"a", "b", "c"}


def test_only_what_changed_is_touched() -> None:
    """Among 2,000 services the sockets of those that stay are not asked anything."""
    server = Server(greet, "a")
    names = [FragmentName("default", f"web-{n:04}", "", "TCP") for n in range(2000)]
    services = [service(server.backend, name=name) for name in names]
    with running(table(*services, first=35_000)) as proxy:
        descriptors = {path.name for path in Path("/proc/self/fd").iterdir()}
        changed = [service(name=names[0]), *services[1:]]
        proxy.update(table(*changed, first=35_000))
        assert {path.name for path in Path("/proc/self/fd").iterdir()} == descriptors
        with pytest.raises(ConnectionRefusedError):
            connect(proxy, names[0])
        assert ask(proxy, names[1999]) == "a"
    server.close()


def test_the_end_waits_for_connections() -> None:
    """A proxy that drains takes nothing new, and ends with its last connection."""
    server = Server(echo)
    proxy = Proxy(table(service(server.backend)), address="127.0.0.1")
    thread = threading.Thread(target=proxy.run)
    thread.start()
    number = port(proxy)
    with connect(proxy) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        proxy.stop(drain=60).result()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", number))
        sock.sendall(b"y")
        assert sock.recv(1) == b"y"
        assert thread.is_alive()
    thread.join(10)
    assert not thread.is_alive()
    server.close()


def test_the_end_waits_for_every_process() -> None:
    """Connections of each worker go on while the proxy drains, and a second word ends them."""
    server = Server(echo)
    proxy = Proxy(table(service(server.backend)), address="127.0.0.1", workers=3)
    thread = threading.Thread(target=proxy.run)
    thread.start()
    socks = [connect(proxy) for _ in range(30)]
    for sock in socks:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    proxy.stop(drain=60).result()
    for sock in socks[:25]:
        sock.close()
    time.sleep(0.5)
    for sock in socks[25:]:
        sock.sendall(b"y")
        assert sock.recv(1) == b"y"
    proxy.stop(drain=0).result()
    thread.join(10)
    assert not thread.is_alive()
    for sock in socks[25:]:
        with sock, pytest.raises(ConnectionResetError):
            sock.recv(1)
    server.close()


def test_draining_is_bounded() -> None:
    """A connection that does not end is reset when the time to drain is up."""
    server = Server(echo)
    proxy = Proxy(table(service(server.backend)), address="127.0.0.1")
    thread = threading.Thread(target=proxy.run)
    thread.start()
    with connect(proxy) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        proxy.stop(drain=0.2).result()
        thread.join(10)
        assert not thread.is_alive()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    server.close()


def test_connections_wait_for_descriptors() -> None:
    """Out of descriptors, the proxy serves those it has, and the others when some end."""
    server = Server(greet, "a")
    with serving(server.backend, spare_files=10) as number:
        held = [socket.create_connection(("127.0.0.1", number), 0.5) for _ in range(12)]
        served = [sock for sock in held if is_greeted(sock)]
        assert 0 < len(served) < 12
        waiting = [sock for sock in held if sock not in served]
        for sock in served:
            sock.close()
        while waiting:
            done = [sock for sock in waiting if is_greeted(sock)]
            assert done
            for sock in done:
                sock.close()
            waiting = [sock for sock in waiting if sock not in done]
    server.close()


def is_greeted(sock: socket.socket) -> bool:
    try:
        return sock.recv(2) == b"a\n"
    except TimeoutError:
        return False


def test_ten_thousand_idle_connections() -> None:
    """Ten thousand connections that are idle all answer when they are asked."""
    echoing = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.userspace.echoing"], stdout=subprocess.PIPE
    )
    assert echoing.stdout is not None
    raise_file_limit()
    backend = Backend("127.0.0.1", int(echoing.stdout.readline()))
    # Where a process may not have the 20,000 descriptors that this takes, two have them.
    with serving(backend, workers=2) as number:
        socks = [socket.create_connection(("127.0.0.1", number), 10) for _ in range(10_000)]
        for sock in socks:
            sock.sendall(b"x")
        for sock in socks:
            assert sock.recv(1) == b"x"
        for sock in socks[::97]:
            sock.sendall(b"y")
            assert sock.recv(1) == b"y"
        for sock in socks:
            sock.close()
    echoing.kill()
    echoing.communicate()


@contextmanager
def serving(backend: Backend, workers: int = 1, spare_files: int = 0) -> Iterator[int]:
    """Run a proxy in a process of its own; yield its port."""
    command = (sys.executable, "-m", "tests.servers.userspace.serving")
    options = (str(backend.port), str(workers), str(spare_files))
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
        assert process.poll() is None, "the proxy has died"
    finally:
        process.kill()
        process.communicate()


def test_workers_share_a_port(three: list[Server]) -> None:
    """Several processes serve one port, follow the table and are counted together."""
    backends = tuple(server.backend for server in three)
    with running(table(service(backends[0])), workers=3) as proxy:
        assert {ask(proxy) for _ in range(30)} == {"a"}
        proxy.update(table(service(*backends[1:])))
        assert {ask(proxy) for _ in range(30)} == {"b", "c"}
        counts = proxy.statistics().services[WEB]
        assert sum(c.connections for c in counts) == 30


def test_no_port_is_shared_with_another_proxy(three: list[Server]) -> None:
    """Each of two proxies with workers, of one user and one table, has ports of its own."""
    first, second = (table(service(s.backend), service(s.backend, name=DNS)) for s in three[:2])
    with running(first, workers=2) as one, running(second, workers=2) as other:
        for name in (WEB, DNS):
            assert port(one, name) != port(other, name)
        assert {ask(one) for _ in range(20)} == {"a"}
        assert {ask(other) for _ in range(20)} == {"b"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_refuses_is_held(three: list[Server], workers: int) -> None:
    """Another proxy cannot listen where a Service has no endpoints for a while."""
    wanted = table(service(three[0].backend))
    with running(wanted, workers=workers) as one, connect(one) as open_all_along:
        assert open_all_along.recv(1) == b"a"
        one.update(table(service()))
        with running(table(service(three[1].backend)), workers=workers) as other:
            assert port(one) != port(other)
            one.update(wanted)
            assert (ask(one), ask(other)) == ("a", "b")


def test_workers_agree_on_affinity(three: list[Server]) -> None:
    """All connections of a client come to one process, which knows its backend."""
    backends = tuple(server.backend for server in three)
    with running(table(service(*backends, affinity=60)), workers=3) as proxy:
        assert len({ask(proxy) for _ in range(30)}) == 1
    dns = DatagramServer("d")
    wanted = table(service(dns.backend, name=DNS, affinity=60))
    with running(wanted, workers=2) as proxy, socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect(("127.0.0.1", port(proxy, DNS)))
        sock.send(b"?")
        assert sock.recv(10) == b"d ?"
    dns.close()


def test_a_lost_worker_ends_the_proxy(three: list[Server]) -> None:
    """A worker that was killed is an error of the whole proxy: its share would hang."""
    proxy = Proxy(table(service(three[0].backend)), address="127.0.0.1", workers=4)
    threading.Timer(0.2, lambda: os.kill(proxy._workers[1].pid, signal.SIGKILL)).start()
    with pytest.raises(ApplyError, match="worker process"):
        proxy.run()
