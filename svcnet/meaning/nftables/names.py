"""What the words of rules name: destinations, ports, and the chains that they lead to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from svcnet.meaning.nftables.fields import span_of
from svcnet.meaning.nftables.tables import NFTLine, NFTMembers
from svcnet.meaning.spans import Span


class RuleWords:
    """Reads what rules name; sets and maps are those of their tables."""

    def __init__(self, containers: Mapping[tuple[str, str], NFTMembers]) -> None:
        self._containers = containers

    def chains_of(self, rule: NFTLine) -> Iterator[str]:
        """Yield the chains that a rule can lead to."""
        words = [*rule.words, *self.verdicts_of(rule)]
        for at, word in enumerate(words):
            if word in ("jump", "goto") and at + 1 < len(words):
                yield words[at + 1]

    def verdicts_of(self, rule: NFTLine) -> Iterator[str]:
        """Yield the words of the verdicts in the maps that a rule asks."""
        for word in rule.words:
            held = self._containers.get((rule.table, word[1:])) if word[:1] == "@" else None
            if held is not None:
                yield from (part for value in held.elements.values() for part in value.split())

    def ports_of(self, rule: NFTLine) -> Iterator[tuple[str, Span]]:
        """Yield the protocol and the ports that a rule names, unless with an address."""
        words = rule.words
        for at, word in enumerate(words):
            if word not in ("dport", "proto-dst"):
                continue
            joined = word == "dport" and words[at - 2] == "."
            if joined and words[at - 5] == ".":
                continue
            for value in self.values_of(rule, at + 1):
                parts = value.split(" . ")
                low, _, high = parts[-1].partition("-")
                if low.isdecimal():
                    protocol = parts[0] if joined else words[at - 1]
                    protocol = "th" if word == "proto-dst" else protocol
                    yield protocol, (int(low), int(high or low))

    def destinations_of(self, rule: NFTLine) -> Iterator[list[list[str]]]:
        """Yield what a rule compares destinations with, alone or with protocol and port.

        It is all values of one comparison at once. Behind a source they come with no port.
        """
        for at, word in enumerate(rule.words):
            if word != "daddr" or "fib" in rule.words[max(at - 1, 0) : at]:
                continue
            values = self.values_of(rule, end_of_fields(rule.words, at + 1))
            place = _place_of_field(rule.words, at)
            if not place:
                yield [value.split(" . ") for value in values]
            else:
                yield [[part] for value in values for part in value.split(" . ")[place : place + 1]]

    def values_of(self, rule: NFTLine, at: int) -> Iterable[str]:
        """Return what a field is compared with that ends before a word."""
        words = rule.words
        while at < len(words) and words[at] in ("!=", "==", "vmap"):
            at += 1
        if at >= len(words):
            return ()
        if words[at].startswith("@"):
            held = self._containers.get((rule.table, words[at][1:]))
            return () if held is None else held.elements
        if words[at] != "{":
            return (words[at],)
        inside = " ".join(words[at + 1 : words.index("}", at)])
        return [each.partition(" : ")[0] for each in inside.split(" , ")]

    def addresses_of(self, rule: NFTLine) -> Iterator[Span]:
        """Yield the addresses that a rule names, with a port or without."""
        for named in self.destinations_of(rule):
            for parts in named:
                with suppress(ValueError):
                    yield span_of(parts[0])


_INTERFACES = frozenset(("iif", "iifname", "oif", "oifname"))
"""Fields of one word."""


def end_of_fields(words: Sequence[str], at: int) -> int:
    """Return where the fields end of which one ends at a place, joined by dots."""
    while at + 1 < len(words) and words[at] == ".":
        at += 2 if words[at + 1] in _INTERFACES else 3
    return at


def _place_of_field(words: Sequence[str], at: int) -> int:
    """Return how many fields stand before the one whose last word is at a place."""
    found = 0
    at -= 2
    while at >= 0 and words[at] == ".":
        found += 1
        at -= 2 if words[at - 1] in _INTERFACES else 3
    return found
