"""Why a packet ends where it does by rules that a machine has: which it hits, in their order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import groupby, product
from typing import TypeAlias

from attrs import evolve, field, frozen

from svcnet.graph import Deliver, Packet
from svcnet.meaning.comparison.verify import is_as_meant
from svcnet.meaning.explanation.account import ModeLine, Remark
from svcnet.meaning.explanation.effects import effect, server_effect
from svcnet.meaning.explanation.explain import check_loopback
from svcnet.meaning.explanation.explanation import End, Ends, Explanation, RuleCase, WayStep
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.remarks import SOURCE_OF_SERVICE
from svcnet.meaning.explanation.roles import FOREIGN, RuleRole, RuleRoles
from svcnet.meaning.explanation.text import merge_ends
from svcnet.meaning.flow import Leaf
from svcnet.meaning.ipvs.ruleset import TABLE as SERVERS
from svcnet.meaning.outcome import FoundOutcome, RuleLine, Unknown
from svcnet.meaning.outcomes import (
    MachineRules,
    is_of_node,
    leaves_of,
    outcomes,
    outcomes_of,
    sender_of,
    unsure,
    verdict_of,
    way_of,
)
from svcnet.meaning.sources import OneSender, interfaces, is_like
from svcnet.meaning.spans import number
from svcnet.meaning.userspace.ruleset import TABLE as PROXY

MOST_ASKED = 2
"""With more rules that are not understood their cases are not told one by one."""

_CHOICES = {
    "iptables": "each rule draws a number of 31 bits (xt_statistic)",
    "nftables": "one number of 32 bits is drawn (numgen)",
    "ipvs": "the virtual server's scheduler chooses",
    "userspace": "the proxy gives each endpoint its turn",
}
IN_TURNS = "each number comes in its turn (numgen inc)"
_TURNS = re.compile(r"\bnumgen inc mod (?!1\b)")

Owning: TypeAlias = Callable[[frozenset[int]], MachineRules]
"""Returns rules as a machine has them whose own addresses, as numbers, are these."""


@frozen
class MachineQuestion:
    """Rules of a machine that a packet is asked of.

    ``files`` are where the rules were read. The objects that the node should serve are in
    ``objects``, None for none. If nobody knows which addresses are the machine's own, ``owning``
    returns the same rules of one that has given addresses; that of who ``is_outside`` is none.
    """

    rules: MachineRules = field(repr=False)
    files: tuple[str, ...]
    objects: Question | None = None
    owning: Owning | None = field(default=None, repr=False)
    is_outside: bool = False


def explain_rules(asked: MachineQuestion, packet: Packet) -> Explanation:
    """Return why `packet` ends where it does by the rules of a machine.

    Where that depends on what nobody said, the interface by which the packet comes in or which
    addresses are the machine's own, its end is unknown, with what it is in each case. Raises
    UsageError for a packet that cannot be on the machine.
    """
    rules = asked.rules
    check_loopback(packet, is_own=is_of_node(rules.facts, packet))
    objects = asked.objects
    found = Explanation(
        packet, objects.node if objects else "", rules.mode, _NOBODY_SAYS, files=asked.files
    )
    unsaid = tuple(_by_address(asked, packet)) or tuple(_by_interface(rules, packet))
    if unsaid:
        return evolve(found, cases=unsaid)
    leaves = leaves_of(rules, packet, sender_of(packet))
    steps = _Steps(rules.mode, objects)
    ends = [_end(each, steps) for each in outcomes(leaves, rules.facts.family, rules.line_of)]
    if any(rule.table == PROXY for end in ends for rule in _unknown_rules(end)):
        # Where a packet goes is known, and not what becomes of it there.
        way = map(rules.line_of, way_of(leaves[0]))
        ends = [evolve(end, steps=tuple(steps.of(way))) for end in ends]
    return evolve(
        found,
        outcomes=tuple(ends),
        choice=_choice(rules.mode, ends),
        remarks=tuple(_remarks(rules, packet)),
        cases=(*_by_doubt(rules, leaves), *_by_endpoints(asked.owning, packet, ends)),
        wanted=_wish_of_objects(objects, rules, packet, ends),
    )


def _choice(mode: str, ends: Sequence[End]) -> str:
    """Return by what one of several ends is chosen."""
    if len(ends) < 2:
        return ""
    lines = (line.text for end in ends for step in end.steps for line in step.lines)
    return IN_TURNS if any(map(_TURNS.search, lines)) else _CHOICES.get(mode, "")


def ends_by_rules(asked: MachineQuestion, packet: Packet) -> Ends:
    """Return how a packet ends by the rules of a machine, each end once."""
    found = explain_rules(evolve(asked, objects=None), packet)
    return merge_ends((end.verdict, end.probability) for end in found.outcomes)


def _remarks(rules: MachineRules, packet: Packet) -> Iterator[Remark]:
    """Yield what is to be known of a packet that rules do not say."""
    is_to_itself = rules.facts.is_local(number(packet.destination))
    is_other = packet.destination != packet.source
    if rules.mode == "ipvs" and is_of_node(rules.facts, packet) and is_to_itself and is_other:
        yield SOURCE_OF_SERVICE


_NOBODY_SAYS = (End(Unknown(()), Fraction(1), 1.0, ()),)


# What was not said.


class _Curious(OneSender):
    """A sender that notes which interfaces are asked for."""

    def __init__(self, known: OneSender, patterns: set[str]) -> None:
        super().__init__(known.sender, known.remembered)
        self._patterns = patterns

    def interface(self, pattern: str) -> int:
        """Return whether packets come in by an interface."""
        self._patterns.add(pattern)
        return super().interface(pattern)


def _by_interface(rules: MachineRules, packet: Packet) -> Iterator[RuleCase]:
    """Yield what becomes of a packet by the interface that it comes in by, if that matters."""
    if packet.interface or is_of_node(rules.facts, packet):
        return
    patterns: set[str] = set()
    ends: dict[str, Ends] = {}
    while True:
        before = len(patterns)
        ends = {}
        for name in interfaces(frozenset(patterns)):
            came = evolve(packet, interface=name)
            leaves = leaves_of(rules, came, _Curious(sender_of(came), patterns))
            ends[name] = _ends(outcomes(leaves, rules.facts.family, rules.line_of))
        if len(patterns) == before:
            break
    if len(set(ends.values())) == 1:
        return
    for name, found in ends.items():
        named = name if any(is_like(name, each) for each in patterns) else "another interface"
        yield RuleCase(f"if it comes in by {named}, which --interface says", found)


def _by_address(asked: MachineQuestion, packet: Packet) -> Iterator[RuleCase]:
    """Yield what becomes of a packet whose addresses are the machine's own, if that matters."""
    if asked.owning is None:
        return
    is_foreign = packet.interface or asked.is_outside
    seen = [packet.destination, *([] if is_foreign else [packet.source])]
    ends: dict[str, Ends] = {}
    for chosen in product((False, True), repeat=len(seen)):
        own = [address for address, is_own in zip(seen, chosen, strict=True) if is_own]
        found = outcomes_of(asked.owning(frozenset(map(number, own))), packet)
        ends[" and ".join(own)] = _ends(found)
    if len(set(ends.values())) == 1:
        return
    neither = "neither of its addresses is" if len(seen) > 1 else f"{seen[0]} is not"
    for which, each in ends.items():
        said = f"{which} {'are' if ' and ' in which else 'is'}" if which else neither
        yield RuleCase(f"if {said} the machine's own, which ip -j addr or --host says", each)


