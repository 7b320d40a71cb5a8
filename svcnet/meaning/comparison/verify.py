"""Whether rules that are there do to every packet what a graph says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction

from attrs import evolve, frozen

from svcnet.family import IPFamily
from svcnet.graph import (
    Fragment,
    Origin,
    Outcome,
    Packet,
    Pass,
    Refuse,
    RuleGraph,
)
from svcnet.meaning.comparison.cells import targets
from svcnet.meaning.comparison.dialects import dialects_of
from svcnet.meaning.comparison.difference import (
    FieldPlace,
    Obscurity,
    PacketDifference,
    ShadowedRule,
    Verdicts,
    kind_of,
    together,
)
from svcnet.meaning.comparison.entrance import lacks_way_in
from svcnet.meaning.comparison.everybody import Everybody
from svcnet.meaning.comparison.intent import (
    PASS,
    Ending,
    Heading,
    Intent,
    distinctions,
    intents,
)
from svcnet.meaning.comparison.shadows import Shadow, ShadowSearch
from svcnet.meaning.comparison.spread import alike, compare, intents_spread, spread, spread_of
from svcnet.meaning.flow import Leaf
from svcnet.meaning.outcome import RuleLine
from svcnet.meaning.outcomes import (
    MachineRules,
    ending,
    is_of_node,
    leaves_of,
    outcomes,
    sender_of,
    unsure,
)
from svcnet.meaning.own_senders import OwnSenders
from svcnet.meaning.sources import (
    Endpoint,
    OneSender,
    Sender,
    Senders,
)
from svcnet.meaning.spans import LOOPBACK, number, text_of
from svcnet.nogc import without_gc

Locate = Callable[[Iterable[Origin]], Sequence[FieldPlace | None]]
"""Says of fields where they are written, of all at once."""


@without_gc()
def verify(graph: RuleGraph, rules: MachineRules, locate: Locate | None = None) -> Verdicts:
    """Compare what rules do to every packet with what a graph says."""
    return _Comparison(graph, rules, locate or nowhere).verdicts()


def is_as_meant(graph: RuleGraph, rules: MachineRules, packet: Packet) -> bool:
    """Return whether one packet ends as a graph says; what is no Service's may end as it likes."""
    destination, protocol = number(packet.destination), packet.protocol.lower()
    is_node = is_of_node(rules.facts, packet)
    target = Heading(destination, protocol, packet.port, is_node)
    sender = sender_of(packet)
    leaves = leaves_of(rules, packet, sender)
    for dialect in dialects_of(graph, rules.mode):
        wanted = intents(dialect, dialect.entry(target), target, sender)
        is_nobodys = all(each.ending[0] == PASS[0] for each in wanted)
        if is_nobodys or not compare(wanted, leaves).different:
            return True
    return False


def nowhere(origins: Iterable[Origin]) -> Sequence[FieldPlace | None]:
    """Say that nobody knows where fields are written."""
    return [None for _ in origins]


