"""Which destinations are to be looked at, so that no other can show a difference."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple, Protocol

from svcnet.family import IPFamily
from svcnet.graph import NodeSettings
from svcnet.meaning.comparison.intent import Dialect, Heading
from svcnet.meaning.sources import PREFERRED
from svcnet.meaning.spans import LOOPBACK, Span, everything, network, number

PROTOCOLS = ("tcp", "udp", "sctp")
_PORTS: Span = (1, 0xFFFF)


class RuleNames(NamedTuple):
    """What rules name: destinations with protocol and port, and ranges of addresses.

    Each of ``sets`` has addresses that are treated alike as far as it goes.
    """

    keys: Collection[tuple[int, str, int]]
    networks: Collection[Span]
    sets: Collection[frozenset[int]] = ()


class NameSource(Protocol):
    """Rules that can say what they name."""

    def names(self) -> RuleNames:
        """Return all that any rule names."""

    def ports(self, address: int) -> Mapping[str, Collection[Span]]:
        """Return the ports that rules name which are not for one other address, by protocol."""


class GraphNames:
    """What a graph names as a mode does it: frontends, ranges of cluster IPs, and node ports."""

    def __init__(self, dialect: Dialect) -> None:
        graph, settings, special = dialect.graph, dialect.settings, dialect.special()
        self._family = settings.family
        self._own = frozenset(map(number, settings.addresses))
        keys = [
            (number(address), protocol.lower(), port)
            for address, protocol, port in graph.frontends
            if address
        ]
        keys += dialect.destinations()
        sets = [frozenset(special)] if special else []
        self._names = RuleNames(keys, list(map(network, settings.service_cidrs)), sets)
        self._ports: dict[str, set[Span]] = {}
        for address, protocol, port in graph.frontends:
            if not address:
                self._ports.setdefault(protocol.lower(), set()).add((port, port))
        for fragment in graph:
            if fragment.health_check is not None:
                port = fragment.health_check.port
                self._ports.setdefault("tcp", set()).add((port, port))

    def names(self) -> RuleNames:
        """Return the frontends that have an address, ranges, and special addresses."""
        return self._names

    def ports(self, address: int) -> Mapping[str, set[Span]]:
        """Return node ports and health-check ports, by protocol, of the node's own addresses."""
        is_own = address in self._own or is_loopback(address, self._family)
        return self._ports if is_own else {}


def targets(dialect: Dialect, rules: NameSource) -> Iterator[Heading]:
    """Yield one destination of each kind that either side tells apart, for either origin."""
    settings = dialect.settings
    return headings(settings.family, own_addresses(settings), (GraphNames(dialect), rules))


def own_addresses(settings: NodeSettings) -> dict[int, object]:
    """Return the node's addresses, each with what tells it apart from others of the node's."""
    return {number(each): settings.answers_node_ports(each) for each in settings.addresses}


def headings(
    family: IPFamily,
    own: Mapping[int, object],
    sides: Sequence[NameSource],
) -> Iterator[Heading]:
    """Yield one destination of each kind that one of the sides tells apart, for either origin.

    `own` are the node's addresses, and what tells them apart.
    """
    for address, protocol, port in _destinations(family, own, sides):
        for is_node in (False, True):
            if is_node or not is_loopback(address, family):
                yield Heading(address, protocol, port, is_node)


def is_loopback(address: int, family: IPFamily) -> bool:
    """Return whether packets for an address never leave the machine."""
    return LOOPBACK[0] <= address <= LOOPBACK[1] if family == "IPv4" else address == 1


def _destinations(
    family: IPFamily,
    own: Mapping[int, object],
    sides: Sequence[NameSource],
) -> Iterator[tuple[int, str, int]]:
    names = _all_names(sides)
    at: dict[int, dict[str, set[int]]] = {}
    for address, protocol, port in names.keys:
        at.setdefault(address, {}).setdefault(protocol, set()).add(port)
    for address in _addresses(family, own, names, at):
        ports = [side.ports(address) for side in sides]
        named = at.pop(address, {})
        for protocol in PROTOCOLS:
            spans = {(each, each) for each in named.get(protocol, ())}
            for of_side in ports:
                spans.update(of_side.get(protocol, ()))
            for port in _picks(spans):
                yield address, protocol, port
    for address, named in at.items():
        for protocol, numbers in named.items():
            for port in sorted(numbers):
                yield address, protocol, port


