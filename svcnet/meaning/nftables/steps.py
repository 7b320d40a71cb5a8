"""What a rule does, step by step: it asks, it changes packets, or it says where they go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from svcnet.family import IPFamily
from svcnet.meaning import spans
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Branch, PacketHead
from svcnet.meaning.nftables.dice import Dice
from svcnet.meaning.nftables.fields import FieldNames, NFTPackets, mask_of
from svcnet.meaning.nftables.tables import NFTElement, NFTLine, NFTMember, NFTMembers
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

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:  # noqa: ARG002
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

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:  # noqa: ARG002
        if not self._fields.are_of(packets):
            return 0
        found = packets.remembers(self._container, self._seconds)
        return ~found if self._is_negated else found


class StateTest(NFTTest):
    """``ct state``."""

    def __init__(self, names: frozenset[str], *, is_negated: bool) -> None:
        self._names = names
        self._is_negated = is_negated

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:  # noqa: ARG002
        found = packets.state.lower() in self._names
        return 0 if found == self._is_negated else ALL


class StatusTest(NFTTest):
    """``ct status`` of ``dnat`` and ``snat``."""

    def __init__(self, names: frozenset[str], *, is_negated: bool) -> None:
        self._names = names
        self._is_negated = is_negated

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:  # noqa: ARG002
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

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:  # noqa: ARG002
        first = packets.start.port if self._is_port else packets.start.address
        found = self._span[0] <= first <= self._span[1]
        return 0 if found == self._is_negated else ALL


class MarkTest(NFTTest):
    """``meta mark`` and ``ct mark``, or some of their bits."""

    def __init__(self, mark: MarkValue, wanted: frozenset[int], *, is_negated: bool) -> None:
        self._mark = mark
        self._wanted = wanted
        self._is_negated = is_negated

    def mask(self, header: PacketHead, packets: NFTPackets) -> int:  # noqa: ARG002
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


# Ends.


class Verdict(NFTEnd):
    """A verdict in words, such as ``accept`` or ``jump CHAIN``."""

    def __init__(self, verdict: str) -> None:
        self._verdict = verdict

    def verdicts(
        self,
        rule: NFTLine,  # noqa: ARG002
        flow: Branch,
        after: list[Branch],  # noqa: ARG002
        packets: NFTPackets,  # noqa: ARG002
        *,
        notes: bool,  # noqa: ARG002
    ) -> Verdicts:
        return ((flow, self._verdict),)


class MapEnd(NFTEnd):
    """A map that is asked; without an element for a packet the rule does not match it.

    `container` is the name of the map, empty for one that stands in the rule.
    """

    def __init__(self, key: FieldNames, elements: NFTMembers, container: str) -> None:
        self._key = key
        self._elements = elements
        self._container = container

    def verdicts(
        self,
        rule: NFTLine,
        flow: Branch,
        after: list[Branch],
        packets: NFTPackets,
        *,
        notes: bool,
    ) -> Verdicts:
        if not self._key.are_of(packets):
            after.append(flow)
            return ()
        found = matching(self._key, self._elements, flow.header, packets)
        dice = self._key.dice
        taken = take(flow, found, after) if dice is None else throw(flow, dice, found, after)
        is_told = notes and bool(self._elements.lines)
        return [
            self.end(hit.past(rule).past(self._member(rule, each)) if is_told else hit, each[1])
            for hit, each in taken
        ]

    def end(self, flow: Branch, value: str) -> tuple[Branch, str]:
        """Return what becomes of packets that an element is for, by its value."""
        raise NotImplementedError

    def _member(self, rule: NFTLine, element: NFTElement) -> NFTMember:
        key = " . ".join(element[0])
        line = self._elements.lines.get(key, 0)
        return NFTMember(rule.table, self._container, key, element[1], line)


class VerdictMap(MapEnd):
    """``vmap``."""

    def end(self, flow: Branch, value: str) -> tuple[Branch, str]:
        return flow, value


class TranslationMap(MapEnd):
    """``dnat to`` the place that a map has."""

    def end(self, flow: Branch, value: str) -> tuple[Branch, str]:
        return translate(flow, place_of(value)), "accept"


def take(
    flow: Branch, found: Iterable[tuple[int, NFTElement]], after: list[Branch]
) -> Iterator[tuple[Branch, NFTElement]]:
    """Yield what of a flow each element is for; the rest goes to `after`."""
    for mask, element in found:
        if both := flow.mask & mask:
            yield flow.of(both), element
            flow = flow.of(flow.mask & ~both)
    if flow.mask:
        after.append(flow)


def throw(
    flow: Branch,
    dice: Dice,
    found: Iterable[tuple[int, NFTElement]],
    after: list[Branch],
) -> Iterator[tuple[Branch, NFTElement]]:
    """Yield a flow with the luck of each element's numbers; that of others goes to `after`."""
    parts: list[tuple[int, list[tuple[Span, NFTElement]]]] = [(flow.mask, [])]
    for mask, element in found:
        numbers = dice.span_of(element[0])
        if numbers is None:
            continue
        for at in range(len(parts)):
            part, known = parts[at]
            if outside := part & ~mask:
                parts[at] = (outside, known)
                if part & mask:
                    parts.append((part & mask, [*known, (numbers, element)]))
            else:
                known.append((numbers, element))
    for part, known in parts:
        own = flow.of(part)
        for numbers, element in known:
            yield own.by(dice.luck(own.luck, (numbers,))), element
        missed = dice.others([numbers for numbers, _ in known])
        if missed:
            after.append(own.by(dice.luck(own.luck, missed)))


