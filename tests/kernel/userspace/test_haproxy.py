"""HAProxy itself, with the configuration that svcnet prints, serves as the table says."""

from __future__ import annotations

import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.models import ClusterState, LoadBalancerIngress, Service
from svcnet.renderers.userspace import ProxyTable, full, haproxy_config
from svcnet.renderers.userspace.table import Role
from svcnet.testing import make_node, make_service, make_slice
from tests.kernel.ipvs.netlink import own_namespace, run

pytestmark = pytest.mark.kernel

PODS = ("10.244.1.5", "10.244.1.6", "10.244.1.7")
CLIENTS = ("198.51.100.9", "198.51.100.10")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # of the PROXY protocol, version 2
LIMIT = 10


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with own_namespace():
        for address in (*PODS, *CLIENTS):
            run("ip", "address", "add", f"{address}/32", "dev", "lo")
        yield


class Pod:
    """An endpoint that says its address, and what it was told first, to whoever comes."""

    def __init__(self, address: str, proxy_protocol: bool) -> None:
        self.proxy_protocol = proxy_protocol
        self.address = address
        self.socket = socket.create_server((address, 8080))
        Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                told = connection.recv(28) if self.proxy_protocol else b""
                connection.sendall(told + self.address.encode())

    def close(self) -> None:
        if self.socket.fileno() >= 0:
            # close() alone does not wake the thread in accept().
            self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


@contextmanager
def started(*, proxy_protocol: bool = False) -> Iterator[list[Pod]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Pod(address, proxy_protocol))) for address in PODS]


def table_of(service: Service) -> ProxyTable:
    state = ClusterState.of([make_node(), service, make_slice("web", *PODS)])
    return full(compile_state(state, node_view(state, node="node-a")))


@contextmanager
def served(table: ProxyTable, folder: Path) -> Iterator[None]:
    """Run HAProxy with the configuration of a table for a while."""
    file = folder / "haproxy.cfg"
    file.write_text(haproxy_config(table)[0])
    with subprocess.Popen(["haproxy", "-db", "-q", "-f", str(file)]) as process:
        try:
            wait_for(table)
            yield
        finally:
            process.terminate()


def wait_for(table: ProxyTable) -> None:
    wanted = {f":{port:04X}" for port in table.ports.values()}
    end = time.monotonic() + LIMIT
    while not all(port in Path("/proc/thread-self/net/tcp").read_text() for port in wanted):
        assert time.monotonic() < end, "HAProxy does not listen"
        time.sleep(0.01)


def ask(table: ProxyTable, role: Role = "cluster", client: str = CLIENTS[0]) -> bytes:
    """Return what a client gets that comes to a listener; nothing if it is turned away."""
    port = next(port for name, port in table.ports.items() if name.role == role)
    found = b""
    with (
        suppress(ConnectionResetError),  # which may come before the connection is reported
        socket.create_connection(("127.0.0.1", port), LIMIT, (client, 0)) as connection,
    ):
        while data := connection.recv(4096):
            found += data
    return found


def test_turns_and_a_dead_endpoint(tmp_path: Path) -> None:
    """Endpoints take turns; when one has died, no client notices."""
    table = table_of(make_service())
    with served(table, tmp_path), started() as pods:
        assert Counter(ask(table) for _ in range(9)) == {a.encode(): 3 for a in PODS}
        pods[1].close()
        found = Counter(ask(table) for _ in range(9))
        assert set(found) == {PODS[0].encode(), PODS[2].encode()}


def test_affinity_and_the_clients_address(tmp_path: Path) -> None:
    """A client stays with its endpoint, which is told who the client is."""
    annotations = {"svcnet.io/proxy-protocol": "v2"}
    table = table_of(make_service(session_affinity="ClientIP", annotations=annotations))
    with served(table, tmp_path), started(proxy_protocol=True):
        for client in CLIENTS:
            answers = [ask(table, client=client) for _ in range(4)]
            assert len({answer[28:] for answer in answers}) == 1
            for header in answers:
                assert header[:12] == SIGNATURE
                assert header[16:20] == socket.inet_aton(client)


def test_source_ranges(tmp_path: Path) -> None:
    """Behind a firewall only its sources are let in; other listeners let in all."""
    service = make_service(
        type="LoadBalancer",
        load_balancer_ingress=(LoadBalancerIngress("203.0.113.20"),),
        load_balancer_source_ranges=(f"{CLIENTS[0]}/32",),
    )
    table = table_of(service)
    with served(table, tmp_path), started():
        assert ask(table, "firewall-cluster", CLIENTS[0])
        assert not ask(table, "firewall-cluster", CLIENTS[1])
        assert ask(table, "cluster", CLIENTS[1])
