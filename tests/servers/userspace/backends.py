"""Backends, clients and tables for tests of the proxy, all on loopback."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from attrs import define, field
from immutables import Map

from svcnet.graph import FragmentName, NodeSettings
from svcnet.renderers.userspace.table import (
    Answer,
    Backend,
    Listener,
    ListenerName,
    ProxiedPort,
    ProxyTable,
    Role,
)
from svcnet.servers.userspace import Proxy

WEB = FragmentName("default", "web", "http", "TCP")
DNS = FragmentName("default", "dns", "dns", "UDP")
PATIENCE = 10.0
RESET = struct.pack("ii", 1, 0)
LOOPBACK = {"IPv4": "127.0.0.1", "IPv6": "::1"}
ADDRESS_FAMILY = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}


def listener(
    *backends: Backend,
    role: Role = "cluster",
    answer: Answer = "serve",
    sources: tuple[str, ...] = (),
) -> Listener:
    return Listener(role, answer if backends or answer != "serve" else "refuse", backends, sources)


def service(
    *backends: Backend, name: FragmentName = WEB, affinity: int = 0, proxy_protocol: bool = False
) -> ProxiedPort:
    """Return a service port with one listener."""
    return ProxiedPort(name, (listener(*backends),), (), affinity, proxy_protocol)


def table(*services: ProxiedPort, family: str = "IPv4", first: int = 42_000) -> ProxyTable:
    """Return a table of service ports, with proxy ports from `first` on by name."""
    names = sorted(
        ListenerName(found.name, item.role) for found in services for item in found.listeners
    )
    return ProxyTable(
        NodeSettings(family=family),  # type: ignore[arg-type]
        Map({found.name: found for found in services}),
        Map({name: first + number for number, name in enumerate(names)}),
    )


@define
class Server:
    """A TCP server on a port of its own; each connection is a thread that calls `talk`.

    `talk` gets the connection and the server's name.
    """

    talk: Callable[[socket.socket, str], None]
    name: str = ""
    family: str = "IPv4"
    host: str | None = None
    sock: socket.socket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.sock = socket.socket(ADDRESS_FAMILY[self.family])
        self.sock.bind((LOOPBACK[self.family] if self.host is None else self.host, 0))
        self.sock.listen(1024)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def backend(self) -> Backend:
        return Backend(*self.sock.getsockname()[:2])

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.sock.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self.talk(connection, self.name)

    def close(self) -> None:
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def greet(connection: socket.socket, name: str) -> None:
    """Say the server's name, then give back what comes."""
    connection.sendall(f"{name}\n".encode())
    echo(connection, name)


def echo(connection: socket.socket, name: str) -> None:
    """Give back what comes."""
    while data := connection.recv(1 << 16):
        connection.sendall(data)


@define
class DatagramServer:
    """A UDP server that answers each datagram with its name and the datagram."""

    name: str = ""
    family: str = "IPv4"
    host: str | None = None
    sock: socket.socket = field(init=False)
    clients: set[Any] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.sock = socket.socket(ADDRESS_FAMILY[self.family], socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.sock.bind((LOOPBACK[self.family] if self.host is None else self.host, 0))
        threading.Thread(target=self._answer, daemon=True).start()

    @property
    def backend(self) -> Backend:
        return Backend(*self.sock.getsockname()[:2])

    def _answer(self) -> None:
        with suppress(OSError):
            while True:
                data, client = self.sock.recvfrom(1 << 16)
                if client is None:  # shut down
                    return
                self.clients.add(client)
                self.sock.sendto(self.name.encode() + b" " + data, client)

    def close(self) -> None:
        # A blocked receive is woken by a shutdown, not by a close.
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def dead_backend(family: str = "IPv4") -> Backend:
    """Return an address that refuses connections."""
    with socket.socket(ADDRESS_FAMILY[family]) as sock:
        sock.bind((LOOPBACK[family], 0))
        return Backend(*sock.getsockname()[:2])


@contextmanager
def running(wanted: ProxyTable, **options: Any) -> Iterator[Proxy]:
    """Run a proxy in a thread, on loopback."""
    proxy = Proxy(wanted, address=LOOPBACK[wanted.family], **options)
    thread = threading.Thread(target=proxy.run)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def port(proxy: Proxy, name: FragmentName = WEB, role: Role = "cluster") -> int:
    return proxy.ports[ListenerName(name, role)]


def connect(proxy: Proxy, name: FragmentName = WEB, role: Role = "cluster") -> socket.socket:
    """Return a connection to a listener."""
    address = (LOOPBACK[proxy.table.family], port(proxy, name, role))
    return socket.create_connection(address, PATIENCE)


def ask(proxy: Proxy, name: FragmentName = WEB, role: Role = "cluster") -> str:
    """Return the name of the server that answers a new connection, empty if it is reset."""
    with (
        suppress(ConnectionResetError),
        connect(proxy, name, role) as sock,
        sock.makefile("r") as lines,
    ):
        return lines.readline().strip()
    return ""


def received(sock: socket.socket) -> bytes:
    """Return all bytes until the other end's end."""
    parts = []
    while part := sock.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)
