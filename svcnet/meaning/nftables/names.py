"""What the words of rules name: destinations, ports, and the chains that they lead to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from svcnet.meaning.nftables.fields import SOURCE_FIELDS, span_of
from svcnet.meaning.nftables.tables import NFTLine, NFTMembers
from svcnet.meaning.spans import Span, numbers


class NamedDestination(NamedTuple):
    """Addresses, a protocol and ports, each None for any."""

    addresses: Span | None
    protocol: str | None
    ports: Span | None


class NamedDestinations(NamedTuple):
    """The destinations that a rule compares packets with, at once.

    They ``have_addresses`` or ports alone, and ``are_all`` that it matches. With ``of_some`` it
    asks for the sender as well, and if it ``is_negated`` for all others.
    """

    all: tuple[NamedDestination, ...]
    are_all: bool
    have_addresses: bool
    of_some: bool
    is_negated: bool

    def addresses(self) -> Iterator[Span]:
        """Yield the addresses."""
        return (each.addresses for each in self.all if each.addresses is not None)


class RuleWords:
    """Reads what rules name; sets and maps are those of their tables."""

    def __init__(self, containers: Mapping[tuple[str, str], NFTMembers]) -> None:
        self._containers = containers
        self._verdicts: dict[tuple[str, str], tuple[str, ...]] = {}
        self._known: dict[object, _Read] = {}

    def chains_of(self, rule: NFTLine) -> Iterator[str]:
        """Yield the chains that a rule can lead to."""
        for words in (rule.words, *self._maps_of(rule)):
            for at, word in enumerate(words):
                if word in ("jump", "goto") and at + 1 < len(words):
                    yield words[at + 1]

    def verdicts_of(self, rule: NFTLine) -> Iterator[str]:
        """Yield the words of the verdicts in the maps that a rule asks, each once."""
        for words in self._maps_of(rule):
            yield from words

    def _maps_of(self, rule: NFTLine) -> Iterator[tuple[str, ...]]:
        for word in rule.words:
            if word[:1] == "@":
                place = rule.table, word[1:]
                if place not in self._verdicts:
                    self._verdicts[place] = self._words_of(place)
                yield self._verdicts[place]

    def _words_of(self, place: tuple[str, str]) -> tuple[str, ...]:
        """Return the words of the verdicts in a map, those of equal ones once."""
        held = self._containers.get(place)
        if held is None:
            return ()
        return tuple(
            word for value in dict.fromkeys(held.elements.values()) for word in value.split()
        )

    def destinations_of(self, rule: NFTLine) -> Iterator[NamedDestinations]:
        """Yield what a rule compares destinations with, alone or joined with other fields."""
        words = rule.words
        for fields, at in _fields_of(words):
            place = Places.of(fields)
            if place is None:
                continue
            yield NamedDestinations(
                *self._read(rule, fields, place, at),
                place.address is not None,
                not SOURCE_FIELDS.isdisjoint(fields),
                words[at : at + 1] == ("!=",),
            )

    def each_once(self, rules: Iterable[NFTLine]) -> Iterator[NamedDestinations]:
        """Yield the destinations that rules compare with, those in one map once."""
        seen: dict[int, object] = {}
        for rule in rules:
            for named in self.destinations_of(rule):
                if id(named.all) not in seen:
                    seen[id(named.all)] = named.all
                    yield named

    def _read(self, rule: NFTLine, fields: tuple[str, ...], place: Places, at: int) -> _Read:
        """Return what fields are compared with in words from a place on; a set is read once."""
        words = rule.words
        while at < len(words) and words[at] in ("!=", "==", "vmap", "map"):
            at += 1
        if words[at : at + 1] and words[at].startswith("@"):
            key = rule.table, words[at], place
            if key not in self._known:
                held = self._containers.get((rule.table, words[at][1:]))
                if held is None or held.is_dynamic:
                    self._known[key] = (), False
                else:
                    self._known[key] = place.read(held.elements)
            return self._known[key]
        if words[at : at + 1] != ("{",):
            return place.read([" ".join(words[at : at + 2 * len(fields) - 1])])
        inside = " ".join(words[at + 1 : words.index("}", at)])
        return place.read(each.partition(" : ")[0] for each in inside.split(" , "))


_Read: TypeAlias = tuple[tuple[NamedDestination, ...], bool]
"""Destinations, and whether they are all."""


class Places(NamedTuple):
    """Where in fields that are joined the address is, the protocol and the port; None for nowhere.

    ``transport`` is the protocol that the field of the port says itself, ``th`` for any.
    """

    address: int | None
    protocol: int | None
    port: int | None
    transport: str | None

    @classmethod
    def of(cls, fields: Sequence[str]) -> Places | None:
        """Return the places in some fields, None if none is of a destination."""
        address = protocol = port = None
        transport = None
        for at, field in enumerate(fields):
            what = field.rpartition(" ")[2]
            if what == "daddr":
                address = at
            elif what in ("dport", "proto-dst"):
                port, transport = at, "th" if what == "proto-dst" else field.partition(" ")[0]
            elif what in ("l4proto", "protocol", "nexthdr"):
                protocol = at
        if address is None and port is None:
            return None
        return cls(address, protocol, port, transport)

    def read(self, keys: Iterable[str]) -> _Read:
        """Return the destinations that keys are about, each once, and whether none was odd."""
        found: dict[tuple[str, str, str], None] = {}
        are_all = True
        for key in keys:
            parts = key.split(" . ")
            try:
                found[self._part(parts, 0), self._part(parts, 1), self._part(parts, 2)] = None
            except IndexError:
                are_all = False
        named = []
        for address, protocol, port in found:
            try:
                named.append(
                    NamedDestination(
                        span_of(address) if address else None,
                        protocol or self.transport,
                        numbers(port) if port else None,
                    )
                )
            except ValueError:
                are_all = False
        return tuple(named), are_all

    def _part(self, parts: Sequence[str], which: int) -> str:
        at = self[which]
        return "" if not isinstance(at, int) else parts[at]


_INTERFACES = frozenset(("iif", "iifname", "oif", "oifname"))
"""Fields of one word."""

_HEADERS = frozenset(
    ("ip", "ip6", "tcp", "udp", "sctp", "th", "meta", "ct", "numgen", *_INTERFACES)
)
"""Words that a field begins with."""


def _fields_of(words: Sequence[str]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield fields, those that are joined by dots at once, and where they end."""
    at = 0
    while at < len(words):
        fields: list[str] = []
        end = at
        while end < len(words) and words[end] in _HEADERS:
            begin, end = end, end + _length(words, end)
            fields.append(" ".join(words[begin:end]))
            if words[end : end + 1] != (".",):
                break
            end += 1
        if Places.of(fields) is None:
            at += 1
        else:
            yield tuple(fields), end
            at = end


def _length(words: Sequence[str], at: int) -> int:
    """Return how many words a field has that begins at a place."""
    word, following = words[at], words[at + 1 : at + 6]
    if word in _INTERFACES:
        return 1
    if word == "numgen":
        return 6 if following[3:4] == ("offset",) else 4
    if word == "ct" and following[:1] in (("original",), ("reply",)):
        return 4 if following[1:2] in (("ip",), ("ip6",)) else 3
    return 2