def _all_names(sides: Iterable[NameSource]) -> RuleNames:
    """Return what any of the sides names."""
    found = [side.names() for side in sides]
    return RuleNames(
        list(dict.fromkeys(key for each in found for key in each.keys)),
        list(dict.fromkeys(span for each in found for span in each.networks)),
        [some for each in found for some in each.sets],
    )


def _addresses(
    family: IPFamily,
    own: Mapping[int, object],
    names: RuleNames,
    taken: Collection[int],
) -> Iterable[int]:
    """Return an address of each kind that somebody tells apart, and of each range."""
    first, last = everything(family)
    loopback = LOOPBACK if family == "IPv4" else (1, 1)
    starts = {first, loopback[0], loopback[1] + 1}
    for begin, end in names.networks:
        starts.add(begin)
        starts.add(end + 1)
    starts.discard(last + 1)
    order = sorted(starts)
    exact = {begin for begin, end in names.networks if begin == end}
    alone = dict.fromkeys([*sorted(own), *(each for some in names.sets for each in some)])
    found = _one_of_each_kind(alone, own, names, order, taken)
    others = {*taken, *alone}
    for begin, after in zip(order, [*order[1:], last + 1], strict=True):
        if begin in exact:
            found.append(begin)
        elif begin == loopback[0]:
            found.append(loopback[0] + 1 if family == "IPv4" else 1)
        else:
            chosen = of_range((begin, after - 1), family, others)
            if chosen is not None:
                found.append(chosen)
    return dict.fromkeys(found)


def _one_of_each_kind(
    addresses: Iterable[int],
    own: Mapping[int, object],
    names: RuleNames,
    starts: Sequence[int],
    taken: Collection[int],
) -> list[int]:
    """Return addresses without those for which another stands: nobody tells the two apart."""
    seen: set[object] = set()
    found = []
    for address in addresses:
        is_own = address in own
        kind: object = (
            bisect_right(starts, address),
            tuple(address in some for some in names.sets),
            own.get(address),
            is_own,
            address if is_own and address in taken else 0,
        )
        if kind not in seen:
            seen.add(kind)
            found.append(address)
    return found


def of_range(span: Span, family: IPFamily, taken: Collection[int]) -> int | None:
    """Return an address of a range that a machine elsewhere can have, None if there is none."""
    if span[0] == span[1]:
        is_free = span[0] not in taken
        return span[0] if is_free and _is_inside(span[0], _UNICAST[family]) else None
    for allowed in _UNICAST[family]:
        begin, end = max(span[0], allowed[0]), min(span[1], allowed[1])
        for each in PREFERRED:
            if begin <= each <= end and each not in taken:
                return each
        # One of so many is free, and somewhat inside where there is room.
        middle = min(begin + 2, end)
        inside = range(middle, min(end, middle + len(taken)) + 1)
        for address in chain(inside, (begin, begin + 1)):
            if begin <= address <= end and address not in taken:
                return address
    return None


def _is_inside(address: int, spans: Iterable[Span]) -> bool:
    return any(low <= address <= high for low, high in spans)


_UNICAST: Mapping[IPFamily, tuple[Span, ...]] = MappingProxyType(
    {
        "IPv4": ((0x01000000, 0x7EFFFFFF), (0x80000000, 0xDFFFFFFF)),
        "IPv6": ((1 << 125, (0xFF << 120) - 1),),
    }
)
"""Addresses that senders elsewhere have: neither loopback, nor multicast, nor reserved."""


def _picks(spans: Iterable[Span]) -> Iterator[int]:
    """Yield a port of each range that spans tell apart, and one of all that none has."""
    changes: dict[int, int] = {_PORTS[0]: 0}
    for begin, end in spans:
        first = max(begin, _PORTS[0])
        changes[first] = changes.get(first, 0) + 1
        changes[end + 1] = changes.get(end + 1, 0) - 1
    depth, is_other_known = 0, False
    for start in sorted(changes):
        depth += changes[start]
        if start > _PORTS[1] or (not depth and is_other_known):
            continue
        is_other_known |= not depth
        yield start
