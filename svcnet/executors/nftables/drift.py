"""What differs between the table that a machine has and the one that is wanted, as a step. Pure.

Only what differs is named, so that a repair is as small as the damage. What differs for packets
is one transaction of the step: they meet the table as it was, or as it is to be. What it leads to
comes before it, and what packets on their way may look into goes behind it.

Not a difference are clients that sets of session affinity remember, for they are state; numbers
that are counted; and comments of tables, chains and sets, which say nothing to packets and which
the kernel cannot change.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from attrs import evolve, frozen

from svcnet.executors.nftables.aim import Aim
from svcnet.executors.nftables.endpoints import EndpointDrift
from svcnet.executors.nftables.handover import has_own_map
from svcnet.executors.nftables.room import has_room, resize
from svcnet.netfilter.nft import (
    ChainState,
    ElementState,
    HookState,
    NFTChain,
    NFTElement,
    NFTPlace,
    NFTRule,
    NFTSet,
    RuleState,
    SetState,
    TableState,
    canonical,
    canonical_key,
    quote_comment,
    types_of,
)
from svcnet.renderers.nftables import (
    ENDPOINT_MAPS,
    Edit,
    NFTablesDelta,
    NFTEdit,
    NFTRuleDeletion,
    NFTStatement,
    Ruleset,
    named_buckets,
)

_GOAL = re.compile(r"(?:goto|jump) ([^ ]+)")
_DYNAMIC = frozenset(("dynamic", "timeout"))


@frozen
class Drift:
    """What differs between two tables.

    ``differed`` counts chains, rules, sets and elements that are missing, foreign or not as they
    should be, and ``delta`` puts them right. If ``is_unreadable`` the listing has what nobody
    understands, so that only a new table is surely right.
    """

    delta: NFTablesDelta
    differed: Mapping[str, int]
    is_unreadable: bool = False

    def __bool__(self) -> bool:
        return bool(self.delta) or self.is_unreadable


def differences(
    found: TableState,
    ruleset: Ruleset,
    settled: frozenset[NFTPlace] = frozenset(),
    endpoints: EndpointDrift | None = None,
) -> Drift:
    """Return what takes a table that was found to that of `ruleset`.

    `found` is of a listing with handles (``nft --handle --stateless``): without them a chain with a
    foreign rule is written anew. Chains that Services may share stay, as they should be, whether or
    not anything leads to them. What is `settled` is taken to be as it is wanted: it was written
    while the table was listed, which may have it or not. With `endpoints` those in maps that are
    not among them are right.
    """
    ruleset = ruleset.keep(named_buckets(found.chains))
    aim = Aim.of(ruleset, endpoints)
    if settled:
        found = _without(found, settled)
        aim.leave_out(settled)
    if endpoints is not None:
        found = _with_all_endpoints(found, aim, ruleset)
    found, growth = resize(found, aim)
    repair = _Repair(found, aim, str(ruleset.table))
    repair.differed["sets"] += 0 if growth is None else len(growth.sets)
    repair.table_flags()
    repair.sets()
    repair.chains()
    repair.elements()
    repair.others()
    delta = NFTablesDelta(
        table=ruleset.table,
        family=ruleset.family,
        changes=tuple(repair.changes()),
        stale=tuple(repair.stale),
        first=tuple(repair.first()),
        growth=growth,
        last=tuple(repair.last()),
    )
    differed = {kind: count for kind, count in repair.differed.items() if count}
    return Drift(delta, MappingProxyType(differed), bool(found.unknown))


def _with_all_endpoints(found: TableState, aim: Aim, ruleset: Ruleset) -> TableState:
    """Have maps that are made anew get all their endpoints, of which only some were compared."""
    sets = dict(found.sets)
    for name in ENDPOINT_MAPS.intersection(aim.sets).intersection(sets):
        if not _is_made_so(sets[name], aim.sets[name]):
            rows = (row for row in ruleset.rows() if row.container == name)
            wanted = aim.elements[name] = [each for row in rows for each in row.elements()]
            elements = {each.key: ElementState(each.key, each.value) for each in wanted}
            sets[name] = evolve(sets[name], elements=elements)
    return evolve(found, sets=sets)


def _without(found: TableState, places: frozenset[NFTPlace]) -> TableState:
    """Return a table without what is at some places."""
    chains, sets = dict(found.chains), dict(found.sets)
    keys: dict[str, set[str]] = {}
    for kind, name, key in places:
        if kind == "chain":
            chains.pop(name, None)
        elif not key:
            sets.pop(name, None)
        elif name in sets:
            types = types_of(sets[name].type)
            keys.setdefault(name, set()).update((key, canonical_key(key, types)))
    for name, own in keys.items():
        if name in sets:
            elements = sets[name].elements.items()
            kept = {key: each for key, each in elements if key not in own}
            sets[name] = evolve(sets[name], elements=kept)
    return evolve(found, chains=chains, sets=sets)


class _Repair:
    """The changes of a repair, each list in the order in which nft has to see them."""

    def __init__(self, found: TableState, wanted: Aim, table: str) -> None:
        self.found = found
        self.wanted = wanted
        self.table = table
        self.differed: Counter[str] = Counter()
        self.stale: list[str] = []
        self._wrong_sets: set[str] = set()
        self._ahead: dict[str, list[NFTRule]] = {}
        self._new_sets: list[Edit] = []
        self._endpoints: list[Edit] = []
        self._first: list[Edit] = []
        self._chains: list[Edit] = []
        self._gone_rules: list[Edit] = []
        self._gone_elements: list[Edit] = []
        self._anew: list[Edit] = []
        self._sets: list[Edit] = []
        self._rules: list[Edit] = []
        self._elements: list[Edit] = []
        self._emptied: list[Edit] = []
        self._last: list[Edit] = []

    def first(self) -> Iterator[Edit]:
        """Yield what is made before anything leads to it: chains, and what they look into."""
        yield from [NFTEdit("add", self.wanted.chains[name]) for name in self._ahead]
        yield from self._new_sets
        yield from [NFTEdit("add", rule) for rules in self._ahead.values() for rule in rules]
        yield from self._endpoints

    def changes(self) -> Iterator[Edit]:
        """Yield what follows: what leads anywhere goes, and then all comes."""
        yield from self._first
        yield from self._chains
        yield from self._gone_rules
        yield from self._gone_elements
        yield from self._anew
        yield from self._sets
        yield from self._rules
        yield from self._elements

    def last(self) -> Iterator[Edit]:
        """Yield what goes when nothing leads there any more, but packets on their way."""
        yield from self._emptied
        yield from self._last

    def table_flags(self) -> None:
        """Wake a table that somebody has put to sleep."""
        if "dormant" in self.found.flags:
            self.differed["tables"] += 1
            self._first.append(NFTStatement(f"add table {self.table}\n"))

    def sets(self) -> None:
        """Add what differs in sets themselves; one of another kind is made anew."""
        for name, wanted in self.wanted.sets.items():
            there = self.found.sets.get(name)
            if there is None:
                self.differed["sets"] += 1
                self._new_sets.append(NFTEdit("add", wanted))
            elif not _is_made_so(there, wanted):
                self.differed["sets"] += 1
                self._wrong_sets.add(name)
                self._sets += [
                    self._deletion(there.kind, name),
                    NFTEdit("add", wanted),
                ]
            elif there.timeout != wanted.seconds:
                self.differed["sets"] += 1
                self._sets.append(NFTEdit("add", wanted))
        for name, there in self.found.sets.items():
            if name not in self.wanted.sets:
                self.differed["sets"] += 1
                self._last.append(self._deletion(there.kind, name))

    def chains(self) -> None:
        """Add what differs in chains and their rules."""
        self._ahead = self._chains_ahead()
        for name, wanted in self.wanted.chains.items():
            there = self.found.chains.get(name)
            rules = self.wanted.rules.get(name, [])
            if there is None:
                self.differed["chains"] += 1
                if name not in self._ahead:
                    self._chains.append(NFTEdit("add", wanted))
                    self._add(rules)
            elif not _is_called_so(there.hook, wanted):
                self.differed["chains"] += 1
                self._make_anew(wanted, there, rules)
            else:
                self._compare(name, there.rules, rules)
        for name, stranger in self.found.chains.items():
            if name not in self.wanted.chains:
                self.differed["chains"] += 1
                self._remove(stranger)

    def _chains_ahead(self) -> dict[str, list[NFTRule]]:
        """Return chains that can be made before all else, with their rules.

        They are missing, and what their rules speak of is there, or is made before as well.
        """
        found = {
            name: self.wanted.rules.get(name, [])
            for name, chain in self.wanted.chains.items()
            if chain.hook is None and name not in self.found.chains
        }
        there = self.found.chains.keys()
        while late := [
            name
            for name, rules in found.items()
            for rule in rules
            if any(goal not in found and goal not in there for goal in _GOAL.findall(rule.text))
            or any(f"@{each}" in rule.text.split(" ") for each in self._wrong_sets)
        ]:
            for name in set(late):
                del found[name]
        return found

    def _make_anew(self, wanted: NFTChain, there: ChainState, rules: list[NFTRule]) -> None:
        """Give a chain its policy; one with another hook is made anew, with all its rules."""
        assert there.hook is not None or wanted.hook is not None
        if there.hook is not None and _is_called_so(there.hook._replace(policy="accept"), wanted):
            policy = wanted.add(self.table).replace(" ; }\n", " ; policy accept ; }\n")
            self._chains.append(NFTStatement(policy))
            self._compare(wanted.name, there.rules, rules)
            return
        self._gone_rules.append(NFTEdit("flush", wanted))
        self._anew += [NFTEdit("delete", wanted), NFTEdit("add", wanted)]
        self._add(rules)

    def _remove(self, stranger: ChainState) -> None:
        """Empty a chain that is not wanted; nothing but rules leads to one without a hook."""
        name = NFTChain(stranger.name)
        if stranger.hook is None:
            is_in_the_way = any(map(self._speaks_of_wrong_set, stranger.rules))
            (self._gone_rules if is_in_the_way else self._emptied).append(NFTEdit("flush", name))
            self.stale.append(stranger.name)
        else:
            self._gone_rules += [NFTEdit("flush", name), NFTEdit("delete", name)]

    def _compare(self, name: str, there: tuple[RuleState, ...], rules: list[NFTRule]) -> None:
        """Add what differs in the rules of a chain: foreign ones go, missing ones come behind.

        What has to come before another is put there by writing the others again. Where rules choose
        an endpoint, the foreign ones go when the others are behind them.
        """
        wanted = [_key_of(rule) for rule in rules]
        kept, foreign = 0, []
        for rule in there:
            if kept < len(wanted) and rule[:2] == wanted[kept]:
                kept += 1
            else:
                foreign.append(rule)
        is_whole = not any(map(self._speaks_of_wrong_set, there))
        if is_whole and not foreign and kept == len(wanted):
            return
        self.differed["rules"] += max(len(foreign), len(wanted) - kept)
        takes_over = has_own_map(rules)
        if is_whole and (kept or takes_over) and all(rule.handle for rule in foreign):
            gone = self._emptied if takes_over else self._gone_rules
            gone += [NFTRuleDeletion(name, rule.handle) for rule in foreign]
            self._add(rules[kept:])
        else:
            if there:
                self._gone_rules.append(NFTEdit("flush", NFTChain(name)))
            self._add(rules)

    def _speaks_of_wrong_set(self, rule: RuleState) -> bool:
        """Return whether a rule keeps a set from being made anew."""
        return any(f"@{each}" in rule.text for each in self._wrong_sets)

    def _add(self, rules: Iterable[NFTRule]) -> None:
        self._rules += [NFTEdit("add", rule) for rule in rules]

    def elements(self) -> None:
        """Add what differs in elements, but for those that rules add."""
        for name, wanted in self.wanted.sets.items():
            if not wanted.seconds:
                there = self.found.sets.get(name)
                is_there = there is not None and name not in self._wrong_sets
                self._compare_elements(
                    wanted,
                    there.elements if there is not None and is_there else {},
                    self.wanted.elements.get(name, ()),
                )

    def _compare_elements(
        self,
        wanted: NFTSet,
        there: Mapping[str, ElementState],
        elements: Iterable[NFTElement],
    ) -> None:
        types = types_of(wanted.type)
        is_new = wanted.name not in self.found.sets and wanted.value != "verdict"
        come = self._endpoints if is_new else self._elements
        known = set()
        for element in elements:
            key = element.key
            found = there.get(key)
            if found is None:
                key = canonical_key(key, types)
                found = there.get(key)
            known.add(key)
            if found is not None and _is_same(found, element):
                continue
            self.differed["elements"] += 1
            if found is not None:
                self._elements.append(NFTEdit("delete", element))
            come.append(NFTEdit("add", element))
        if len(known) == len(there) and not there.keys() - known:
            return
        for key in there:
            if key not in known:
                self.differed["elements"] += 1
                gone = NFTElement(wanted.name, key)
                self._gone_elements.append(NFTEdit("delete", gone))

    def others(self) -> None:
        """Add what else is there, of which nothing is wanted."""
        for other in self.found.others:
            self.differed["others"] += 1
            self._last.append(self._deletion(other.kind, other.name))

    def _deletion(self, kind: str, name: str) -> NFTStatement:
        return NFTStatement(f"delete {kind} {self.table} {name}\n")


def _is_called_so(there: HookState | None, wanted: NFTChain) -> bool:
    """Return whether the kernel calls a chain where it should, and drops nothing at its end."""
    if there is None or wanted.hook is None:
        return there is None and wanted.hook is None
    return there == HookState(*wanted.hook)


def _is_made_so(there: SetState, wanted: NFTSet) -> bool:
    """Return whether a set can hold what it should.

    One that rules fill has the size that nft gave it, which depends on the transaction.
    """
    flags = _DYNAMIC if wanted.seconds else frozenset[str]()
    kind = there.type, there.value, there.flags
    return kind == (wanted.type, wanted.value, flags) and has_room(there, wanted)


def _key_of(rule: NFTRule) -> tuple[str, str]:
    """Return a rule that is wanted as a listing says it."""
    return canonical(rule.text), _comment(rule.comment)


def _is_same(there: ElementState, element: NFTElement) -> bool:
    return there.value == element.value and there.comment == _comment(element.comment)


def _comment(text: str) -> str:
    """Return a comment as the kernel has it."""
    return quote_comment(text)[1:-1] if text else ""
