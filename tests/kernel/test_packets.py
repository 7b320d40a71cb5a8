"""Real packets have the ends that the rule graph says they have, with its chances.

Four readings must agree on every probe: what the scenario says by hand, what `evaluate`
says of the compiled graph, what is explained of the rules as the machine's tools print them, and
what came of packets in a kernel with the rendered rules. Where a mode is known to differ, its
packets are held against that difference instead.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction
from math import erfc, exp, gamma, sqrt

import pytest
from attrs import define, evolve, field

from svcnet import modes
from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, Packet, Pass, Refuse, RuleGraph, diff, evaluate
from svcnet.graph.evaluate import Verdict
from svcnet.meaning import Facts, MachineRules
from svcnet.meaning.explanation.machine import MachineQuestion, explain_rules
from svcnet.meaning.spans import number
from svcnet.models import ClusterState, IPFamily
from svcnet.models.state import ClusterObject
from svcnet.testing import make_node
from tests.kernel.netns import (
    ANY,
    ENDPOINTS,
    HOST,
    MASQUERADED,
    NODE,
    PLACES,
    Agent,
    Cluster,
)
from tests.kernel.scenarios import (
    BROKEN,
    CLOSED,
    DROPPED,
    REFUSED,
    REMEMBERED,
    SCENARIOS,
    UNTOUCHED,
    Change,
    Difference,
    Exchange,
    Expected,
    Expire,
    Open,
    Probe,
    Reach,
    Scenario,
    Step,
)
from tests.kernel.ways import WAYS, Rules, Way

pytestmark = pytest.mark.kernel

Result = tuple[str | int, ...]
"""What an agent saw: ``("reply", endpoint, port, peer)``, ``("refused",)`` or ``("timeout",)``."""

FALSE_ALARM = 1e-8
"""The chance that one check of the spread fails though the rules are right.

A run has some 220 such checks, so about one run in 400,000 fails for nothing. With 60
tries the approximation by chi-square is on the safe side for two and three endpoints,
and that one of them never answers is less likely still.
"""
NODE_NAME = "node-a"


@pytest.mark.parametrize(
    ("scenario", "family", "way"),
    [
        pytest.param(
            scenario,
            family,
            way,
            id=f"{scenario.name}-{family}-{way.name}",
            marks=[pytest.mark.ipvs] if way.needs_guest else [],
        )
        for way in WAYS
        for scenario in SCENARIOS
        for family in scenario.families
        if way.plays(scenario, family)
    ],
)
def test_packets(cluster: Cluster, scenario: Scenario, family: IPFamily, way: Way) -> None:
    """Each step of a scenario ends as its words, the rule graph and the mode's differences say."""
    rules = way.rules(cluster, family)
    run = Run(cluster, family, way, rules, scenario)
    try:
        run.play()
    finally:
        # While the rules are there, the servers hear of the end.
        for agent in cluster.agents.values():
            agent("close")
        rules.flush()


