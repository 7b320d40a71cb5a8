"""Real packets have the ends that the rule graph says they have, with its chances.

Three readings must agree on every probe: what the scenario says by hand, what `evaluate`
says of the compiled graph, and what came of packets in a kernel with the rendered rules.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from fractions import Fraction
from math import erfc, exp, gamma, sqrt
from typing import Literal

import pytest
from attrs import define, field, frozen

from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, Packet, Pass, Refuse, RuleGraph, diff, evaluate
from svcnet.graph.evaluate import Verdict
from svcnet.models import ClusterState, IPFamily
from svcnet.renderers.iptables import delta, full
from svcnet.testing import make_node
from tests.kernel.netns import (
    ENDPOINTS,
    HOST,
    MASQUERADED,
    NODE,
    PLACES,
    Agent,
    Cluster,
    small_cluster,
)
from tests.kernel.scenarios import (
    CLOSED,
    DROPPED,
    REFUSED,
    SCENARIOS,
    UNTOUCHED,
    Change,
    Exchange,
    Expire,
    Open,
    Probe,
    Reach,
    Scenario,
    Step,
)
from tests.renderers.test_meaning import leaves_the_node

pytestmark = pytest.mark.kernel

Variant = Literal["nft", "legacy"]
Result = tuple[str | int, ...]
"""What an agent saw: ``("reply", endpoint, port, peer)``, ``("refused",)`` or ``("timeout",)``."""

FALSE_ALARM = 1e-8
"""The chance that one check of the spread fails though the rules are right.

A run has some 220 such checks, so about one run in 400,000 fails for nothing. With
`TRIES` tries the approximation by chi-square is on the safe side for two and three
endpoints, and that one of them never answers is less likely still.
"""
TRIES = 60
SHORT, LONG = 0.4, 5.0
"""Seconds to wait where no answer is expected, and where one is."""
NODE_NAME = "node-a"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with small_cluster() as made:
        yield made


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize(
    ("scenario", "family"),
    [
        pytest.param(scenario, family, id=f"{scenario.name}-{family}")
        for scenario in SCENARIOS
        for family in scenario.families
    ],
)
def test_packets(cluster: Cluster, scenario: Scenario, family: IPFamily, variant: Variant) -> None:
    run = Run(cluster, Rules(cluster, family, variant), scenario)
    try:
        run.play()
    finally:
        run.rules.flush()
        for agent in cluster.agents.values():
            agent("close")


@frozen
class Rules:
    """The rules of the node, in one family and one variant of iptables."""

    cluster: Cluster
    family: IPFamily
    variant: Variant

    def restore(self, text: str) -> None:
        tool = "iptables" if self.family == "IPv4" else "ip6tables"
        command = f"{tool}-{self.variant}-restore"
        self.cluster.run("node", command, "--noflush", "--wait", "10", stdin=text)

    def close(self, ports: tuple[int, ...]) -> None:
        """Add rules of the host's own, behind those of Services."""
        lines = "".join(f"-A INPUT -p tcp --dport {port} -j DROP\n" for port in ports)
        self.restore(f"*filter\n{lines}COMMIT\n")

    def flush(self) -> None:
        tool = "iptables" if self.family == "IPv4" else "ip6tables"
        command = f"{tool}-{self.variant}-restore"
        text = (
            "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
            "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
            ":POSTROUTING ACCEPT [0:0]\nCOMMIT\n"
        )
        self.cluster.run("node", command, "--wait", "10", stdin=text)


