"""One side of a comparison: a graph as a mode does it, or rules that are there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol

from svcnet.family import IPFamily
from svcnet.graph import Deliver, Drop, LocalDetector, Origin, Pass, Refuse, Reject, RuleGraph
from svcnet.graph.evaluate import FrontendEntry
from svcnet.meaning.comparison.cells import GraphNames, NameSource, RuleNames, own_addresses
from svcnet.meaning.comparison.dialects import dialect_of
from svcnet.meaning.comparison.intent import (
    PASS,
    Ending,
    Heading,
    Intent,
    Ratio,
    distinctions,
    intents,
)
from svcnet.meaning.flow import Leaf
from svcnet.meaning.outcome import FoundVerdict, Rewrite, RuleLine
from svcnet.meaning.outcomes import MachineRules, ending, of_one_world, verdict_of
from svcnet.meaning.sources import Distinctions, Endpoint, OneSender, Sender, Sources
from svcnet.meaning.spans import Span, text_of


class SideFlow(NamedTuple):
    """How packets of some senders end on one side, and with what chance.

    ``doubts`` are what was assumed of rules that are not understood, by their texts.
    """

    mask: int
    ending: Ending
    chance: Ratio
    doubts: tuple[tuple[object, bool], ...] = ()


class SideEnd(NamedTuple):
    """One end of one sender's packet, for people; ``rule`` is the line that decides, if any.

    ``choice`` is by what a virtual server chooses it.
    """

    verdict: FoundVerdict
    chance: Fraction
    choice: str = ""
    origin: Origin | None = None
    rule: RuleLine | None = None


class Side(NameSource, Protocol):
    """What becomes of packets on one side."""

    family: IPFamily
    mode: str
    own: Mapping[int, object]
    """Addresses of the node, each with what tells it apart from others of the node's."""

    taken: Collection[int]
    """Addresses that nobody elsewhere has, besides."""

    detector: LocalDetector
    """How pods of the node are told, as far as it is known."""

    def entry(self, target: Heading) -> FrontendEntry | None:
        """Return the frontend that takes the packets, None if nobody says so."""

    def distinctions(self, target: Heading) -> Distinctions:
        """Return what senders are told apart by, as far as that is known beforehand."""

    def flows(self, target: Heading, sources: Sources, state: str = "NEW") -> list[SideFlow]:
        """Return how packets of many senders to one destination end."""

    def ends(self, target: Heading, sender: Sender, state: str = "NEW") -> list[SideEnd]:
        """Return how one sender's packets end."""

    def unknown(self, target: Heading, sender: Sender) -> list[RuleLine]:
        """Return the rules on the way of one sender's packets that are not understood."""


class GraphSide:
    """A graph, as a mode does what it says; `names` are the destinations to look at, if not all."""

    def __init__(self, graph: RuleGraph, mode: str, part: RuleGraph | None = None) -> None:
        settings = graph.settings
        self.graph = graph
        self.mode = mode
        self.family: IPFamily = settings.family
        self.own: Mapping[int, object] = own_addresses(settings)
        self.taken: Collection[int] = ()
        self.detector = settings.local_detector
        self.dialect = dialect_of(graph, mode)
        names = self.dialect if part is None or part is graph else dialect_of(part, mode)
        self._names = GraphNames(names)

    def names(self) -> RuleNames:
        """Return destinations and ranges that the graph names."""
        return self._names.names()

    def ports(self, address: int) -> Mapping[str, set[Span]]:
        """Return ports of the node, by protocol."""
        return self._names.ports(address)

    def entry(self, target: Heading) -> FrontendEntry | None:
        """Return the frontend that takes the packets."""
        return self.dialect.entry(target)

    def distinctions(self, target: Heading) -> Distinctions:
        """Return what the graph tells senders apart by."""
        return distinctions(self.graph.settings, self.entry(target))

    def flows(self, target: Heading, sources: Sources, state: str = "NEW") -> list[SideFlow]:
        """Return how packets of many senders to one destination should end."""
        return [
            SideFlow(each.mask, each.ending, each.chance)
            for each in self._intents(target, sources, state)
        ]

    def _intents(self, target: Heading, sources: Sources, state: str) -> list[Intent]:
        guard = self._guard(target, state)
        if guard is not None:
            return [Intent(sources.everybody, guard, (1, 1))]
        return intents(self.dialect, self.entry(target), target, sources)

    def _guard(self, target: Heading, state: str) -> Ending | None:
        """Return how packets end that the rules of every node keep out, None for others."""
        settings = self.graph.settings
        if state == "INVALID":
            is_out = self.mode == "iptables" and not settings.conntrack_tcp_be_liberal
            return ("drop",) if is_out else PASS
        if _is_martian(target) and not target.is_node:
            is_out = self.mode == "iptables" and settings.localhost_node_ports
            return ("drop",) if is_out else PASS
        return None

    def ends(self, target: Heading, sender: Sender, state: str = "NEW") -> list[SideEnd]:
        """Return how one sender's packets should end."""
        found: dict[tuple[Ending, str], tuple[Fraction, Intent]] = {}
        for each in self._intents(target, _alone(sender), state):
            if not each.mask:
                continue
            reason = each.node.reason if isinstance(each.node, Reject | Drop) else ""
            before = found.get((each.ending, reason), (Fraction(0), each))[0]
            found[each.ending, reason] = (before + Fraction(*each.chance), each)
        return [
            SideEnd(
                self._verdict(end, reason),
                chance,
                _choice(end),
                intent.node.origin if intent.node is not None else None,
            )
            for (end, reason), (chance, intent) in found.items()
        ]

    def _verdict(self, end: Ending, reason: str) -> FoundVerdict:
        match end:
            case ("deliver", int(address), int(port), source, *_):
                return Deliver(text_of(address, self.family), port, bool(source))
            case ("pass", str(source)):
                return Rewrite(source) if source else Pass()
        return Refuse(str(end[0]), reason)

    def unknown(self, target: Heading, sender: Sender) -> list[RuleLine]:
        """Return nothing: a graph is understood."""
        return []


