"""The fields of packets that rules compare: which there are, and whose packets have a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from svcnet.family import IPFamily
from svcnet.meaning import spans
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import PacketHead
from svcnet.meaning.nftables.dice import Dice
from svcnet.meaning.sources import ALL, Sources, is_like

SOURCE_FIELDS = frozenset(("ip saddr", "ip6 saddr", "iifname"))
_VERSIONS: Mapping[str, IPFamily] = MappingProxyType({"ip": "IPv4", "ip6": "IPv6"})
_TRANSPORTS = frozenset(("tcp", "udp", "sctp"))


class NFTPackets(Protocol):
    """What questions are about: packets of some senders, to one destination at first."""

    sources: Sources
    facts: Facts
    protocol: str
    state: str
    start: PacketHead

    def remembers(self, container: tuple[str, str], seconds: int | None) -> int:
        """Return for whom rules have put an address into a set, no longer ago than that."""


class FieldNames:
    """Fields, one or several, that a rule compares at once, with dice among them or without."""

    def __init__(self, names: Sequence[str], dice: Dice | None = None) -> None:
        self.names = tuple(names)
        self.dice = dice
        are_open = [name in SOURCE_FIELDS for name in names]
        if dice is not None:
            are_open.insert(dice.at, True)
        self.are_open = tuple(are_open)
        """Which parts of a key are not known of a packet by its destination."""
        kinds = {name.partition(" ")[0] for name in names if " " in name}
        self._versions = {_VERSIONS[kind] for kind in kinds if kind in _VERSIONS}
        self._transports = kinds & _TRANSPORTS
        self._values = [_VALUES[name] for name in names if name not in SOURCE_FIELDS]

    def without_dice(self, key: Sequence[str]) -> Sequence[str]:
        """Return the parts of a key that are fields."""
        at = None if self.dice is None else self.dice.at
        return key if at is None else (*key[:at], *key[at + 1 :])

    def are_of(self, packets: NFTPackets) -> bool:
        """Return whether packets have all of them: a rule that asks for others never matches.

        Fields of an IP version or a transport protocol are those of its packets alone, whether they
        are to be equal to something or not.
        """
        family, protocol = packets.facts.family, packets.protocol
        return not (self._versions - {family} or self._transports - {protocol})

    def values(self, header: PacketHead, packets: NFTPackets) -> tuple[str, ...]:
        """Return those of a packet that do not depend on its sender."""
        return tuple([value(header, packets) for value in self._values])


def _destination(header: PacketHead, packets: NFTPackets) -> str:
    return spans.text_of(header.address, packets.facts.family)


def _port(header: PacketHead, packets: NFTPackets) -> str:
    return str(header.port)


def _protocol(header: PacketHead, packets: NFTPackets) -> str:
    return packets.protocol


def _version(header: PacketHead, packets: NFTPackets) -> str:
    return packets.facts.family.lower()


def _link_protocol(header: PacketHead, packets: NFTPackets) -> str:
    return "ip" if packets.facts.family == "IPv4" else "ip6"


_VALUES: Mapping[str, Callable[[PacketHead, NFTPackets], str]] = MappingProxyType(
    {
        "ip daddr": _destination,
        "ip6 daddr": _destination,
        "th dport": _port,
        "tcp dport": _port,
        "udp dport": _port,
        "sctp dport": _port,
        "meta l4proto": _protocol,
        "ip protocol": _protocol,
        "ip6 nexthdr": _protocol,
        "meta nfproto": _version,
        "meta protocol": _link_protocol,
    }
)
FIELDS = frozenset((*SOURCE_FIELDS, *_VALUES))


def mask_of(name: str, wanted: str, header: PacketHead, packets: NFTPackets) -> int:
    """Return for whom a field has a value, or is in a range of them. Raises ValueError."""
    if name == "iifname":
        pattern = interface_pattern(wanted)
        if header.is_looped:
            return ALL if is_like("lo", pattern) else 0
        return packets.sources.interface(pattern)
    if name.endswith("saddr"):
        return packets.sources.network(span_of(wanted))
    if name.endswith("daddr"):
        first, last = span_of(wanted)
        return ALL if first <= header.address <= last else 0
    if name.endswith("dport"):
        first, last = spans.numbers(wanted)
        return ALL if first <= header.port <= last else 0
    return ALL if wanted == _VALUES[name](header, packets) else 0


def interface_pattern(wanted: str) -> str:
    """Return an interface's name, with ``+`` at the end for any that begins so."""
    pattern = wanted.strip('"')
    return f"{pattern[:-1]}+" if pattern.endswith("*") else pattern


def span_of(text: str) -> spans.Span:
    """Return addresses such as ``10.0.0.0/8`` or ``10.0.0.1-10.0.0.9``. Raises ValueError."""
    return spans.between(text) if "-" in text else spans.network(text)