@define
class Run:
    """One scenario in one family, played step by step.

    ``remembered`` are the endpoints that session affinity holds for a source, and
    ``expired`` those that it held before it was waited out.
    """

    cluster: Cluster
    rules: Rules
    scenario: Scenario
    state: ClusterState = field(init=False)
    graph: RuleGraph = field(init=False)
    remembered: dict[str, Result] = field(factory=dict)
    expired: dict[str, Result] = field(factory=dict)
    untouched: dict[Step, Result] = field(factory=dict)
    held: int = 0

    @property
    def family(self) -> IPFamily:
        return self.rules.family

    def play(self) -> None:
        node = make_node(NODE_NAME, NODE.v4, NODE.v6)
        self.state = ClusterState.of((*self.scenario.objects, node))
        self.graph = self.compiled()
        for step in self.scenario.steps:
            if isinstance(step, Probe) and step.expected == UNTOUCHED:
                (source,) = self.sources(step)
                self.untouched[step] = self.results(step, source, 1, expects_reply=False)[0]
        self.rules.restore(full(self.graph).text_with_jumps)
        if self.scenario.closed:
            self.rules.close(self.scenario.closed)
        for step in self.scenario.steps:
            match step:
                case Probe():
                    self.probe(step)
                case Change(objects):
                    self.change(objects)
                case Expire(seconds):
                    time.sleep(seconds)
                    self.expired, self.remembered = self.remembered, {}
                case Open():
                    self.open(step)
                case Exchange(source):
                    self.exchange(source)

    def compiled(self) -> RuleGraph:
        view = node_view(self.state, self.scenario.config, HOST, node=NODE_NAME, family=self.family)
        return compile_state(self.state, view)

    def change(self, objects: tuple[object, ...]) -> None:
        before = self.graph
        self.state = self.state.apply(objects)
        self.graph = self.compiled()
        self.rules.restore(delta(diff(before, self.graph)).text)

    def probe(self, step: Probe) -> None:
        """Try a probe's packets, and check each end and how often it came."""
        seen: Counter[Result] = Counter()
        chances: dict[Result, Fraction] = {}
        for source in self.sources(step):
            possible = self.possible(step, source)
            chances.update({end[:3]: chance for end, chance in possible.items()})
            count = step.count or (TRIES if len(possible) > 1 else 3)
            if step.in_turn:
                results = self.in_turn(step, source, count)
            else:
                results = self.results(step, source, count, expects_reply(possible))
                check_possible(results, possible, step)
            # Only the first of several in turn was left to chance.
            seen.update(result[:3] for result in (results[:1] if step.in_turn else results))
        if self.expired:
            moved = [s for s, result in self.remembered.items() if self.expired.get(s) != result]
            assert moved, "session affinity did not expire"
        check_spread(seen, chances)

    def in_turn(self, step: Probe, source: str, count: int) -> list[Result]:
        """Try one after the other: what session affinity remembers narrows what is possible."""
        results = []
        for _ in range(count):
            possible = self.possible(step, source)
            result = self.results(step, source, 1, expects_reply(possible))[0]
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
            timeout=LONG,
        )
        self.held += 1
        check_possible([tuple(result)], self.possible(step, source), step)

    def exchange(self, source: str) -> None:
        """Check that every connection that `source` holds still carries bytes."""
        for hold in range(self.held):
            assert self.agent(source)("exchange", hold=hold, timeout=LONG)

    def possible(self, step: Probe | Open, source: str) -> dict[Result, Fraction]:
        """Return each end that a packet may have, as its sender sees it, with its chance.

        Fails where the scenario's own words say something else.
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
                if result
            ),
        )
        found: dict[Result, Fraction] = {}
        meant: set[str | Reach] = set()
        for outcome in evaluate(self.graph, packet):
            meant.add(self.in_words(packet, outcome.verdict))
            end = self.seen_as(packet, outcome.verdict, step)
            found[end] = found.get(end, Fraction(0)) + outcome.probability
        stated = {step.expected} if isinstance(step.expected, str) else step.expected
        if packet.remembered:
            assert meant <= stated, f"{step} remembers {packet.remembered}"
        else:
            assert meant == stated, step
        return found

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

    def seen_as(self, packet: Packet, verdict: Verdict, step: Probe | Open) -> Result:
        """Return what the sender sees of a verdict."""
        if leaves_the_node(self.graph, packet, verdict):
            return ("reply", "outside", packet.port, packet.source)
        match verdict:
            case Deliver(address, port, masquerade):
                name = self.name_of(address)
                # Packets for a process of the node do not pass POSTROUTING, where
                # masquerading is: asked for or not, they keep their source.
                stays = name == "node" and packet.interface
                masked = masquerade and not stays
                peer = MASQUERADED[name].of(self.family) if masked else packet.source
                return ("reply", name, port, peer)
            case Refuse("reject"):
                return ("refused",)
            case Refuse():
                return ("timeout",)
            case Pass() if self.is_closed(packet):
                return ("timeout",)
            case Pass():
                return self.untouched[step]

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

    def results(self, step: Probe, source: str, count: int, expects_reply: bool) -> list[Result]:
        """Send packets, and return what came of each."""
        results = self.agent(step.source)(
            "attempt",
            count=count,
            source=source,
            destination=step.destination.of(self.family),
            port=step.port,
            protocol=step.protocol,
            timeout=LONG if expects_reply else SHORT,
        )
        return [tuple(result) for result in results]

    def agent(self, place: str) -> Agent:
        return self.cluster.agents[PLACES[place].namespace]


def endpoint_text(name: str, port: int, family: IPFamily) -> str:
    """Return an endpoint's id in the rule graph."""
    address = ENDPOINTS[name].of(family)
    return f"{address}:{port}" if family == "IPv4" else f"[{address}]:{port}"


def expects_reply(possible: Iterable[Result]) -> bool:
    return any(end != ("timeout",) for end in possible)


def check_possible(results: Iterable[Result], possible: Collection[Result], step: Step) -> None:
    for result in results:
        assert result in possible, f"not a possible end of {step}"


def check_spread(seen: Mapping[Result, int], chances: Mapping[Result, Fraction]) -> None:
    """Check that the ends came as often as their chances say, by Pearson's test, and all came."""
    count = sum(seen.values())
    if sum((1 - chance) ** count for chance in chances.values()) < FALSE_ALARM:
        assert seen.keys() == chances.keys()
    expected = {end: float(count * chance) for end, chance in chances.items()}
    if len(chances) < 2 or min(expected.values()) < 5:
        return
    distance = sum((seen.get(end, 0) - mean) ** 2 / mean for end, mean in expected.items())
    assert chance_beyond(distance, len(chances) - 1) > FALSE_ALARM, (seen, chances)


def chance_beyond(distance: float, freedom: int) -> float:
    """Return the chance that a chi-square variable is larger than `distance`."""
    half = distance / 2
    chance, k = (erfc(sqrt(half)), 1) if freedom % 2 else (exp(-half), 2)
    while k < freedom:
        chance += half ** (k / 2) * exp(-half) / gamma(k / 2 + 1)
        k += 2
    return chance