def _by_endpoints(owning: Owning | None, packet: Packet, ends: Sequence[End]) -> Iterator[RuleCase]:
    """Yield what becomes of a packet whose endpoints are the machine's own, if that matters."""
    places = [end.verdict.address for end in ends if isinstance(end.verdict, Deliver)]
    if owning is None or not places:
        return
    found = _ends(outcomes_of(owning(frozenset(map(number, places))), packet))
    if found != merge_ends((end.verdict, end.probability) for end in ends):
        named = f"{places[0]} is" if len(set(places)) == 1 else "these endpoints are"
        yield RuleCase(f"if {named} the machine's own, which nobody said", found)


def _ends(found: Iterable[FoundOutcome]) -> Ends:
    return merge_ends((each.verdict, each.probability) for each in found)


# What is told.


class _Steps:
    """Makes steps of the rules that a packet hits."""

    def __init__(self, mode: str, objects: Question | None) -> None:
        self.mode = mode
        self.roles = None if objects is None else RuleRoles(objects)

    def of(self, rules: Iterable[RuleLine]) -> Iterator[WayStep]:
        """Yield a step for each decision; rules in a row that are for the same are one."""
        for role, same in groupby(self._pairs(rules), key=lambda pair: pair[0]):
            lines = tuple(self._line(rule) for _, rule in same)
            yield WayStep(role.told, role.origin, role.place, lines)

    def _pairs(self, rules: Iterable[RuleLine]) -> Iterator[tuple[RuleRole, RuleLine]]:
        """Yield rules with what they are for; one that Services share is for whose packet it is."""
        headed: RuleRole | None = None
        for rule in rules:
            role = self._role(rule)
            if role.service is not None:
                headed = role
            elif self.roles is not None and headed is not None:
                role = self.roles.of_shared(rule.table, rule.chain, "", headed) or role
            yield role, rule

    def _role(self, rule: RuleLine) -> RuleRole:
        if rule.table == PROXY:
            return RuleRole("the proxy has its connection")
        if rule.table == SERVERS:
            if self.roles is None:
                return RuleRole(server_effect(rule.text))
            return self.roles.of_server(rule.text)
        done = effect(self.mode, rule.text)
        if self.roles is None:
            return RuleRole(f"{rule.chain}: {done}")
        if rule.chain.startswith("@"):
            return self.roles.of_element(rule.table, rule.chain[1:], rule.text)
        if self.mode == "nftables":
            _, _, leads_to = done.partition("on to ")
            role = self.roles.of_nft(rule.table, rule.chain, rule.text, leads_to)
        else:
            role = self.roles.of_iptables(rule.chain, rule.text)
        return RuleRole(f"{role.told}; {done}") if role.told == FOREIGN else role

    def _line(self, rule: RuleLine) -> ModeLine:
        if rule.chain.startswith("@"):
            text = f"add element {rule.table} {rule.chain[1:]} {rule.text}"
            return ModeLine("nft", text, rule.file, rule.line)
        if self.mode == "nftables":
            text = f"add rule {rule.table} {rule.chain} {rule.text}"
            return ModeLine("nft", text, rule.file, rule.line)
        if rule.table == SERVERS:
            return ModeLine("ipvsadm", rule.text, rule.file, rule.line)
        if rule.table == PROXY:
            return ModeLine(PROXY, rule.text, rule.file, rule.line)
        return ModeLine(rule.table, f"-A {rule.chain} {rule.text}", rule.file, rule.line)