@define
class Run:
    """One scenario in one family, played step by step.

    ``remembered`` are the endpoints that session affinity holds for a source, and
    ``expired`` those that it held before it was waited out.
    """

    cluster: Cluster
    family: IPFamily
    way: Way
    rules: Rules
    scenario: Scenario
    state: ClusterState = field(init=False)
    graph: RuleGraph = field(init=False)
    remembered: dict[str, Result] = field(factory=dict)
    expired: dict[str, Result] = field(factory=dict)
    untouched: dict[Step, Result] = field(factory=dict)
    held: int = 0
    there: MachineRules | None = None

    def play(self) -> None:
        node = make_node(NODE_NAME, NODE.v4, NODE.v6, zone=self.scenario.zone)
        self.state = ClusterState.of((*self.scenario.objects, node))
        self.graph = self.compiled()
        for step in self.scenario.steps:
            if isinstance(step, Probe) and self.expected(step) == UNTOUCHED:
                (source,) = self.sources(step)
                self.untouched[step] = self.results(step, source, 1, self.way.brief)[0]
        self.rules.put(self.graph)
        if self.scenario.closed:
            self.rules.close(self.scenario.closed)
        self.look()
        for step in self.scenario.steps:
            match step:
                case Probe():
                    self.probe(step)
                case Change(objects):
                    self.change(objects)
                case Expire():
                    self.expire(step)
                case Open():
                    self.open(step)
                case Exchange():
                    self.exchange(step)

    def compiled(self) -> RuleGraph:
        config = self.scenario.config
        rules = modes.get(self.way.mode).rules(config)
        view = node_view(self.state, config, HOST, node=NODE_NAME, family=self.family, rules=rules)
        return compile_state(self.state, view)

    def change(self, objects: tuple[ClusterObject, ...]) -> None:
        before = self.graph
        self.state = self.state.apply(objects)
        self.graph = self.compiled()
        self.rules.follow(diff(before, self.graph))
        self.look()

    def look(self) -> None:
        """Read the rules that are there now."""
        own = (text for text in HOST.addresses or () if (":" in text) == (self.family == "IPv6"))
        self.there = self.rules.read(Facts(self.family, frozenset(map(number, own))))

    def difference(self, step: Probe | Open | Exchange | Expire) -> Difference | None:
        """Return how this mode differs from the others in a step, if it does."""
        found = (differs for differs in step.differs if differs.mode == self.way.mode)
        return next(found, None)

    def expected(self, step: Probe | Open) -> Expected:
        """Return the words for what comes of a step in this mode."""
        difference = self.difference(step)
        return difference.expected if difference else step.expected

    def expire(self, step: Expire) -> None:
        time.sleep(step.seconds)
        difference = self.difference(step)
        if difference is None:
            self.forget()
        else:
            assert difference.expected == REMEMBERED

    def forget(self) -> None:
        self.expired, self.remembered = self.remembered, {}

    def probe(self, step: Probe) -> None:
        """Try a probe's packets, and check each end and how often it came."""
        seen: Counter[Result] = Counter()
        means: dict[Result, Fraction] = {}
        difference = self.difference(step)
        if difference is not None and difference.forgets:
            self.forget()
        for source in self.sources(step):
            possible = self.possible(step, source)
            count = step.count or (self.way.tries if len(possible) > 1 else 3)
            if step.in_turn:
                results = self.in_turn(step, source, count)
            else:
                results = self.results(step, source, count, self.patience(possible))
                check_possible(results, possible, step)
            if len(possible) > 1:
                # Only the first of several in turn was left to chance, and none of a
                # sender whose endpoint is remembered.
                left_to_chance = results[:1] if step.in_turn else results
                seen.update(result[:3] for result in left_to_chance)
                for end, chance in possible.items():
                    mean = chance * len(left_to_chance)
                    means[end[:3]] = means.get(end[:3], Fraction(0)) + mean
        if self.expired and len(self.sources(step)) > 1:
            moved = [s for s, result in self.remembered.items() if self.expired.get(s) != result]
            assert moved, "session affinity did not expire"
        if self.way.takes_turns:
            check_turns(seen, means)
        else:
            check_spread(seen, means)

    def in_turn(self, step: Probe, source: str, count: int) -> list[Result]:
        """Try one after the other: what session affinity remembers narrows what is possible."""
        results = []
        for _ in range(count):
            possible = self.possible(step, source)
            result = self.results(step, source, 1, self.patience(possible))[0]
            check_possible([result], possible, step)
            results.append(result)
            self.remembered[source] = result
        return results

    def open(self, step: Open) -> None:
        (source,) = self.sources(step)
        result = self.agent(step.source)(
            "open",
            hold=self.held,
            source=source,
            destination=step.destination.of(self.family),
            port=step.port,
            timeout=self.way.patient,
        )
        self.held += 1
        check_possible([tuple(result)], self.possible(step, source), step)

    def exchange(self, step: Exchange) -> None:
        """Check that every connection that the source holds still carries bytes, or none."""
        difference = self.difference(step)
        carries = difference is None
        assert carries or (difference and difference.expected == BROKEN)
        timeout = self.way.patient if carries else self.way.brief
        for hold in range(self.held):
            assert self.agent(step.source)("exchange", hold=hold, timeout=timeout) == carries

    def possible(self, step: Probe | Open, source: str) -> dict[Result, Fraction]:
        """Return each end that a packet may have, as its sender sees it, with its chance.

        Fails where the scenario's own words say something else than the rule graph.
        """
        packet = Packet(
            source=source,
            destination=step.destination.of(self.family),
            port=step.port,
            protocol=step.protocol,
            interface=PLACES[step.source].interface,
            remembered=frozenset(
                endpoint_text(str(result[1]), int(result[2]), self.family)
                for result in [self.remembered.get(source, ())]
                if len(result) > 1
            ),
        )
        words: dict[str | Reach, Fraction] = {}
        for outcome in evaluate(self.graph, packet):
            word = self.in_words(packet, outcome.verdict)
            words[word] = words.get(word, Fraction(0)) + outcome.probability
        difference = self.difference(step)
        agreed = difference if difference is not None and difference.in_graph else step
        stated = spelled_out(agreed.expected)
        if packet.remembered:
            assert words.keys() <= stated, f"{step} remembers {packet.remembered}"
        else:
            assert words.keys() == stated, step
        if difference is not None:
            words = self.in_this_mode(difference, packet)
        found: dict[Result, Fraction] = {}
        for word, chance in words.items():
            end = self.seen_as(packet, word, step)
            found[end] = found.get(end, Fraction(0)) + chance
        assert self.explained(packet, step) == found, step
        return found

    def explained(self, packet: Packet, step: Probe | Open) -> dict[Result, Fraction]:
        """Return what `svcnet explain` says of a packet by the rules that are there."""
        assert self.there is not None
        is_local = self.there.facts.is_local(number(packet.destination))
        if is_local and not PLACES[step.source].bound:
            packet = evolve(packet, source=packet.destination)  # the kernel's choice of a source
        found: dict[Result, Fraction] = {}
        for end in explain_rules(MachineQuestion(self.there, ("the node",)), packet).outcomes:
            assert isinstance(end.verdict, Deliver | Refuse | Pass), end
            word = self.in_words(packet, end.verdict)
            if word == UNTOUCHED and step not in self.untouched:
                # Nobody on the node serves there.
                word = REFUSED if is_local else Reach("outside", packet.port, masquerade=False)
            seen = self.seen_as(packet, word, step)
            found[seen] = found.get(seen, Fraction(0)) + end.probability
        return found

    def in_this_mode(self, difference: Difference, packet: Packet) -> dict[str | Reach, Fraction]:
        """Return the words of a difference with their chances; affinity narrows them, too."""
        words = spelled_out(difference.expected)
        last = self.remembered.get(packet.source, ())[1:3]
        held = {w for w in words if isinstance(w, Reach) and (w.endpoint, w.port) == last}
        return dict.fromkeys(held or words, Fraction(1, len(held or words)))

    def in_words(self, packet: Packet, verdict: Verdict) -> str | Reach:
        """Return a verdict as scenarios say it."""
        match verdict:
            case Deliver(address, port, masquerade):
                return Reach(self.name_of(address), port, masquerade)
            case Refuse("reject"):
                return REFUSED
            case Refuse():
                return DROPPED
            case Pass() if self.is_closed(packet):
                return CLOSED
            case Pass():
                return UNTOUCHED

    def seen_as(self, packet: Packet, word: str | Reach, step: Probe | Open) -> Result:
        """Return what the sender sees of an end that scenarios have a word for."""
        match word:
            case Reach(name, port) if self.way.hides_sources and name in ENDPOINTS:
                return ("reply", name, port, MASQUERADED[name].of(self.family))
            case Reach(name, port, masquerade):
                # Packets for a process of the node do not pass POSTROUTING, where
                # masquerading is: asked for or not, they keep their source.
                masked = masquerade and not (name == "node" and packet.interface)
                peer = MASQUERADED[name].of(self.family) if masked else packet.source
                is_own = name == step.source and packet.interface
                # An answer to itself does not come back to the node for translation.
                return ("timeout",) if is_own and not masked else ("reply", name, port, peer)
            case "refused":
                return ("refused",)
            case "untouched":
                return self.untouched[step]
            case _:
                return ("timeout",)

    def patience(self, possible: Collection[Result]) -> float:
        """Return how many seconds to wait: longest where every packet must be answered."""
        if ("timeout",) not in possible:
            return self.way.patient
        return self.way.brief if len(possible) == 1 else (self.way.brief + self.way.patient) / 2

    def is_closed(self, packet: Packet) -> bool:
        """Whether the node's own rules close a port that no Service's health check opens."""
        checks = [fragment.health_check for fragment in self.graph]
        opened = {check.port for check in checks if check is not None}
        return packet.port in self.scenario.closed and packet.port not in opened

    def name_of(self, address: str) -> str:
        """Return the name of the endpoint with an address."""
        return next(name for name, own in ENDPOINTS.items() if own.of(self.family) == address)

    def sources(self, step: Probe | Open) -> list[str]:
        return [address.of(self.family) for address in PLACES[step.source].addresses]

    def results(self, step: Probe, source: str, count: int, timeout: float) -> list[Result]:
        """Send packets, and return what came of each."""
        place = PLACES[step.source]
        results = self.agent(step.source)(
            "attempt",
            count=count,
            source=source if place.bound else ANY.of(self.family),
            destination=step.destination.of(self.family),
            port=step.port,
            protocol=step.protocol,
            timeout=timeout,
        )
        return [tuple(result) for result in results]

    def agent(self, place: str) -> Agent:
        return self.cluster.agents[PLACES[place].namespace]