class RuleSide:
    """Rules that are there; without `own` the node's addresses are those that they know of."""

    def __init__(self, rules: MachineRules, own: Mapping[int, object] | None = None) -> None:
        self.rules = rules
        self.mode = rules.mode
        self.family: IPFamily = rules.facts.family
        self.own: Mapping[int, object] = (
            dict.fromkeys(sorted(rules.facts.addresses)) if own is None else own
        )
        self.taken: Collection[int] = rules.facts.addresses
        self.detector = LocalDetector()

    def names(self) -> RuleNames:
        """Return destinations and ranges that rules name."""
        return self.rules.names()

    def ports(self, address: int) -> Mapping[str, set[Span]]:
        """Return the ports that rules name which are not for one other address, by protocol."""
        return {name: set(spans) for name, spans in self.rules.ports(address).items()}

    def entry(self, target: Heading) -> FrontendEntry | None:
        """Return nothing: rules do not say which frontend it is."""
        return None

    def distinctions(self, target: Heading) -> Distinctions:
        """Return nothing: rules ask while they are gone through."""
        return Distinctions()

    def flows(self, target: Heading, sources: Sources, state: str = "NEW") -> list[SideFlow]:
        """Return how packets of many senders to one destination end."""
        leaves = self.rules.leaves(
            sources,
            target.address,
            target.protocol,
            target.port,
            is_node=target.is_node,
            state=state,
        )
        return [
            SideFlow(
                leaf.flow.mask, self._ending(leaf), leaf.flow.luck.ratio, tuple(self._doubts(leaf))
            )
            for leaf in leaves
        ]

    def _ending(self, leaf: Leaf) -> Ending:
        """Return how packets end; of what is not understood, where they are, and at which rule."""
        if leaf.kind != "unknown":
            return ending(leaf)
        return ("unknown", self._name(leaf.rule), leaf.flow.header)

    def _doubts(self, leaf: Leaf) -> Iterator[tuple[object, bool]]:
        for _, answer, rule in leaf.flow.doubts:
            yield self._name(rule), answer

    def _name(self, rule: object) -> object:
        """Return what a rule is known by on both sides: where it is and what it says."""
        line = self.rules.line_of(rule)
        return line.table, line.chain, line.text

    def ends(self, target: Heading, sender: Sender, state: str = "NEW") -> list[SideEnd]:
        """Return how one sender's packets end, if no rule matches that is not understood."""
        found: dict[tuple[FoundVerdict, str], SideEnd] = {}
        for leaf in of_one_world(self._leaves(target, sender, state)):
            decides = self.rules.deciding(leaf)
            verdict = verdict_of(leaf, self.family, self.rules.line_of)
            line = None if decides is None else self.rules.line_of(decides)
            if isinstance(verdict, Refuse):
                verdict = Refuse(verdict.how, "")
            choice = _choice(ending(leaf))
            before = found.get((verdict, choice))
            chance = leaf.flow.luck.exact + (before.chance if before is not None else 0)
            found[verdict, choice] = SideEnd(verdict, chance, choice, None, line)
        return list(found.values())

    def _leaves(self, target: Heading, sender: Sender, state: str = "NEW") -> Sequence[Leaf]:
        return self.rules.leaves(
            _alone(sender),
            target.address,
            target.protocol,
            target.port,
            is_node=target.is_node,
            state=state,
            notes=True,
        )

    def unknown(self, target: Heading, sender: Sender) -> list[RuleLine]:
        """Return the rules on the way of one sender's packets that are not understood."""
        found: dict[RuleLine, None] = {}
        for leaf in self._leaves(target, sender):
            if leaf.kind == "unknown":
                found[self.rules.line_of(leaf.rule)] = None
            found.update((self.rules.line_of(doubt[2]), None) for doubt in leaf.flow.doubts)
        return list(found)


def side_of(each: RuleGraph | MachineRules, other: RuleGraph | MachineRules) -> Side:
    """Return a graph or rules as a side that is compared with another.

    What is not known of a machine from its own rules is known from the other side.
    """
    if isinstance(each, RuleGraph):
        return GraphSide(each, "iptables" if isinstance(other, RuleGraph) else other.mode)
    known = set(each.facts.addresses)
    if isinstance(other, RuleGraph):
        return RuleSide(each, {**dict.fromkeys(sorted(known)), **own_addresses(other.settings)})
    return RuleSide(each, dict.fromkeys(sorted({*known, *other.facts.addresses})))


def _alone(sender: Sender) -> OneSender:
    endpoint = sender.memory.endpoint
    known: frozenset[Endpoint] = frozenset() if endpoint is None else frozenset((endpoint,))
    return OneSender(sender, known)


def _choice(end: Ending) -> str:
    """Return by what a virtual server chooses an endpoint, empty where none does."""
    return str(end[4]) if len(end) > 4 else ""


def _is_martian(target: Heading) -> bool:
    """Return whether packets are for loopback of IPv4, where none can come from elsewhere."""
    return 0x7F000000 <= target.address <= 0x7FFFFFFF
