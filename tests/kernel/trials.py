"""Random clusters and packets for the small cluster, and what came of the packets there.

What a packet meets is held to what is explained of the rules as the node's own tools print them,
whoever wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

from attrs import define, evolve, field, frozen

from svcnet import modes
from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, Packet, Pass, Refuse, RuleGraph
from svcnet.meaning import Facts, MachineRules, Redirect, Rewrite, Unknown, verify
from svcnet.meaning.dump import read_routes
from svcnet.meaning.explanation.machine import MachineQuestion, explain_rules
from svcnet.meaning.explanation.text import text
from svcnet.meaning.outcome import FoundVerdict
from svcnet.meaning.spans import number
from svcnet.models import ClusterState, IPFamily, KubeProxyConfiguration
from svcnet.models.state import ClusterObject
from svcnet.testing import make_node
from tests.kernel.foreign_tables import EMPTY
from tests.kernel.netns import (
    CLIENT,
    CLIENTS,
    CLUSTER_IP,
    ENDPOINTS,
    EXTERNAL,
    HOST,
    LOAD_BALANCER,
    LOOPBACK,
    NODE,
    NODE_INNER,
    OTHER_CLUSTER_IP,
    PLACES,
    SERVERS,
    Both,
    Cluster,
)
from tests.kernel.scenarios import (
    CLUSTER_CIDRS,
    DEFAULTS,
    GOING,
    GONE,
    MANY,
    NOT_READY,
    PREFIX,
    WITH_CIDR,
    service,
    slices,
)
from tests.kernel.ways import Rules, Way

Seen = tuple[str | int, ...]
"""What a sender saw; in place of each address of the node's stands ``own``."""

BRIEF, PATIENT = 0.4, 5.0
SOURCES = ("pod1", "pod2", "pod3", "client", "client2", "node", "node-loopback")
DESTINATIONS = (
    *(CLUSTER_IP, CLUSTER_IP, OTHER_CLUSTER_IP, LOAD_BALANCER, EXTERNAL, NODE, NODE, NODE_INNER),
    *(LOOPBACK, *ENDPOINTS.values()),
)
PORTS = (80, 80, 53, 443, 8080, 30080, 30080, 30053, 30443, 99)
OWN = frozenset(HOST.addresses or ())


@frozen
class RandomPacket:
    """A packet, by who sends it."""

    place: str
    destination: Both
    port: int
    protocol: str

    def of(self, family: IPFamily) -> Packet:
        """Return the packet as rules see it."""
        place = PLACES[self.place]
        source, destination = place.addresses[0].of(family), self.destination.of(family)
        return Packet(source, destination, self.port, self.protocol, place.interface)


def random_packet(random: Random) -> RandomPacket:
    """Return a packet that can be on the way, mostly for a Service."""
    place = random.choice(SOURCES)
    destination = random.choice(DESTINATIONS)
    if place == "node-loopback" or destination == LOOPBACK:
        place, destination = "node-loopback", LOOPBACK
    if ENDPOINTS.get(place) == destination:
        destination = CLUSTER_IP  # what a pod sends to itself never leaves it
    port = random.choice(PORTS)
    protocol = "UDP" if port in (53, 30053) and random.random() < 0.8 else "TCP"
    return RandomPacket(place, destination, port, protocol)


def random_cluster(random: Random) -> tuple[tuple[ClusterObject, ...], KubeProxyConfiguration]:
    """Return objects of some Services, and a configuration."""
    objects: list[ClusterObject] = []
    for name, address, at in (("web", CLUSTER_IP, 0), ("api", OTHER_CLUSTER_IP, 1)):
        if name == "api" and random.random() < 0.4:
            continue
        objects += _service(random, name, address, at)
    config = random.choice((DEFAULTS, WITH_CIDR, WITH_CIDR, PREFIX))
    if random.random() < 0.2:
        config = evolve(config, iptables=evolve(config.iptables, masquerade_all=True))
    return tuple(objects), config


