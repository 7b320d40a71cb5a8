"""What a machine's rules ask of the machine: which addresses are its own, and its sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

from attrs import frozen

from svcnet.family import IPFamily
from svcnet.graph import NodeSettings
from svcnet.meaning.spans import LOOPBACK, Span, number


class SetMembers(Protocol):
    """A set of ipset whose members are known."""

    def members(self, port: int | None, protocol: str) -> Iterable[tuple[Span | None, ...]]:
        """Yield the members for a port and protocol, or all: a range for each part.

        It is None for a port.
        """


@frozen
class Facts:
    """What is known of the machine, for one IP family.

    ``addresses`` are its own, as numbers; 127.0.0.0/8 is its own in any case. ``sets`` are those
    of ipset, by name. ``interfaces`` says by which interface a network is reached.
    """

    family: IPFamily = "IPv4"
    addresses: frozenset[int] = frozenset()
    sets: Mapping[str, SetMembers] = MappingProxyType({})
    interfaces: Mapping[Span, str] = MappingProxyType({})

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
