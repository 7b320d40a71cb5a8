"""A server in a thread, clients with addresses of their own, and other servers of any kind."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
from attrs import define, field

from svcnet.discovery.dns import records
from svcnet.models import ClusterState, Endpoint
from svcnet.servers.dns.forwarding import Upstream
from svcnet.servers.dns.server import DNSServer
from svcnet.testing import make_service, make_slice
from tests.servers.monitoring.serving import running

LOOPBACK = "127.0.0.1"
HONEST = "127.0.0.2"
NAME = "web.shop.svc.cluster.local."
LARGE = "many.shop.svc.cluster.local."
SECONDS = 20
"""How long what is waited for may take on a busy machine."""

STATE = ClusterState.of(
    [
        make_service("web", cluster_ips=("10.96.0.10",)),
        make_service("out", type="ExternalName", cluster_ips=(), external_name="example.com"),
        make_service("many", cluster_ips=("None",)),
        make_slice("many", *(Endpoint((f"10.9.{n >> 8}.{n & 255}",)) for n in range(1000))),
    ]
)
ZONES = records(STATE)

Respond = Callable[[dns.message.Message], "list[bytes]"]


def query(name: str = NAME, rdtype: str = "A", **options: object) -> dns.message.Message:
    made: dns.message.Message = dns.message.make_query(name, rdtype, **options)  # type: ignore[arg-type]
    return made


def respond(asked: dns.message.Message, address: str = "192.0.2.1") -> bytes:
    """Return the answer of an honest server."""
    made = dns.message.make_response(asked)
    made.answer.append(dns.rrset.from_text(asked.question[0].name, 60, "IN", "A", address))
    return bytes(made.to_wire())


@define
class Served:
    """A server that runs, and what it has told."""

    port: int
    told: list[str]
    close: Callable[[], None]

    def ask(
        self,
        asked: dns.message.Message | None = None,
        *,
        tcp: bool = False,
        source: str = HONEST,
        seconds: float = SECONDS,
    ) -> dns.message.Message:
        by = dns.query.tcp if tcp else dns.query.udp
        return by(asked or query(), LOOPBACK, seconds, self.port, source=source)

    def connected(self, source: str = LOOPBACK) -> socket.socket:
        return socket.create_connection((LOOPBACK, self.port), SECONDS, source_address=(source, 0))


@contextmanager
def serving(
    forward: int | None = None, *, waiting: int = 1000, connections: int = 500
) -> Iterator[Served]:
    """Run a server on loopback, that asks another at the port `forward`."""
    told: list[str] = []
    with running() as loop:

        def start() -> DNSServer:
            upstream = None
            if forward is not None:
                upstream = Upstream(LOOPBACK, forward, told.append, waiting=waiting)
            where = [(LOOPBACK, 0)]
            return DNSServer(ZONES, where, told.append, upstream, connections=connections)

        def close() -> None:
            while servers:
                asyncio.run_coroutine_threadsafe(servers.pop().close(), loop.loop).result(SECONDS)

        server = loop.call(start)
        servers = [server]
        try:
            yield Served(server.where[0][1], told, close)
        finally:
            close()


@define
class Other:
    """Another server: what it was asked by UDP and TCP, in order, without probes for loops."""

    port: int
    asked: list[str] = field(factory=list)


@contextmanager
def answering(answer: Respond) -> Iterator[Other]:
    """Run a server by UDP and TCP that sends what `answer` returns, each as a message.

    By TCP each connection has one question.
    """
    with socket.create_server((LOOPBACK, 0)) as listening, socket.socket(type=2) as receiving:
        receiving.bind(listening.getsockname())
        other = Other(listening.getsockname()[1])

        def replies(wire: bytes) -> list[bytes]:
            asked = dns.message.from_wire(wire)
            if asked.question[0].rdtype == dns.rdatatype.HINFO:
                return [respond(asked)]
            other.asked.append(str(asked.question[0].name))
            return answer(asked)

        def by_udp() -> None:
            while (found := receiving.recvfrom(65535))[0]:
                for reply in replies(found[0]):
                    receiving.sendto(reply, found[1])

        def by_tcp() -> None:
            while True:
                with listening.accept()[0] as connection, connection.makefile("rb") as stream:
                    length = int.from_bytes(stream.read(2), "big")
                    if not length:
                        return
                    for reply in replies(stream.read(length)):
                        connection.sendall(len(reply).to_bytes(2, "big") + reply)

        threads = [threading.Thread(target=each, daemon=True) for each in (by_udp, by_tcp)]
        for thread in threads:
            thread.start()
        try:
            yield other
        finally:
            receiving.sendto(b"", receiving.getsockname())
            socket.create_connection(listening.getsockname()).close()
            for thread in threads:
                thread.join(SECONDS)
