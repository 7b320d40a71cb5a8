"""The rules of a machine for one IP family, as iptables-save prints them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property, partial

from attrs import evolve

from svcnet.meaning.aims import RuleAims
from svcnet.meaning.comparison.cells import PROTOCOLS, RuleNames
from svcnet.meaning.ends import Ends, PacketGroup
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Leaf
from svcnet.meaning.iptables.aims import aims, is_for_services
from svcnet.meaning.iptables.chain import Chain
from svcnet.meaning.iptables.lines import RuleLines
from svcnet.meaning.iptables.parse import parse
from svcnet.meaning.iptables.places import CALLED, places_of
from svcnet.meaning.iptables.rule import (
    InSet,
    Key,
    OfProtocol,
    OriginallyTo,
    SentBy,
    XTRule,
)
from svcnet.meaning.iptables.walk import AFTER_TRANSLATION, Tables, Walk
from svcnet.meaning.outcome import RuleLine
from svcnet.meaning.outcomes import RuleText
from svcnet.meaning.rule_ways import RuleWays
from svcnet.meaning.sources import Endpoint
from svcnet.meaning.spans import Span, everything
from svcnet.netfilter.listing import Listing, whole_listing
from svcnet.netfilter.restore import carried_out, is_restore_text

_COUNTERS = re.compile(r"^\[\d+:\d+\] (?=-A )", re.MULTILINE)
_SET = " --set "


def read(text: str, facts: Facts | None = None, *, file: str = "") -> RuleSet:
    """Return the rules in what iptables-save or ip6tables-save printed, with counters or without.

    Or in a text for iptables-restore, as it leaves a machine that had none. `facts` are what the
    rules ask of the machine. `file` is the name that rules are told by.
    Raises :class:`svcnet.errors.ApplyError` for what is cut off or no such listing.
    """
    if "\n[" in text:
        text = _COUNTERS.sub("", text)
    name = file or "iptables-save"
    listing = (carried_out if is_restore_text(text) else whole_listing)(text, name)
    return RuleSet.of(listing, facts or Facts(), text, file)


_LATE = ("POSTROUTING", "KUBE-POSTROUTING")
"""Chains of the nat table where it is decided already where packets go."""


class RuleSet(RuleWays):
    """Rules, and what they do to packets. It does not change."""

    mode = "iptables"

    def __init__(self, tables: Tables, facts: Facts, text: str = "", file: str = "") -> None:
        self.facts = facts
        self.file = file
        self.tables = tables
        self._lines = RuleLines(text)
        self._named: dict[XTRule, Collection[tuple[str, Span]]] = {}

    @classmethod
    def of(cls, listing: Listing, facts: Facts, text: str = "", file: str = "") -> RuleSet:
        """Return the rules of a listing; each is read when it is wanted."""
        filled = _FilledLists(listing)
        tables: Tables = {
            table: {
                name: Chain(
                    table,
                    name,
                    rules,
                    partial(parse, chains=chains, facts=facts, is_filled=filled.has),
                    listing.policies.get((table, name), ""),
                )
                for name, rules in chains.items()
            }
            for table, chains in listing.tables.items()
        }
        return cls(tables, facts, text, file)

    def without_own(self) -> RuleSet:
        """Return the same with no rule in the chains for Services, nor any address for them."""
        tables = {
            table: {
                name: chain.without_rules() if is_for_services(name) else chain
                for name, chain in chains.items()
            }
            for table, chains in self.tables.items()
        }
        left = self.facts.addresses - self.facts.held
        facts = evolve(self.facts, addresses=left) if self.facts.held else self.facts
        return RuleSet(tables, facts, self._lines.text, self.file)

    def walk(self, packets: PacketGroup) -> Walk:
        """Return the way of some packets through the rules.

        :meta private:
        """
        return Walk(packets, self)

    @cached_property
    def ends(self) -> Ends:
        """What is known of how packets end once they are translated.

        :meta private:
        """
        networks: set[Span] = set()
        ports: set[Span] = set()
        servers: set[Span] = set()
        asks_for_origin = False
        for table, name in AFTER_TRANSLATION:
            seen: set[str] = set()
            waiting = [name]
            while waiting:
                chain = self.tables.get(table, {}).get(waiting.pop())
                if chain is None or chain.name in seen:
                    continue
                seen.add(chain.name)
                for rule in chain.rules:
                    waiting.append(rule.chain)
                    if rule.way is not None:
                        networks.update(self.facts.interfaces)
                    for test in rule.tests:
                        asks_for_origin |= isinstance(test, OriginallyTo)
                        if isinstance(test, SentBy):
                            servers.add(test.address or everything(self.facts.family))
                        for place in places_of(test, self.facts):
                            networks.update((place.addresses,) if place.addresses else ())
                            ports.update((place.ports,) if place.ports else ())
        return Ends(networks, ports, servers, asks_for_origin=asks_for_origin)

    @cached_property
    def lists(self) -> Mapping[str, frozenset[Endpoint]]:
        """For each list of ``recent`` the endpoints that a client is sent to who is put on it."""
        found: dict[str, set[Endpoint]] = {}
        for chain in self.tables.get("nat", {}).values():
            for place, text in enumerate(chain.texts):
                if _SET in text and " -m recent " in f" {text}":
                    rule = chain.rules[place]
                    name = _list(text)
                    address, port = rule.endpoint
                    if rule.action == "dnat" and address is not None and port is not None:
                        found.setdefault(name, set()).add((address, port))
        return {name: frozenset(endpoints) for name, endpoints in found.items()}

    @cached_property
    def aims(self) -> RuleAims:
        """The rules of others that decide, with what they are for."""
        return aims(self.tables, self.facts)

    def names(self) -> RuleNames:
        """Return what any rule names: destinations with protocol and port, ranges of addresses."""
        keys: dict[Key, None] = {}
        networks: dict[Span, None] = {}
        sets: dict[object, frozenset[int]] = {}
        for rule in self.rules():
            if rule.key is not None:
                keys[rule.key] = None
            if rule.way is not None:
                networks.update(dict.fromkeys(self.facts.interfaces))
            for test in rule.tests if rule.key is None else rule.rest:
                if isinstance(test, InSet) and (held := self._plain_members(test)):
                    sets[test.name, test.directions] = held
                    continue
                for place in places_of(test, self.facts):
                    if place.addresses is None:
                        continue
                    if _is_one(place.addresses) and place.ports and _is_one(place.ports):
                        names = PROTOCOLS if place.protocol is None else (place.protocol,)
                        for name in names:
                            keys[place.addresses[0], name, place.ports[0]] = None
                    else:
                        networks[place.addresses] = None
        return RuleNames(list(keys), list(networks), list(sets.values()))

    def _plain_members(self, test: InSet) -> frozenset[int]:
        """Return the addresses of a set that asks for nothing else of a destination."""
        found = set()
        for addresses, _, ports in places_of(test, self.facts):
            if addresses is None or not _is_one(addresses) or ports is not None:
                return frozenset()
            found.add(addresses[0])
        return frozenset(found)

    def ports(self, address: int) -> Mapping[str, set[Span]]:
        """Return the ports that rules name which are not for one other address, by protocol."""
        found: dict[str, set[Span]] = {}
        for rule in self._general_rules(address):
            for protocol, span in self._ports_of(rule):
                for each in (protocol,) if protocol else PROTOCOLS:
                    found.setdefault(each, set()).add(span)
        return found

    def _general_rules(self, address: int) -> Iterator[XTRule]:
        """Yield the rules that packets for an address may meet, but for those of one port of it.

        Jumps are followed without recursion: there may be any number.
        """
        for chains in self.tables.values():
            called = [each for each in chains.values() if each.policy or each.name in CALLED]
            seen = {each.name for each in called}
            while called:
                for rule in called.pop(0).other_rules(address):
                    yield rule
                    if rule.chain in chains and rule.chain not in seen:
                        seen.add(rule.chain)
                        called.append(chains[rule.chain])

    def _ports_of(self, rule: XTRule) -> Collection[tuple[str, Span]]:
        """Return the ports that a rule names with their protocol, empty for each.

        Those that it names with one address are not among them.
        """
        found = self._named.get(rule)
        if found is None:
            protocol = ""
            for test in rule.tests:
                if isinstance(test, OfProtocol) and not test.is_negated:
                    protocol = test.name
            found = self._named[rule] = {
                (place.protocol or protocol, place.ports)
                for test in rule.tests
                for place in places_of(test, self.facts)
                if place.ports is not None
                and not (place.addresses and _is_one(place.addresses) and _is_one(place.ports))
            }
        return found

    def deciding(self, leaf: Leaf) -> object | None:
        """Return the rule that made packets end so, None if none did."""
        rules = [rule for rule in leaf.flow.path if isinstance(rule, XTRule)]
        early = None if leaf.flow.header.is_translated else early_exit(rules)
        if early is not None and (leaf.rule is None or not is_for_services(early.home)):
            return early
        if leaf.rule is not None:
            return leaf.rule
        wanted = ("dnat", "redirect") if leaf.kind == "deliver" else ("snat",)
        return next((rule for rule in reversed(rules) if rule.action in wanted), None)

    def causes(self, kind: str, leaves: Iterable[Leaf]) -> list[object]:
        """Return the rules that make a difference of a kind, each once."""
        found: dict[object, None] = {}
        for leaf in leaves:
            rules = [rule for rule in leaf.flow.path if isinstance(rule, XTRule)]
            ours = [rule for rule in rules if is_for_services(rule.home)]
            if kind in ("source not kept", "wrong source") and (hiding := _hiding(rules)):
                found[hiding[-1]] = None
            elif kind == "wrong weight":
                found.update((rule, None) for rule in rules if rule.chance is not None)
            elif kind == "stale" and ours:
                special = [rule for rule in ours if rule.key or rule.portal]
                found[(special or ours)[0]] = None
            elif (deciding := self.deciding(leaf)) is not None:
                found[deciding] = None
        return list(found)

    def is_own(self, rule: object) -> bool:
        """Return whether a rule is in a chain of kube-proxy's, and not one that only protects."""
        return (
            isinstance(rule, XTRule)
            and is_for_services(rule.home)
            and rule.home not in ("KUBE-FIREWALL", "KUBE-FORWARD")
        )

    def is_foreign(self, leaf: Leaf) -> bool:
        """Return whether it was a rule of somebody else that made packets end so."""
        rule = self.deciding(leaf)
        if rule is None:
            return False
        if not isinstance(rule, XTRule):
            return True
        if rule.table == "nat" and rule.action in ("accept", "return"):
            return rule.home not in _LATE
        return not is_for_services(rule.home)

    def rules(self) -> Iterator[XTRule]:
        """Yield every rule of every table."""
        for chains in self.tables.values():
            for chain in chains.values():
                yield from chain.rules

    def texts(self) -> Iterator[tuple[RuleText, object]]:
        """Yield what every rule and policy says, and the rule or chain, in their order."""
        for table, chains in self.tables.items():
            for name, chain in chains.items():
                yield (table, name, chain.policy), chain
                for rule in chain.rules:
                    yield (table, name, rule.text), rule

    def line_of(self, rule: object) -> RuleLine:
        """Return where a rule is; of a chain, its policy."""
        if isinstance(rule, Chain):
            line = self._lines.line_of_chain(rule.table, rule.name)
            return RuleLine(rule.table, rule.name, f"(policy {rule.policy})", line, self.file)
        assert isinstance(rule, XTRule)
        line = self._lines.line_of_rule(rule.table, rule.home, rule.place, rule.text)
        return RuleLine(rule.table, rule.home, rule.text, line, self.file)


def _hiding(rules: Iterable[XTRule]) -> list[XTRule]:
    """Return the rules that give packets another source."""
    return [rule for rule in rules if rule.action == "snat"]


def early_exit(rules: Iterable[XTRule]) -> XTRule | None:
    """Return the rule that had packets leave the nat table before anything was done to them."""
    for rule in rules:
        if rule.table == "filter" or rule.home in _LATE:
            return None
        if rule.table == "nat" and rule.action in ("accept", "return"):
            return rule
    return None


class _FilledLists:
    """The lists of ``recent`` that rules put others on than clients of an endpoint."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def has(self, name: str) -> bool:
        """Return whether a list is one of them."""
        return name in self._names

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(
            _list(text)
            for chains in self._listing.tables.values()
            for chain, texts in chains.items()
            if not is_for_services(chain)
            for text in texts
            if _SET in text and "recent " in text
        )


def _is_one(span: Span) -> bool:
    return span[0] == span[1]


def _list(text: str) -> str:
    """Return the name of the list of a rule with ``recent``."""
    _, found, rest = f" {text} ".partition(" --name ")
    return rest.partition(" ")[0] if found else "DEFAULT"