def endpoint_text(name: str, port: int, family: IPFamily) -> str:
    """Return an endpoint's id in the rule graph."""
    address = ENDPOINTS[name].of(family)
    return f"{address}:{port}" if family == "IPv4" else f"[{address}]:{port}"


def spelled_out(expected: Expected) -> frozenset[str | Reach]:
    """Return the words that a step's ends may have."""
    return frozenset([expected]) if isinstance(expected, str) else frozenset(expected)


def check_possible(results: Iterable[Result], possible: Collection[Result], step: Step) -> None:
    for result in results:
        assert result in possible, f"not a possible end of {step}"


def check_turns(seen: Mapping[Result, int], ends: Collection[Result]) -> None:
    """Check that the ends came in turn, none more than once oftener than another."""
    if len(ends) > 1:
        counts = [seen.get(end, 0) for end in ends]
        assert max(counts) - min(counts) <= 1, seen


def check_spread(seen: Mapping[Result, int], means: Mapping[Result, Fraction]) -> None:
    """Check that the ends came as often as the means of their counts say, and all came.

    The counts of one sender or of several with other chances: Pearson's test errs towards
    passing where the chances differ.
    """
    count = sum(seen.values())
    assert count == sum(means.values()), (seen, means)
    if len(means) < 2:
        return
    if sum((1 - mean / count) ** count for mean in means.values()) < FALSE_ALARM:
        assert seen.keys() == means.keys()
    if min(means.values()) < 5:
        return
    distance = sum((seen.get(end, 0) - mean) ** 2 / mean for end, mean in means.items())
    assert chance_beyond(float(distance), len(means) - 1) > FALSE_ALARM, (seen, means)


def chance_beyond(distance: float, freedom: int) -> float:
    """Return the chance that a chi-square variable is larger than `distance`."""
    half = distance / 2
    chance, k = (erfc(sqrt(half)), 1) if freedom % 2 else (exp(-half), 2)
    while k < freedom:
        chance += half ** (k / 2) * exp(-half) / gamma(k / 2 + 1)
        k += 2
    return chance
