"""How rules end: with a verdict in words, one that a map has, or a translation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

from svcnet.meaning import spans
from svcnet.meaning.flow import Branch
from svcnet.meaning.nftables.dice import Dice
from svcnet.meaning.nftables.fields import FieldNames, NFTPackets
from svcnet.meaning.nftables.steps import NFTEnd, Verdicts, matching
from svcnet.meaning.nftables.tables import NFTElement, NFTLine, NFTMember, NFTMembers
from svcnet.meaning.spans import Span


class Verdict(NFTEnd):
    """A verdict in words, such as ``accept`` or ``jump CHAIN``."""

    def __init__(self, verdict: str) -> None:
        self._verdict = verdict

    def verdicts(
        self, rule: NFTLine, flow: Branch, after: list[Branch], packets: NFTPackets, *, notes: bool
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
        self, rule: NFTLine, flow: Branch, after: list[Branch], packets: NFTPackets, *, notes: bool
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
        self, rule: NFTLine, flow: Branch, after: list[Branch], packets: NFTPackets, *, notes: bool
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
        self, rule: NFTLine, flow: Branch, after: list[Branch], packets: NFTPackets, *, notes: bool
    ) -> Verdicts:
        return ((translate(flow, self._place), "accept"),)


class SourceChange(NFTEnd):
    """``masquerade`` and ``snat``; ``source`` is as text and as number, ``node`` without one."""

    def __init__(self, source: str, address: int | None = None) -> None:
        self._source = source
        self._address = address

    def verdicts(
        self, rule: NFTLine, flow: Branch, after: list[Branch], packets: NFTPackets, *, notes: bool
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
