"""Who some senders are, in a few words: by the kinds that people think of, and by ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, summarize_address_range

from svcnet.graph import LocalDetector
from svcnet.meaning.comparison.change import SenderKind
from svcnet.meaning.comparison.intent import Heading
from svcnet.meaning.own_senders import OwnSenders
from svcnet.meaning.sources import Memory, Senders
from svcnet.meaning.spans import Span, text_of

Place = tuple[str, int]
"""An interface, and the number of a range of addresses."""


class SenderGroups:
    """The senders of packets for one destination, by kind.

    Pods are told by `detectors`, one a side; `endpoints` are the addresses of those that the
    packets may be sent to.
    """

    def __init__(
        self,
        target: Heading,
        sources: Senders | OwnSenders,
        detectors: Sequence[LocalDetector],
        endpoints: frozenset[int],
    ) -> None:
        self._is_node = target.is_node
        self._sources = sources
        self._detectors = detectors
        self._endpoints = endpoints
        self._all: dict[str, set[Place]] = {}
        for interface, memory, ranges in sources.blocks(sources.everybody):
            if memory.endpoint is None:
                for place in _places(interface, ranges):
                    self._all.setdefault(self._kind(place), set()).add(place)

    def parts(self, mask: int) -> Iterator[tuple[tuple[SenderKind, ...], int]]:
        """Yield senders of `mask` that are told of together, and their bits.

        Whoever is no endpoint and not remembered is one part, and each of the others another.
        """
        plain: dict[str, set[Place]] = {}
        bits = 0
        for interface, memory, ranges in self._sources.blocks(mask):
            if memory.endpoint is not None:
                yield from self._affinity_senders(interface, memory, ranges)
                continue
            for place in _places(interface, ranges):
                kind = self._kind(place)
                one = self._sources.bits(interface, memory, 1 << place[1])
                if kind == "endpoint":
                    yield (SenderKind(kind),), one
                else:
                    plain.setdefault(kind, set()).add(place)
                    bits |= one
        if plain:
            yield (
                tuple(each for kind in plain for each in self._split_kind(kind, plain[kind])),
                bits,
            )

    def _affinity_senders(
        self, interface: str, memory: Memory, ranges: int
    ) -> Iterator[tuple[tuple[SenderKind, ...], int]]:
        """Yield senders that are remembered: whoever is no endpoint, and each of the others."""
        others = 0
        for place in _places(interface, ranges):
            one = 1 << place[1]
            if self._kind(place) == "endpoint":
                kinds = SenderKind("remembered"), SenderKind("endpoint")
                yield kinds, self._sources.bits(interface, memory, one)
            else:
                others |= one
        if others:
            yield (SenderKind("remembered"),), self._sources.bits(interface, memory, others)

    def _kind(self, place: Place) -> str:
        if self._is_node:
            return "node"
        interface, at = place
        _, address = self._sources.range_of(at)
        text = text_of(address, "IPv6" if self._sources.is_long else "IPv4")
        if address in self._endpoints:
            return "endpoint"
        is_pod = any(each.is_local(text, interface) for each in self._detectors)
        return "pod" if is_pod else "outside"

    def _split_kind(self, kind: str, places: set[Place]) -> Iterator[SenderKind]:
        """Yield senders of one kind: all of them, or by interface and range."""
        every = self._all[kind]
        if places == every:
            yield SenderKind(kind)
            return
        numbers = {at for _, at in places}
        if places == {place for place in every if place[1] in numbers}:
            yield SenderKind(kind, self._networks(numbers))
            return
        for interface in sorted({interface for interface, _ in places}):
            there = {at for name, at in places if name == interface}
            is_all = there == {at for name, at in every if name == interface}
            yield SenderKind(kind, () if is_all else self._networks(there), interface)

    def _networks(self, numbers: set[int]) -> tuple[str, ...]:
        """Return ranges as networks, those joined that follow each other."""
        spans: list[Span] = []
        for at in sorted(numbers):
            (first, last), _ = self._sources.range_of(at)
            if spans and spans[-1][1] + 1 == first:
                first = spans.pop()[0]
            spans.append((first, last))
        kind = IPv6Address if self._sources.is_long else IPv4Address
        return tuple(
            str(network).removesuffix("/32" if kind is IPv4Address else "/128")
            for first, last in spans
            for network in summarize_address_range(kind(first), kind(last))
        )


def _places(interface: str, ranges: int) -> Iterator[Place]:
    """Yield the places that bits stand for."""
    while ranges:
        low = ranges & -ranges
        yield interface, low.bit_length() - 1
        ranges &= ~low
