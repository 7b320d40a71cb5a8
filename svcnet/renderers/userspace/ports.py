"""Proxy ports: chosen by chance, and always the same by that chance (:mod:`svcnet.slots`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from attrs import frozen
from immutables import Map, MapMutation

from svcnet.errors import Unsupported
from svcnet.renderers.userspace.choice import PortChoice
from svcnet.renderers.userspace.table import ListenerName
from svcnet.slots import number_of, occupy
from svcnet.words import count_noun

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
        wanted = count_noun(needed, "port")
        raise Unsupported(
            f"the proxy needs {wanted}, and the range {choice} has only {choice.size}"
        )
    slots, by_name, by_port = _Ports(choice), ports.mutate(), holders.mutate()
    for name in gone:
        _release(slots, name, by_name, by_port)
    for name in come:
        occupy(name, slots, by_name, by_port)
    return by_name.finish(), by_port.finish()


def _release(
    slots: _Ports,
    name: ListenerName,
    ports: MapMutation[ListenerName, int],
    holders: MapMutation[int, ListenerName],
) -> None:
    """Free a listener's port, and place those behind it, which may have met it, again."""
    port = ports.pop(name)
    del holders[port]
    behind = []
    while (port := slots.following(port)) in holders:
        behind.append(holders.pop(port))
    for moved in behind:
        occupy(moved, slots, ports, holders)


@frozen
class _Ports:
    """The ports of a range, and which one a listener would have."""

    choice: PortChoice

    def first(self, name: ListenerName) -> int:
        return self.choice.first + self._number(name) % self.choice.size

    def following(self, port: int) -> int:
        return port + 1 if port < self.choice.last else self.choice.first

    def priority(self, name: ListenerName) -> tuple[int, ListenerName]:
        return self._number(name), name

    def _number(self, name: ListenerName) -> int:
        return number_of((self.choice.seed, *name.service_port, name.role))
