"""What a machine's rules ask of the machine: which addresses are its own, and its sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple, Protocol

from attrs import frozen

from svcnet.family import IPFamily
from svcnet.graph import NodeSettings
from svcnet.meaning.spans import LOOPBACK, Span, number

OWN = -1
"""Stands for an address of the machine's own of which nobody says which one it is."""


class SetPlace(NamedTuple):
    """Addresses, a protocol and ports, each None if it does not matter."""

    addresses: Span | None
    protocol: str | None
    ports: Span | None


class SetSenders(NamedTuple):
    """Who is in a set: anybody, who has one of some addresses, or is in all of some ranges."""

    is_anybody: bool
    addresses: frozenset[int]
    ranges: tuple[tuple[Span, ...], ...]

    def __bool__(self) -> bool:
        return self.is_anybody or bool(self.addresses) or bool(self.ranges)


class SetMembers(Protocol):
    """A set of ipset whose members are known: what its parts are, and of which family it is.

    ``family`` is None for a set that has no addresses.
    """

    parts: tuple[str, ...]
    family: IPFamily | None

    def senders(
        self, directions: tuple[str, ...], address: int, protocol: str, port: int
    ) -> SetSenders:
        """Return who is in it of those that send to a destination."""

    def destinations(self, directions: tuple[str, ...]) -> Iterable[SetPlace]:
        """Yield what each member says of the destination."""


@frozen
class Facts:
    """What is known of the machine, for one IP family.

    ``addresses`` are its own, as numbers; 127.0.0.0/8 is its own in any case. ``sets`` are those
    of ipset, by name. ``interfaces`` says by which interface a network is reached. It
    ``balances`` if it is known which virtual servers there are. Packets ``may_bridge`` unless it is
    known that no interface is part of a bridge; ``bare`` are the interfaces that are known to have
    no address. Of its addresses those that are ``held`` are there for Services alone.
    """

    family: IPFamily = "IPv4"
    addresses: frozenset[int] = frozenset()
    sets: Mapping[str, SetMembers] = MappingProxyType({})
    interfaces: Mapping[Span, str] = MappingProxyType({})
    balances: bool = False
    may_bridge: bool = True
    bare: frozenset[str] = frozenset()
    held: frozenset[int] = frozenset()

    @classmethod
    def of(cls, node: NodeSettings) -> Facts:
        """Return what the settings of a graph say of the node's machine."""
        return cls(node.family, frozenset(map(number, node.addresses)))

    def is_local(self, address: int) -> bool:
        """Return whether the kernel treats an address as the machine's own (type LOCAL)."""
        if address == OWN or address in self.addresses:
            return True
        return self._is_loopback(address)

    @cached_property
    def own_address(self) -> int:
        """Return the address that the machine has beside loopback, OWN if that is not one."""
        found = [each for each in self.addresses if not self._is_loopback(each)]
        return found[0] if len(found) == 1 else OWN

    def _is_loopback(self, address: int) -> bool:
        if self.family == "IPv4":
            return LOOPBACK[0] <= address <= LOOPBACK[1]
        return address == 1

    def way_to(self, address: int) -> str:
        """Return the interface by which packets for an address leave, empty if nobody says."""
        if self.is_local(address):
            return "lo"
        found = [span for span in self.interfaces if span[0] <= address <= span[1]]
        return self.interfaces[min(found, key=lambda span: span[1] - span[0])] if found else ""
