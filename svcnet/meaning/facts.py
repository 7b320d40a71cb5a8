"""What a machine's rules ask of the machine: which addresses are its own, and its sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from attrs import frozen

from svcnet.family import IPFamily
from svcnet.graph import NodeSettings
from svcnet.meaning.spans import LOOPBACK, Span, number


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
    ``balances`` if it is known which virtual servers there are.
    """

    family: IPFamily = "IPv4"
    addresses: frozenset[int] = frozenset()
    sets: Mapping[str, SetMembers] = MappingProxyType({})
    interfaces: Mapping[Span, str] = MappingProxyType({})
    balances: bool = False

    @classmethod
    def of(cls, node: NodeSettings) -> Facts:
        """Return what the settings of a graph say of the node's machine."""
        return cls(node.family, frozenset(map(number, node.addresses)))

    def is_local(self, address: int) -> bool:
        """Return whether the kernel treats an address as the machine's own (type LOCAL)."""
        if address in self.addresses:
            return True
        if self.family == "IPv4":
            return LOOPBACK[0] <= address <= LOOPBACK[1]
        return address == 1

    def way_to(self, address: int) -> str:
        """Return the interface by which packets for an address leave, empty if nobody says."""
        if self.is_local(address):
            return "lo"
        found = [span for span in self.interfaces if span[0] <= address <= span[1]]
        return self.interfaces[min(found, key=lambda span: span[1] - span[0])] if found else ""
