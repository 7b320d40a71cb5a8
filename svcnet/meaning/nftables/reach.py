"""Which destinations' packets meet the rules that name ports without an address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from svcnet.meaning.comparison.cells import PROTOCOLS
from svcnet.meaning.facts import Facts
from svcnet.meaning.nftables.names import NamedDestinations, RuleWords
from svcnet.meaning.nftables.tables import NFTLine, NFTTables
from svcnet.meaning.spans import Span

_MOST_WAYS = 64
"""In so many ways a chain is looked at; one that is reached in more is met by everybody."""


class Reach(NamedTuple):
    """Packets for some addresses, None for all, or only (``is_own``) for those of the machine."""

    addresses: frozenset[int] | None = None
    ranges: frozenset[Span] = frozenset()
    is_own: bool = False

    def has(self, address: int, facts: Facts) -> bool:
        """Return whether packets for an address are among them."""
        if self.is_own and not facts.is_local(address):
            return False
        if self.addresses is None or address in self.addresses:
            return True
        return any(low <= address <= high for low, high in self.ranges)


class PortRule(NamedTuple):
    """Ports that a rule names, with their protocols, and the packets that it is for."""

    reach: Reach
    ports: Sequence[tuple[str | None, Span]]


def protocols(name: str | None) -> Sequence[str]:
    """Return the protocols that a rule means which names one, ``th`` or none for any."""
    if name is None or name == "th":
        return PROTOCOLS
    return (name,) if name in PROTOCOLS else ()


def port_rules(tables: NFTTables, words: RuleWords) -> Iterator[PortRule]:
    """Yield the ports that rules name, but for single ones of single addresses.

    A rule that names no address is for what a rule names that leads to its chain.
    """
    waiting = [
        (each.table, each.chain, Reach()) for hooked in tables.hooks.values() for each in hooked
    ]
    seen: dict[tuple[str, str], set[Reach]] = {}
    while waiting:
        table, chain, reach = waiting.pop()
        ways = seen.setdefault((table, chain), set())
        if len(ways) >= _MOST_WAYS:
            reach = Reach()
        if reach in ways or Reach() in ways:
            continue
        ways.add(reach)
        for rule in tables.rules.get((table, chain), ()):
            chains = tuple(words.chains_of(rule))
            alone = [each for each in words.destinations_of(rule) if not each.have_addresses]
            if chains or alone:
                own = _reach_of(rule, words, reach)
                waiting += [(table, name, own) for name in chains]
                yield from (PortRule(own, ports) for ports in map(_ports, alone) if ports)
    yield from _pairs(tables, words)


def _ports(named: NamedDestinations) -> Sequence[tuple[str | None, Span]]:
    return [(each.protocol, each.ports) for each in named.all if each.ports is not None]


def _reach_of(rule: NFTLine, words: RuleWords, led: Reach) -> Reach:
    """Return whose packets a rule matches, at most, of those that are led to it."""
    is_own = led.is_own or ("fib daddr type local ") in f"{' '.join(rule.words)} "
    for named in words.destinations_of(rule):
        if named.have_addresses and named.are_all and not named.is_negated:
            return _reach(named.addresses(), is_own=is_own)
    return led._replace(is_own=is_own)


def _reach(spans: Iterator[Span], *, is_own: bool = False) -> Reach:
    every = set(spans)
    alone = frozenset(first for first, last in every if first == last)
    return Reach(alone, frozenset(each for each in every if each[0] != each[1]), is_own)


def _pairs(tables: NFTTables, words: RuleWords) -> Iterator[PortRule]:
    """Yield ports that rules name together with addresses, where there are several of either."""
    every = (rule for rules in tables.rules.values() for rule in rules)
    for named in words.each_once(every):
        for addresses, protocol, ports in () if named.of_some else named.all:
            if addresses is None or ports is None:
                continue
            if addresses[0] != addresses[1] or ports[0] != ports[1]:
                yield PortRule(_reach(iter((addresses,))), [(protocol, ports)])
