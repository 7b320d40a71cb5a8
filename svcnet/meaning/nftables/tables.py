"""The tables of nf_tables as packets of one IP family meet them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from svcnet.family import IPFamily
from svcnet.meaning.sources import Endpoint, endpoint_of
from svcnet.netfilter.nft import NFTState

_FAMILIES: Mapping[IPFamily, tuple[str, ...]] = MappingProxyType(
    {"IPv4": ("ip", "inet", "netdev", "bridge"), "IPv6": ("ip6", "inet", "netdev", "bridge")}
)
NFTElement: TypeAlias = tuple[tuple[str, ...], str]
"""The parts of a key, and the value."""

ElementIndex: TypeAlias = tuple[dict[tuple[str, ...], list[NFTElement]], list[NFTElement]]
"""Elements by the parts of their keys, and those that have ranges there."""


def is_for_services(table: str) -> bool:
    """Return whether a table, such as ``ip kube-proxy``, is kube-proxy's."""
    return table.endswith(" kube-proxy")


class NFTLine:
    """A rule, with its table and chain and the words of its text. Each is equal to itself alone."""

    __slots__ = ("chain", "line", "table", "text", "words")

    def __init__(self, table: str, chain: str, text: str, line: int) -> None:
        self.table = table
        self.chain = chain
        self.text = text
        self.line = line
        self.words = tuple(text.split())


class NFTMember(NamedTuple):
    """An element of a map that decided."""

    table: str
    container: str
    key: str
    value: str
    line: int


class HookChain(NamedTuple):
    """A chain that the kernel calls, for packets of some ``devices`` if it has any."""

    priority: int
    table: str
    chain: str
    type: str
    policy: str
    devices: tuple[str, ...] = ()


class NFTMembers:
    """A set or a map: its elements by key, and for one that rules fill how long they stay.

    ``lines`` are where the elements of one with a name were read, by key.
    """

    def __init__(
        self,
        elements: Mapping[str, str],
        is_dynamic: bool = False,
        seconds: int | None = None,
        lines: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.elements = elements
        self.lines = lines
        self.is_dynamic = is_dynamic
        self.seconds = seconds
        self._indexes: dict[tuple[bool, ...], ElementIndex] = {}

    def find(self, are_open: tuple[bool, ...], key: tuple[str, ...]) -> Iterable[NFTElement]:
        """Yield the elements that may be right, by the parts of a key that are not open."""
        index = self._indexes.get(are_open)
        if index is None:
            index = self._indexes[are_open] = self._index(are_open)
        exact, ranges = index
        yield from exact.get(key, ())
        yield from ranges

    def _index(self, are_open: tuple[bool, ...]) -> ElementIndex:
        """Return elements by the parts that are not open, and those with ranges there."""
        exact: dict[tuple[str, ...], list[NFTElement]] = {}
        ranges: list[NFTElement] = []
        for key, value in self.elements.items():
            parts = tuple(key.split(" . "))
            fixed = tuple(
                [part for part, is_open in zip(parts, are_open, strict=False) if not is_open]
            )
            if any("/" in part or "-" in part or "*" in part for part in fixed):
                ranges.append((parts, value))
            else:
                exact.setdefault(fixed, []).append((parts, value))
        return exact, ranges


class NFTTables(NamedTuple):
    """All tables of a family: rules of chains, sets and maps, chains by hook.

    Hooks of bridges are called ``bridge prerouting`` and so on. ``lists`` has the endpoints for
    which rules put a client into a set, ``filled`` the sets that rules fill with others. Of lines
    that are ``unread`` nobody knows what they do to packets.
    """

    rules: Mapping[tuple[str, str], tuple[NFTLine, ...]]
    containers: Mapping[tuple[str, str], NFTMembers]
    hooks: Mapping[str, tuple[HookChain, ...]]
    lists: Mapping[tuple[str, str], frozenset[Endpoint]]
    filled: frozenset[tuple[str, str]]
    unread: tuple[NFTLine, ...] = ()


def tables_of(state: NFTState, family: IPFamily) -> NFTTables:
    """Return the tables that packets of a family meet."""
    rules: dict[tuple[str, str], tuple[NFTLine, ...]] = {}
    containers: dict[tuple[str, str], NFTMembers] = {}
    hooks: dict[str, list[HookChain]] = {}
    lists: dict[tuple[str, str], set[Endpoint]] = {}
    foreign: set[tuple[str, str]] = set()
    unread: list[NFTLine] = []
    for (kind, _), table in state.tables.items():
        if kind not in _FAMILIES[family]:
            continue
        name = str(table)
        filled: set[str] = set()
        for chain in table.chains.values():
            found = tuple(NFTLine(name, chain.name, rule.text, rule.line) for rule in chain.rules)
            rules[name, chain.name] = found
            if chain.hook is not None:
                type_, hook, priority, policy, devices = chain.hook
                place = f"bridge {hook}" if kind == "bridge" else hook
                hooks.setdefault(place, []).append(
                    HookChain(priority, name, chain.name, type_, policy, tuple(devices))
                )
            for key, endpoint in _lists(found):
                lists.setdefault((name, key), set()).add(endpoint)
            filled.update(each for rule in found for each in _filled_sets(rule))
        read = {rule.line for chain in table.chains.values() for rule in chain.rules}
        unread += [
            NFTLine(name, "", each.text, each.line)
            for each in table.unknown
            if each.line not in read
        ]
        if not is_for_services(name):
            foreign.update((name, each) for each in filled)
        for held in table.sets.values():
            containers[name, held.name] = NFTMembers(
                {element.key: element.value for element in held.elements.values()},
                # JSON of nft 1.0.6 leaves the flag out.
                "dynamic" in held.flags or held.name in filled,
                int(held.timeout) if held.timeout else None,
                {element.key: element.line for element in held.elements.values()},
            )
    return NFTTables(
        rules,
        containers,
        {hook: tuple(sorted(chains)) for hook, chains in hooks.items()},
        {key: frozenset(endpoints) for key, endpoints in lists.items()},
        frozenset(foreign),
        tuple(unread),
    )


def _filled_sets(rule: NFTLine) -> Iterator[str]:
    """Yield the names of the sets that a rule puts packets' keys into."""
    for word, name in pairwise(rule.words):
        if word in ("update", "add") and name.startswith("@"):
            yield name[1:]


def _lists(rules: tuple[NFTLine, ...]) -> list[tuple[str, Endpoint]]:
    """Return the sets that a chain puts clients into, with the endpoint that it sends them to."""
    sets = [name for rule in rules for name in _filled_sets(rule)]
    places = [rule.words[-1] for rule in rules if rule.words[-3:-1] == ("dnat", "to")]
    found: list[tuple[str, Endpoint]] = []
    for name in sets:
        for place in places:
            with suppress(ValueError):
                found.append((name, endpoint_of(place)))
    return found