def _service(random: Random, name: str, address: Both, at: int) -> list[ClusterObject]:
    from svcnet.models import LoadBalancerIngress, ServicePort

    kind = random.choice(("ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer"))
    numbers = [0, 0] if kind == "ClusterIP" else [(30080, 30053), (30443, 0)][at]
    ports = [ServicePort((80, 443)[at], "http", "TCP", (8080, 8443)[at], numbers[0])]
    if not at:
        ports.append(ServicePort(53, "dns", "UDP", 5353, numbers[1]))
    ingress = kind == "LoadBalancer" and not at
    ranges = random.choice(((), (), (f"{CLIENT.v4}/32",), (CLIENTS.v4, CLUSTER_CIDRS[0])))
    made = service(
        name,
        address,
        type=kind,
        ports=tuple(ports),
        external_ips=random.choice(((), (EXTERNAL.v4, EXTERNAL.v6))) if not at else (),
        load_balancer_ingress=(
            (LoadBalancerIngress(LOAD_BALANCER.v4), LoadBalancerIngress(LOAD_BALANCER.v6))
            if ingress
            else ()
        ),
        load_balancer_source_ranges=(*ranges, CLIENTS.v6) if ingress and ranges else (),
        session_affinity=random.choice(("None", "None", "ClientIP")),
        internal_traffic_policy=random.choice(("Cluster", "Cluster", "Local")),
        external_traffic_policy=random.choice(("Cluster", "Local")),
    )
    chosen = [end for end in ENDPOINTS if random.random() < (0.2 if end == "node" else 0.6)]
    conditions = {end: random.choice(({}, {}, {}, NOT_READY, GOING, GONE)) for end in chosen}
    return [made, *slices(*chosen, of=name, ports=MANY, conditions=conditions)]