class _Comparison:
    """A comparison while it is made."""

    def __init__(self, graph: RuleGraph, rules: MachineRules, locate: Locate) -> None:
        self.graph = graph
        self.rules = rules
        self.locate = locate
        self.dialect, *self.others = dialects_of(graph, rules.mode)
        self.cells = 0
        self.differences: list[tuple[object, PacketDifference]] = []
        self.unknown: Counter[RuleLine] = Counter()
        self.everybody = Everybody(graph.settings.family, rules.facts.addresses)
        self.shadows = ShadowSearch(graph.settings, rules, self.everybody)

    def verdicts(self) -> Verdicts:
        """Look at every kind of packet."""
        for target in targets(self.dialect, self.rules):
            self.look(target)
        for guard in guards(self.graph, self.rules.mode):
            if self.dialect.entry(guard.target) is None:
                self.look(guard.target, guard)
        return Verdicts(
            self.graph.settings.family,
            self.rules.mode,
            self.cells,
            tuple(self._locate(together(self.differences))),
            tuple(Obscurity(rule, count) for rule, count in self.unknown.items()),
            tuple(map(self._shadowed_rule, self.shadows.search())),
        )

    def _shadowed_rule(self, shadow: Shadow) -> ShadowedRule:
        """Return a rule that no packet to a Service meets, with the one that decides instead."""
        leaves = self._alone(shadow.target, shadow.sender, "NEW")
        rules = [each for each in map(self.rules.deciding, leaves) if each is not None]
        return ShadowedRule(
            self.rules.line_of(shadow.rule),
            self._packet(shadow.target, shadow.sender),
            shadow.entry.fragment.name,
            self.rules.line_of(rules[0]) if rules else None,
        )

    def _locate(self, differences: list[PacketDifference]) -> Iterator[PacketDifference]:
        """Yield differences with the places of their fields."""
        fields = [each.field for each in differences if each.field is not None]
        places = iter(self.locate(fields))
        for each in differences:
            yield evolve(each, place=next(places)) if each.field is not None else each

    def look(self, target: Heading, guard: Guard | None = None) -> None:
        """Compare the packets of everybody for one destination."""
        entry = None if guard else self.dialect.entry(target)
        state = guard.state if guard else "NEW"
        known = distinctions(self.graph.settings, entry).join(self.everybody.common)
        while True:
            sources = self.everybody.of(target, known)
            met = set[object]() if entry is not None and self.shadows.is_wanted else None
            wanted = (
                [Intent(sources.everybody, guard.ending, (1, 1))]
                if guard
                else intents(self.dialect, entry, target, sources)
            )
            leaves = self.rules.leaves(
                sources,
                target.address,
                target.protocol,
                target.port,
                is_node=target.is_node,
                state=state,
                met=met,
            )
            if not sources.missing:
                break
            new = sources.missing.distinctions()
            known = known.join(new)
            self.everybody.remember(new)
        if entry is not None and met is not None:
            self.shadows.add(target, entry, leaves, met)
        found = compare(wanted, leaves)
        self.cells += sources.everybody.bit_count()
        if found.unknown:
            is_ours = entry is not None or guard is not None
            unknown = found.unknown & sources.everybody
            self._obscure(target, sources, state, unknown, is_ours=is_ours)
        different = found.different
        for other in self.others if different and guard is None else ():
            different &= compare(intents(other, entry, target, sources), leaves).different
        if different:
            self._explain(target, sources, wanted, leaves, different, guard)

    def _obscure(
        self,
        target: Heading,
        sources: Senders | OwnSenders,
        state: str,
        unknown: int,
        *,
        is_ours: bool,
    ) -> None:
        """Note which rules are not understood on which somebody's packets depend.

        Of packets that are no Service's (not `is_ours`) only rules for Services count.
        """
        bit = (unknown & -unknown).bit_length() - 1
        one = self._alone(target, sources.sender(bit), state)
        rules = [rule for rule in unsure(one) if is_ours or self.rules.is_own(rule)]
        for rule in dict.fromkeys(map(self.rules.line_of, rules)):
            self.unknown[rule] += unknown.bit_count()

    def _alone(self, target: Heading, sender: Sender, state: str) -> list[Leaf]:
        """Return how packets of one sender end, with the rules that they met."""
        endpoint = sender.memory.endpoint
        remembered = frozenset((endpoint,)) if endpoint is not None else frozenset()
        return self.rules.leaves(
            OneSender(sender, remembered),
            target.address,
            target.protocol,
            target.port,
            is_node=target.is_node,
            state=state,
            notes=True,
        )

    def _explain(
        self,
        target: Heading,
        sources: Senders | OwnSenders,
        wanted: Sequence[Intent],
        leaves: Sequence[Leaf],
        different: int,
        guard: Guard | None,
    ) -> None:
        """Note what differs, once for all senders whose packets end alike."""
        should = spread(intents_spread(wanted))
        does, _ = spread_of(leaves)
        while different:
            bit = (different & -different).bit_length() - 1
            same = different & alike(should, bit) & alike(does, bit)
            different &= ~same
            bit = sources.plainest(same)
            meant = [each for each in wanted if each.mask >> bit & 1]
            sender = sources.sender(bit)
            if guard is not None:
                self._note_unguarded(target, sender, guard, same.bit_count())
            else:
                self._tell(target, sender, meant, same.bit_count())

    def _note_unguarded(self, target: Heading, sender: Sender, guard: Guard, count: int) -> None:
        """Note that packets get through which the rules of every node keep out."""
        leaves = self._alone(target, sender, guard.state)
        found = outcomes(leaves, self.rules.facts.family, self.rules.line_of)
        drop = Outcome(Refuse("drop", guard.reason), Fraction(1), ())
        should = (drop if guard.fragment is None else _PASS,)
        kind, name = "not refused", None
        field: Origin | None = None
        rules: tuple[RuleLine, ...] = ()
        if guard.fragment is not None and guard.fragment.health_check is not None:
            kind, name = "refused", guard.fragment.name
            field = guard.fragment.health_check.origin
            rules = tuple(map(self.rules.line_of, self.rules.causes(kind, leaves)))
        packet = self._packet(target, sender)
        difference = PacketDifference(
            kind=kind,
            packet=packet,
            age=0,
            wanted=should,
            found=found,
            service_port=name,
            field=field,
            rules=rules,
            count=count,
        )
        self.differences.append((guard, difference))

    def _tell(self, target: Heading, sender: Sender, meant: Sequence[Intent], count: int) -> None:
        leaves = self._alone(target, sender, "NEW")
        is_service = meant[0].ending[0] != PASS[0]
        if not is_service:
            # What others do with packets that are no Service's is their own affair.
            leaves = [leaf for leaf in leaves if self._is_ours(leaf)]
            if not leaves:
                return
        packet = self._packet(target, sender)
        ends = {each.ending for each in meant}
        does = set(map(ending, leaves))
        wrong = [leaf for leaf in leaves if ending(leaf) not in ends] or leaves
        foreign = [leaf for leaf in wrong if self.rules.is_foreign(leaf)]
        should = self._should(meant, packet)
        found = outcomes(leaves, self.rules.facts.family, self.rules.line_of)
        kind = kind_of(should, found, is_foreign=bool(foreign), age=sender.memory.age)
        if kind == "wrong weight" and {each[4:] for each in ends} != {e[4:] for e in does}:
            kind = "wrong scheduler"
        way = (rule for leaf in leaves for rule in leaf.flow.path)
        has_no_way_in = lacks_way_in(kind, self.rules.mode, map(self.rules.line_of, way))
        kind = "no way in" if has_no_way_in else kind
        causes = self.rules.causes(kind, foreign or wrong)
        field = self._field(kind, meant, leaves)
        name = meant[0].entry.fragment.name if meant[0].entry is not None else None
        difference = PacketDifference(
            kind,
            packet,
            sender.memory.age,
            should,
            found,
            name if is_service else None,
            field,
            tuple(map(self.rules.line_of, causes)),
            count=count,
        )
        is_of_others = bool(causes) and not any(map(self.rules.is_own, causes))
        by_rule = foreign or is_of_others or not is_service
        cause: tuple[object, ...] = tuple(causes) if by_rule else (name, field)
        cause = (target.is_node,) if has_no_way_in else cause
        self.differences.append((cause, difference))

    def _should(self, meant: Sequence[Intent], packet: Packet) -> tuple[Outcome, ...]:
        """Return how a packet should end, for people."""
        if meant[0].ending[0] == PASS[0]:
            return (_PASS,)
        if meant[0].entry is not None:
            return self.dialect.outcomes(meant, packet)
        refusal = Refuse(str(meant[0].ending[0]), "no Service has this address and port")
        return (Outcome(refusal, Fraction(1), ()),)

    def _is_ours(self, leaf: Leaf) -> bool:
        """Return whether it was rules for Services that did something to a packet."""
        if ending(leaf) == PASS:
            return False
        rule = self.rules.deciding(leaf)
        return rule is not None and self.rules.is_own(rule)

    def _packet(self, target: Heading, sender: Sender) -> Packet:
        family = self.graph.settings.family
        endpoint = sender.memory.endpoint
        return Packet(
            text_of(sender.address, family),
            text_of(target.address, family),
            target.port,
            target.protocol.upper(),
            sender.interface,
            frozenset((_text(endpoint, family),)) if endpoint is not None else frozenset(),
        )

    def _field(self, kind: str, meant: Sequence[Intent], leaves: Sequence[Leaf]) -> Origin | None:
        """Return what in the objects says how packets should end."""
        entry = meant[0].entry
        if entry is None:
            return None
        fragment = entry.fragment
        if kind in ("missing endpoint", "wrong endpoint", "affinity"):
            ends = set(map(ending, leaves))
            for each in meant:
                if each.ending not in ends and each.node is not None:
                    return each.node.origin
        if kind == "wrong weight" and (fragment.cluster or fragment.local):
            balance = fragment.cluster or fragment.local
            assert balance is not None
            return balance.origin
        is_outside = fragment.external is not None and entry.dispatch.frontend != "cluster-ip"
        if kind in ("source not kept", "masquerade missing") and is_outside:
            assert fragment.external is not None
            return fragment.external.origin
        return entry.dispatch.origin