def _end(found: FoundOutcome, steps: _Steps) -> End:
    verdict = found.verdict
    rules = verdict.rules if isinstance(verdict, Unknown) else found.rules
    return End(verdict, found.probability, float(found.kernel), tuple(steps.of(rules)))


def _unknown_rules(end: End) -> Iterable[RuleLine]:
    return end.verdict.rules if isinstance(end.verdict, Unknown) else ()


def _by_doubt(rules: MachineRules, leaves: Sequence[Leaf]) -> Iterator[RuleCase]:
    """Yield what becomes of a packet as rules match or not that are not understood."""
    asked = {doubt[0]: doubt[2] for leaf in leaves for doubt in leaf.flow.doubts}
    is_lost = any(leaf.kind == "unknown" for leaf in leaves)
    if not unsure(leaves) or is_lost or len(asked) > MOST_ASKED:
        return
    for answers in product((False, True), repeat=len(asked)):
        world = dict(zip(asked, answers, strict=True))
        ends = merge_ends(
            (verdict_of(leaf, rules.facts.family, rules.line_of), leaf.flow.luck.exact)
            for leaf in leaves
            if all(world[doubt[0]] == doubt[1] for doubt in leaf.flow.doubts)
        )
        if ends:
            yield RuleCase(_assumption(rules, asked, world), ends)


def _assumption(
    rules: MachineRules, asked: Mapping[object, object], world: Mapping[object, bool]
) -> str:
    said = [
        f"{rules.line_of(asked[key])} {'matches' if answer else 'does not match'}"
        for key, answer in world.items()
    ]
    return f"if {' and '.join(said)}"


def _wish_of_objects(
    objects: Question | None, rules: MachineRules, packet: Packet, ends: Sequence[End]
) -> Ends:
    """Return what the mode makes of the objects, if that is something else than the rules do."""
    if objects is None or any(isinstance(end.verdict, Unknown) for end in ends):
        return ()
    if is_as_meant(objects.graph, rules, packet):
        return ()
    meant = objects.briefly(packet).passages
    return merge_ends((each.verdict, each.probability) for each in meant)