@define
class Trial:
    """One random cluster on the node, in one family and one way."""

    cluster: Cluster
    way: Way
    family: IPFamily
    seed: int
    rules: Rules = field(init=False)
    untouched: dict[RandomPacket, Seen] = field(factory=dict)
    unknown: int = 0

    def play(self, packets: Sequence[RandomPacket], foreign: str = "") -> None:
        """Put rules on the node, `foreign` beside them, and hold packets to what is explained."""
        random = Random(self.seed)
        objects, config = random_cluster(random)
        state = ClusterState.of((*objects, make_node("node-a", NODE.v4, NODE.v6)))
        rules = modes.get(self.way.mode).rules(config)
        view = node_view(state, config, HOST, node="node-a", family=self.family, rules=rules)
        graph = compile_state(state, view)
        self.measure(packets)
        self.rules = self.way.rules(self.cluster, self.family)
        try:
            self.rules.put(graph)
            self.add(foreign)
            there = self.read()
            if not foreign:
                self.check_meaning(graph, there)
            self.check(packets, there)
        finally:
            self.rules.flush()
            self.take_away(foreign)

    def add(self, foreign: str) -> None:
        """Put rules of others beside ours: of iptables, or tables of nftables."""
        if foreign.startswith("table "):
            self.cluster.run("node", "nft", "-f", "-", stdin=foreign)
        elif foreign:
            self.restore(foreign, "--noflush")

    def take_away(self, foreign: str) -> None:
        """Take away the rules of others."""
        tables = re.findall(r"^table (\w+ \S+) ", foreign, re.MULTILINE)
        if tables:
            lines = "".join(f"table {table}\ndelete table {table}\n" for table in tables)
            self.cluster.run("node", "nft", "-f", "-", stdin=lines)
        elif foreign:
            self.restore(EMPTY)

    def restore(self, text: str, *options: str) -> None:
        """Load rules of iptables, in the variant of the way."""
        tool = "iptables" if self.family == "IPv4" else "ip6tables"
        variant = "legacy" if "legacy" in self.way.name else "nft"
        self.cluster.run("node", f"{tool}-{variant}-restore", *options, stdin=text)

    def read(self) -> MachineRules:
        """Return the rules that the node has now."""
        own = (text for text in sorted(OWN) if (":" in text) == (self.family == "IPv6"))
        version = "-4" if self.family == "IPv4" else "-6"
        routes = read_routes("ip", self.cluster.run("node", "ip", version, "-j", "route"))
        facts = Facts(self.family, frozenset(map(number, own)), interfaces=routes[self.family])
        found = self.rules.read(facts)
        assert found is not None
        return found

    def check_meaning(self, graph: RuleGraph, there: MachineRules) -> None:
        """Check that the rules are what the objects ask for, for every packet."""
        found = verify(graph, there)
        assert (found.differences, found.unknown) == ((), ()), f"seed {self.seed}"

    def measure(self, packets: Iterable[RandomPacket]) -> None:
        """See what comes of packets that no rule touches, while there is none."""
        new = [packet for packet in packets if packet not in self.untouched]
        for packet, (seen, *_) in self.send(dict.fromkeys(new, BRIEF), 1).items():
            self.untouched[packet] = seen

    def check(self, packets: Iterable[RandomPacket], there: MachineRules) -> None:
        """Check that each packet ends as is explained of the rules."""
        expected: dict[RandomPacket, set[Seen]] = {}
        for packet in packets:
            asked = MachineQuestion(there, ("the node",))
            found = explain_rules(asked, packet.of(self.family)).outcomes
            ends = [end.verdict for end in found]
            if any(isinstance(end, Unknown) for end in ends):
                self.unknown += 1
                continue
            said = " ".join(step.decision for end in found for step in end.steps)
            if packet.place == "node-loopback" and "the source becomes" in said:
                continue  # whether answers to another source reach loopback is no rule's affair
            expected[packet] = {self.seen_as(packet, end) for end in ends}
        waits = {
            packet: PATIENT if ("timeout",) not in ends else BRIEF * (1 + 2 * (len(ends) > 1))
            for packet, ends in expected.items()
        }
        for packet, results in self.send(waits, 2).items():
            for seen in results:
                assert seen in expected[packet], (
                    f"seed {self.seed}: {packet} met {seen}\n{self.told(there, packet)}"
                )

    def told(self, there: MachineRules, packet: RandomPacket) -> str:
        """Return what is explained of a packet."""
        asked = MachineQuestion(there, ("the node",))
        return text(explain_rules(asked, packet.of(self.family)))

    def seen_as(self, packet: RandomPacket, verdict: FoundVerdict) -> Seen:
        """Return what the sender sees of an end."""
        match verdict:
            case Deliver(address, port, masquerade):
                return self.answered(packet, address, port, "own" if masquerade else "")
            case Rewrite(source, address, port) if address:
                return self.answered(packet, address, port, source)
            case Redirect(port, source):
                sent = "own" if source == "node" else source
                return self.answered(packet, NODE.of(self.family), port, sent)
            case Rewrite(source):
                before = self.untouched[packet]
                peer = "own" if source in OWN or source == "node" else source
                return (*before[:3], peer) if before[0] == "reply" else before
            case Refuse("reject"):
                return ("refused",)
            case Refuse():
                return ("timeout",)
            case Pass():
                return self.untouched[packet]
        raise AssertionError(verdict)

    def answered(self, packet: RandomPacket, address: str, port: int, source: str) -> Seen:
        """Return what comes of a packet that is sent to an endpoint, with a source of its own."""
        name = next((name for name, own in ENDPOINTS.items() if own.of(self.family) == address), "")
        assert name, (self.seed, packet, address, port)
        sent = packet.of(self.family)
        if name == packet.place and sent.interface and not source:
            # An answer to itself does not come back to the node for translation.
            return ("timeout",)
        if packet.place == "node-loopback" and name != "node" and not source:
            # Nobody elsewhere takes a packet from there.
            return ("timeout",)
        if (packet.protocol, port) not in SERVERS[name]:
            # A proxy says nothing of a datagram that was refused, and closes a connection.
            is_silent = self.way.hides_sources and packet.protocol == "UDP"
            return ("timeout",) if is_silent else ("refused",)
        peer = source or sent.source
        return ("reply", name, port, "own" if peer in OWN or peer == "own" else peer)

    def send(
        self, waits: Mapping[RandomPacket, float], count: int
    ) -> dict[RandomPacket, list[Seen]]:
        """Send packets `count` times, those of different namespaces at once."""
        by_namespace: dict[str, list[RandomPacket]] = {}
        for packet in waits:
            by_namespace.setdefault(PLACES[packet.place].namespace, []).append(packet)
        found: dict[RandomPacket, list[Seen]] = {}

        def work(namespace: str) -> None:
            for packet in by_namespace[namespace]:
                results: list[list[Any]] = self.cluster.agents[namespace](
                    "attempt",
                    count=count,
                    source=PLACES[packet.place].addresses[0].of(self.family),
                    destination=packet.destination.of(self.family),
                    port=packet.port,
                    protocol=packet.protocol,
                    timeout=waits[packet],
                )
                found[packet] = [plain(tuple(result)) for result in results]

        with ThreadPoolExecutor(len(by_namespace) or 1) as pool:
            list(pool.map(work, by_namespace))
        return found


def plain(seen: Seen) -> Seen:
    """Return what was seen, with ``own`` for addresses of the node's; each refusal is one."""
    if seen[0] == "unreachable":
        return ("refused",)
    return tuple("own" if part in OWN else part for part in seen)
