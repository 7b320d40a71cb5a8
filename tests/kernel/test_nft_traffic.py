"""No packet is lost while endpoints come and go by netlink, in the flat layout."""

from __future__ import annotations

import os
from collections import Counter
from itertools import pairwise

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.executors import nftables
from svcnet.executors.nftables.writer import NFTWriter
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.family import IP_FAMILIES
from svcnet.graph import RuleGraph, diff
from svcnet.models import ClusterState, EndpointPort, IPFamily, ServicePort
from svcnet.renderers.nftables import NFTablesDelta, Ruleset, advance, buckets_ahead, full
from svcnet.renderers.nftables.flat.sizes import LEAST
from svcnet.testing import make_node
from tests.kernel.load import under_load
from tests.kernel.netns import CLIENT, CLUSTER_IP, HOST, NODE, Cluster
from tests.kernel.scenarios import WITH_CIDR, service, slices

pytestmark = pytest.mark.kernel

CHANGES = int(os.environ.get("SVCNET_CHANGES", "300"))
"""How many steps there are while a client asks; by hand 100,000."""
TURNS = (
    *(("pod1", "pod2", "pod3"), ("pod1", "pod2"), ("pod3", "pod2"), ("pod2",), ("pod1",)),
    *(("pod1", "pod3"), ("pod3", "pod2", "pod1"), ("pod2", "pod3", "pod1")),
)
PORTS = (ServicePort(80, "http", target_port=8080), ServicePort(53, "dns", "UDP", 5353))
AT_ONCE = 8


def graph_of(family: IPFamily, endpoints: tuple[str, ...]) -> RuleGraph:
    ports = (EndpointPort(8080, "http"), EndpointPort(5353, "dns", "UDP"))
    objects = (
        service(ports=PORTS),
        *slices(*endpoints, ports=ports),
        make_node("node-a", NODE.v4, NODE.v6),
    )
    state = ClusterState.of(objects)
    view = node_view(state, WITH_CIDR, HOST, node="node-a", family=family)
    return compile_state(state, view)


def circle(family: IPFamily) -> tuple[Ruleset, list[tuple[NFTablesDelta, Ruleset]]]:
    """Return a table as an empty machine gets it, and steps that lead back to it."""
    graphs = [graph_of(family, endpoints) for endpoints in (*TURNS, TURNS[0])]
    ruleset = full(graphs[0], layout="flat")
    first = ruleset = ruleset.keep(buckets_ahead(ruleset.buckets))
    steps = []
    for before, after in pairwise(graphs):
        ruleset, delta = advance(ruleset, diff(before, after))
        steps.append((delta, ruleset))
    return first, steps


def ask(cluster: Cluster, family: IPFamily, protocol: str, port: int) -> Counter[str]:
    answers = cluster.agents["client"](
        "attempt",
        count=AT_ONCE,
        protocol=protocol,
        timeout=20.0,
        source=CLIENT.of(family),
        destination=CLUSTER_IP.of(family),
        port=port,
    )
    return Counter(" ".join(map(str, each[:2])) for each in answers)


@pytest.mark.parametrize(("least", "changes"), [(LEAST, CHANGES), (1, CHANGES // 12)])
def test_no_packet_is_lost(
    cluster: Cluster, least: int, changes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New connections and datagrams of both families, while their endpoints change constantly.

    What no rule translates is refused, or answered by another machine. Of the smallest sets several
    grow together, with every third change.
    """
    monkeypatch.setattr("svcnet.renderers.nftables.flat.sizes.LEAST", least)
    answers: Counter[str] = Counter()

    def ask_all() -> None:
        for family in IP_FAMILIES:
            answers.update(ask(cluster, family, "TCP", 80))
            answers.update(ask(cluster, family, "UDP", 53))

    def change() -> None:
        writer = NFTWriter(THIS_MACHINE)
        circles = [circle(family) for family in IP_FAMILIES]
        for first, _ in circles:
            nftables.apply(first, writer=writer)
        try:
            with under_load(ask_all) as asking:
                done = 0
                while done < changes and not asking.done():
                    for _, steps in circles:
                        for delta, after in steps:
                            assert (delta.growth is None) or least == 1
                            assert writer.step(delta, after, lambda _: None) is not None
                            done += 1
        finally:
            for first, _ in circles:
                nftables.cleanup(first.table)

    cluster.inside("node", change)
    assert set(answers) == {"reply pod1", "reply pod2", "reply pod3"}, answers
    print(f"{changes} changes, {sum(answers.values())} answers: {dict(answers)}")
