"""Whatever tables a proxy has followed, it serves what the last one says."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence
from contextlib import suppress

import pytest

from svcnet.graph import FragmentName
from svcnet.renderers.userspace.table import Backend, Listener, ListenerName, ProxiedPort
from svcnet.servers.userspace import Proxy
from svcnet.servers.userspace import proxy as proxy_module
from tests.servers.userspace.backends import (
    ADDRESS_FAMILY,
    LOOPBACK,
    DatagramServer,
    Server,
    ask,
    greet,
    running,
    table,
)

STEPS = 40
NAMES = tuple(
    FragmentName("default", f"{protocol.lower()}-{number}", "", protocol)
    for protocol in ("TCP", "UDP")
    for number in range(3)
)
Servers = Sequence[Server | DatagramServer]
OPEN = {"IPv4": "127.0.0.0/8", "IPv6": "::1/128"}
CLOSED = {"IPv4": "10.0.0.0/8", "IPv6": "fd00::/8"}


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_any_history(family: str, workers: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Services come, change and go at random; each listener answers as it should."""
    monkeypatch.setattr(proxy_module, "GRACE_SECONDS", 0.02)
    chance = random.Random(f"{family} {workers} {seed}")
    backends: dict[str, Servers] = {
        "TCP": [Server(greet, name, family) for name in "abc"],
        "UDP": [DatagramServer(name, family) for name in "abc"],
    }
    state: dict[FragmentName, ProxiedPort] = {}
    with running(table(family=family, first=50_000), workers=workers, udp_idle=60) as proxy:
        for _ in range(STEPS):
            for name in chance.sample(NAMES, chance.randint(1, 3)):
                if chance.random() < 0.25:
                    state.pop(name, None)
                else:
                    state[name] = some(name, backends[name.protocol], family, chance)
            proxy.update(table(*state.values(), family=family, first=50_000))
            for config in state.values():
                for listener in config.listeners:
                    check(proxy, config.name, listener, backends[config.name.protocol])
    for server in (*backends["TCP"], *backends["UDP"]):
        server.close()


def some(
    name: FragmentName,
    servers: Servers,
    family: str,
    chance: random.Random,
) -> ProxiedPort:
    """Return a service port with one or two listeners that do anything but drop."""
    listeners = []
    for role in ("cluster", "firewall-cluster")[: chance.randint(1, 2)]:
        chosen = chance.sample(servers, chance.randint(0, 3))
        sources = {"cluster": (), "firewall-cluster": (OPEN[family],)}[role]
        answer = "serve" if chosen else "refuse"
        found = tuple(server.backend for server in chosen)
        listeners.append(Listener(role, answer, found, sources))  # type: ignore[arg-type]
    return ProxiedPort(name, tuple(listeners), (), affinity=chance.choice((0, 60)))


def check(
    proxy: Proxy,
    name: FragmentName,
    listener: Listener,
    servers: Servers,
) -> None:
    names: dict[Backend, str] = {server.backend: server.name for server in servers}
    wanted = {names[backend] for backend in listener.backends} or {"refused"}
    with suppress(ConnectionRefusedError):
        if name.protocol == "TCP":
            assert ask(proxy, name, listener.role) in wanted
        else:
            assert ask_by_datagram(proxy, name, listener) in wanted
        return
    assert wanted == {"refused"}


def ask_by_datagram(proxy: Proxy, name: FragmentName, listener: Listener) -> str:
    family = proxy.table.family
    with socket.socket(ADDRESS_FAMILY[family], socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect((LOOPBACK[family], proxy.ports[ListenerName(name, listener.role)]))
        sock.send(b"?")
        return sock.recv(100).decode().split()[0]
