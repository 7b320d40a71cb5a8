"""What a rule does, step by step: it asks, it changes packets, and its end says where they go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from svcnet.family import IPFamily
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Branch, PacketHead
from svcnet.meaning.nftables.fields import FieldNames, NFTPackets, mask_of
from svcnet.meaning.nftables.tables import NFTElement, NFTLine, NFTMembers
from svcnet.meaning.sources import ALL
from svcnet.meaning.spans import Span

Verdicts: TypeAlias = Sequence[tuple[Branch, str]]
"""Flows that a rule matches, each with its verdict."""

_WORD = 0xFFFFFFFF


class NFTTest:
    """A question about packets. ``at`` is the place of its first word in the rule."""

    at = 0

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:
        """Return for whom it is true. Raises ValueError if nobody can say."""
        raise NotImplementedError


class NFTChange:
    """A change of packets after which the rule goes on."""

    at = 0

    def apply(self, header: PacketHead) -> PacketHead:
        """Return what a packet is after it."""
        raise NotImplementedError


class NFTEnd:
    """The end of a rule, for those whom it has matched."""

    at = 0

    def verdicts(
        self, rule: NFTLine, flow: Branch, after: list[Branch], packets: NFTPackets, *, notes: bool
    ) -> Verdicts:
        """Return what becomes of a flow; those whom the end does not match go to `after`."""
        raise NotImplementedError


class OutBy:
    """``oifname`` and ``oif``: the interface that packets leave by."""

    def __init__(self, pattern: str, is_negated: bool) -> None:
        self.pattern = pattern
        self.is_negated = is_negated
        self.at = 0


class Unreadable:
    """Words that nobody here understands, from some place on."""

    def __init__(self) -> None:
        self.at = 0


NFTStep: TypeAlias = NFTTest | NFTChange | NFTEnd | OutBy | Unreadable


# Questions.


class Always(NFTTest):
    """What is true, or false, of every first packet of a connection."""

    def __init__(self, is_true: bool) -> None:
        self._mask = ALL if is_true else 0

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:
        return self._mask


class FieldTest(NFTTest):
    """Fields, one or several, that are compared with a value or with those in a set."""

    def __init__(
        self,
        fields: FieldNames,
        wanted: tuple[str, ...] | NFTMembers,
        *,
        is_negated: bool,
    ) -> None:
        self._fields = fields
        self._wanted = wanted
        self._is_negated = is_negated

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:
        if not self._fields.are_of(packets):
            return 0
        if isinstance(self._wanted, tuple):
            found = _match(self._fields.names, self._wanted, header, packets)
        else:
            found = 0
            for mask, _ in matching(self._fields, self._wanted, header, packets):
                found |= mask
        return ~found if self._is_negated else found


class SetTest(NFTTest):
    """A source that is compared with those in a set which rules fill."""

    def __init__(
        self, name: str, container: tuple[str, str], seconds: int | None, *, is_negated: bool
    ) -> None:
        self._fields = FieldNames((name,))
        self._container = container
        self._seconds = seconds
        self._is_negated = is_negated

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:
        if not self._fields.are_of(packets):
            return 0
        found = packets.remembers(self._container, self._seconds)
        return ~found if self._is_negated else found


class StateTest(NFTTest):
    """``ct state``."""

    def __init__(self, names: frozenset[str], *, is_negated: bool) -> None:
        self._names = names
        self._is_negated = is_negated

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:
        found = packets.state.lower() in self._names
        return 0 if found == self._is_negated else ALL


class StatusTest(NFTTest):
    """``ct status`` of ``dnat`` and ``snat``."""

    def __init__(self, names: frozenset[str], *, is_negated: bool) -> None:
        self._names = names
        self._is_negated = is_negated

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:
        found = ("dnat" in self._names and header.is_translated) or (
            "snat" in self._names and bool(header.source)
        )
        return 0 if found == self._is_negated else ALL


class OriginTest(NFTTest):
    """``ct original``: where packets were headed before anything was done to them."""

    def __init__(self, span: Span, *, is_port: bool, is_negated: bool) -> None:
        self._span = span
        self._is_port = is_port
        self._is_negated = is_negated

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:
        first = packets.start.port if self._is_port else packets.start.address
        found = self._span[0] <= first <= self._span[1]
        return 0 if found == self._is_negated else ALL


class MarkTest(NFTTest):
    """``meta mark`` and ``ct mark``, or some of their bits."""

    def __init__(self, mark: MarkValue, wanted: frozenset[int], *, is_negated: bool) -> None:
        self._mark = mark
        self._wanted = wanted
        self._is_negated = is_negated

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:
        return 0 if (self._mark.of(header) in self._wanted) == self._is_negated else ALL


class TypeTest(NFTTest):
    """``fib daddr type`` and ``fib saddr type``: what an address is to the kernel's routes.

    With ``iif`` it is local only if the interface that the packet came by has it.
    """

    def __init__(
        self, side: str, types: frozenset[str], *, by_interface: bool, is_negated: bool
    ) -> None:
        self._side = side
        self._types = types
        self._by_interface = by_interface
        self._is_negated = is_negated

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:
        if self._side == "saddr":
            own = packets.sources.local(packets.facts.is_local)
            found = own if "local" in self._types else 0
            if "unicast" in self._types:
                found |= ~own
        else:
            found = ALL if self._has(header.address, packets.facts) else 0
        return ~found if self._is_negated else found

    def _has(self, address: int, facts: Facts) -> bool:
        types = address_types(address, facts)
        if self._by_interface and "local" in types:
            # One that another interface has is taken for anybody's.
            types = frozenset(("local", "unicast"))
        found = {each in self._types for each in types}
        if len(found) > 1:
            raise ValueError(address)
        return found.pop()


def address_types(address: int, facts: Facts) -> frozenset[str]:
    """Return the types that an address may be of: one, where that is known.

    Source: Linux ``net/ipv4/fib_frontend.c`` (``__inet_dev_addr_type``).
    """
    if facts.is_local(address):
        return frozenset(("local",))
    for type_, (low, high) in _SPECIAL[facts.family]:
        if low <= address <= high:
            return frozenset((type_,))
    # It is the first or the last address of a network that an interface is in.
    if facts.interfaces and not any(address in span for span in facts.interfaces):
        return frozenset(("unicast",))
    return frozenset(("unicast", "broadcast" if facts.family == "IPv4" else "anycast"))


def special_networks(family: IPFamily) -> list[Span]:
    """Return the networks whose addresses are of another type than most."""
    return [span for _, span in _SPECIAL[family]]


_SPECIAL: Mapping[IPFamily, tuple[tuple[str, Span], ...]] = MappingProxyType(
    {
        "IPv4": (
            ("broadcast", (0, 0xFFFFFF)),
            ("multicast", (224 << 24, (240 << 24) - 1)),
            ("broadcast", (_WORD, _WORD)),
        ),
        "IPv6": (("multicast", (0xFF << 120, (1 << 128) - 1)),),
    }
)


def _match(
    names: Sequence[str], key: Sequence[str], header: PacketHead, packets: NFTPackets
) -> int:
    if len(names) != len(key):
        raise ValueError(key)
    found = ALL
    for name, wanted in zip(names, key, strict=True):
        found &= mask_of(name, wanted, header, packets)
        if not found:
            return 0
    return found


def matching(
    key: FieldNames, container: NFTMembers, header: PacketHead, packets: NFTPackets
) -> Iterator[tuple[int, NFTElement]]:
    """Yield for whom an element of a container is right, whatever dice say. Raises ValueError."""
    for element in container.find(key.are_open, key.values(header, packets)):
        if mask := _match(key.names, key.without_dice(element[0]), header, packets):
            yield mask, element


# Changes.


class MarkValue:
    """A mark that is worked out: one that packets have or a number, and what is done to it."""

    def __init__(self, base: str | int, signs: Sequence[tuple[str, int]] = ()) -> None:
        self._base = base
        self._signs = signs

    def of(self, header: PacketHead) -> int:
        """Return it, of a packet."""
        base = self._base
        mark = base if isinstance(base, int) else header.mark if base == "meta" else header.connmark
        for sign, bits in self._signs:
            mark = {"|": mark | bits, "^": mark ^ bits, "&": mark & bits}[sign]
        return mark & _WORD


class MarkChange(NFTChange):
    """``meta mark set`` and ``ct mark set``."""

    def __init__(self, value: MarkValue, *, is_connection: bool) -> None:
        self._value = value
        self._is_connection = is_connection

    def apply(self, header: PacketHead) -> PacketHead:
        mark = self._value.of(header)
        if self._is_connection:
            return header.with_marks(header.mark, mark)
        return header.with_marks(mark, header.connmark)
