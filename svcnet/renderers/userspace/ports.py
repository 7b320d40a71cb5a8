"""Proxy ports: chosen by chance, and always the same by that chance.

A listener's name and a seed give a number, and the number a port. Where two listeners
meet on a port, the one with the smaller number has it and the other goes on to the next.
So the ports depend on the listeners that there are and never on the order in which they
came, and one that comes or goes moves only those that it meets (Blelloch and Golovin,
"Strongly history-independent hashing with applications", 2007).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import TypeAlias

from immutables import Map, MapMutation

from svcnet.errors import Unsupported
from svcnet.renderers.userspace.choice import PortChoice
from svcnet.renderers.userspace.table import ListenerName

Ports: TypeAlias = Map[ListenerName, int]
Holders: TypeAlias = Map[int, ListenerName]


def choose(
    choice: PortChoice,
    come: Iterable[ListenerName],
    gone: Iterable[ListenerName] = (),
    ports: Ports = Map(),
    holders: Holders = Map(),
) -> tuple[Ports, Holders]:
    """Return the port of each listener, and the listener of each port, after a change.

    Raises Unsupported when there are more listeners than ports.
    """
    come, gone = tuple(come), tuple(gone)
    needed = len(ports) - len(gone) + len(come)
    if needed > choice.size:
        raise Unsupported(
            f"the proxy needs {needed} ports, and the range {choice} has only {choice.size}"
        )
    by_name, by_port = ports.mutate(), holders.mutate()
    for name in gone:
        _release(choice, name, by_name, by_port)
    for name in come:
        _assign(choice, name, by_name, by_port)
    return by_name.finish(), by_port.finish()


def _assign(
    choice: PortChoice,
    name: ListenerName,
    ports: MapMutation[ListenerName, int],
    holders: MapMutation[int, ListenerName],
) -> None:
    port = choice.first + _number(name, choice.seed) % choice.size
    while (holder := holders.get(port)) is not None:
        if _priority(name, choice) < _priority(holder, choice):
            holders[port], ports[name] = name, port
            name = holder
        port = _next(port, choice)
    holders[port], ports[name] = name, port


def _release(
    choice: PortChoice,
    name: ListenerName,
    ports: MapMutation[ListenerName, int],
    holders: MapMutation[int, ListenerName],
) -> None:
    """Free a listener's port, and place those behind it, which may have met it, again."""
    port = ports.pop(name)
    del holders[port]
    behind = []
    while (port := _next(port, choice)) in holders:
        behind.append(holders.pop(port))
    for moved in behind:
        _assign(choice, moved, ports, holders)


def _next(port: int, choice: PortChoice) -> int:
    return port + 1 if port < choice.last else choice.first


def _priority(name: ListenerName, choice: PortChoice) -> tuple[int, ListenerName]:
    return _number(name, choice.seed), name


def _number(name: ListenerName, seed: str) -> int:
    text = "/".join((seed, *name.service_port, name.role))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