class StateMap(NFTEnd):
    """``ct state vmap``."""

    def __init__(self, elements: Mapping[str, str]) -> None:
        self._elements = elements

    def verdicts(
        self,
        rule: NFTLine,  # noqa: ARG002
        flow: Branch,
        after: list[Branch],
        packets: NFTPackets,
        *,
        notes: bool,  # noqa: ARG002
    ) -> Verdicts:
        verdict = self._elements.get(packets.state.lower())
        if verdict is None:
            after.append(flow)
            return ()
        return ((flow, verdict),)


class Translation(NFTEnd):
    """``dnat to`` a place."""

    def __init__(self, place: DestinationPlace) -> None:
        self._place = place

    def verdicts(
        self,
        rule: NFTLine,  # noqa: ARG002
        flow: Branch,
        after: list[Branch],  # noqa: ARG002
        packets: NFTPackets,  # noqa: ARG002
        *,
        notes: bool,  # noqa: ARG002
    ) -> Verdicts:
        return ((translate(flow, self._place), "accept"),)


class SourceChange(NFTEnd):
    """``masquerade`` and ``snat``; ``source`` is as text and as number, ``node`` without one."""

    def __init__(self, source: str, address: int | None = None) -> None:
        self._source = source
        self._address = address

    def verdicts(
        self,
        rule: NFTLine,  # noqa: ARG002
        flow: Branch,
        after: list[Branch],  # noqa: ARG002
        packets: NFTPackets,
        *,
        notes: bool,  # noqa: ARG002
    ) -> Verdicts:
        source = "node" if self._address in packets.facts.addresses else self._source
        return ((flow.with_header(flow.header.with_source(source)), "accept"),)


DestinationPlace: TypeAlias = tuple[int, int | None]
"""An address, and a port; None for the one that packets are for."""


def translate(flow: Branch, place: DestinationPlace) -> Branch:
    """Return a flow that is headed for a place."""
    address, port = place
    return flow.with_header(
        flow.header.with_destination(address, flow.header.port if port is None else port)
    )


@lru_cache(1 << 17)
def place_of(text: str) -> DestinationPlace:
    """Return the place in ``10.0.0.1:80``, ``10.0.0.1 . 80``, ``[fd00::1]:80`` or without a port.

    Raises ValueError.
    """
    address, joined, port = text.partition(" . ")
    if not joined and (text[:1] == "[" or text.count(":") == 1):
        address, _, port = text.rpartition(":")
        if text[:1] == "[" and text[-1:] == "]":
            address, port = text, ""
    return spans.number(address.strip("[]")), int(port) if port else None