@frozen
class Guard:
    """Packets that no node lets through, whatever Services there are, and why.

    ``state`` is what connection tracking says of them. With a ``fragment`` they ask for its health
    and are let in.
    """

    target: Heading
    state: str
    reason: str
    ending: Ending = ("drop",)
    fragment: Fragment | None = None


def guards(graph: RuleGraph, mode: str) -> Iterator[Guard]:
    """Yield what kube-proxy's rules keep out, or let in, besides what goes to a Service."""
    settings = graph.settings
    for fragment in graph:
        if fragment.health_check is not None and settings.node_ip:
            port = fragment.health_check.port
            target = Heading(number(settings.node_ip), "tcp", port, False)
            yield Guard(target, "NEW", "", PASS, fragment)
    if mode != "iptables":
        return
    outside = "203.0.113.77" if settings.family == "IPv4" else "2001:db8::77"
    if not settings.conntrack_tcp_be_liberal:
        target = Heading(number(outside), "tcp", 80, False)
        yield Guard(target, "INVALID", "connection tracking does not know its connection")
    if settings.localhost_node_ports:
        target = Heading(LOOPBACK[0] + 1, "tcp", 1, False)
        yield Guard(target, "NEW", "loopback is the node's own")


_PASS = Outcome(Pass(), Fraction(1), ())


def _text(endpoint: Endpoint, family: IPFamily) -> str:
    address = text_of(endpoint[0], family)
    return f"[{address}]:{endpoint[1]}" if ":" in address else f"{address}:{endpoint[1]}"
