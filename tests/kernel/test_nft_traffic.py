"""No packet is lost while endpoints come and go, in any layout of mode nftables."""

from __future__ import annotations

import os
import re
import subprocess
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
from svcnet.renderers.nftables import (
    Layout,
    NFTablesDelta,
    Ruleset,
    advance,
    buckets_ahead,
    full,
)
from svcnet.renderers.nftables.flat.sizes import LEAST
from svcnet.testing import make_node
from tests.kernel.load import under_load
from tests.kernel.netns import CLIENT, CLIENT2, CLUSTER_IP, HOST, NODE, Cluster
from tests.kernel.scenarios import WITH_CIDR, service, slices
from tests.kernel.test_nftables import load

pytestmark = pytest.mark.kernel

CHANGES = int(os.environ.get("SVCNET_CHANGES", "200"))
"""How many steps there are while a client asks; by hand 100,000."""
FLOOD = 100
"""Datagrams for each port of each family, every time that a client asks."""
COUNTER = f"""
table inet flood {{
    chain prerouting {{
        type filter hook prerouting priority dstnat + 1
        ip saddr {CLIENT2.v4} ip daddr {CLUSTER_IP.v4} counter name lost drop
        ip6 saddr {CLIENT2.v6} ip6 daddr {CLUSTER_IP.v6} counter name lost drop
        ip saddr {CLIENT2.v4} counter name served drop
        ip6 saddr {CLIENT2.v6} counter name served drop
    }}
    counter lost {{ }}
    counter served {{ }}
}}
"""
"""Counts what was translated, and what was not, and lets none of it go on: connection tracking
remembers none, and each is a first packet."""
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


def circle(family: IPFamily, layout: Layout) -> tuple[Ruleset, list[tuple[NFTablesDelta, Ruleset]]]:
    """Return a table as an empty machine gets it, and steps that lead back to it."""
    graphs = [graph_of(family, endpoints) for endpoints in (*TURNS, TURNS[0])]
    ruleset = full(graphs[0], layout=layout)
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


def flood(cluster: Cluster, family: IPFamily) -> None:
    source, to = CLIENT2.of(family), CLUSTER_IP.of(family)
    cluster.agents["client"]("flood", source=source, destination=to, port=53, count=FLOOD)


def counted() -> dict[str, int]:
    """Return how many packets of the flood were lost, and how many served."""
    command = ("nft", "list", "counters", "table", "inet", "flood")
    printed = subprocess.run(command, text=True, capture_output=True, check=True).stdout
    found = re.findall(r"counter (\w+) \{\s+packets (\d+)", printed)
    return {name: int(packets) for name, packets in found}


@pytest.mark.parametrize(
    ("layout", "least", "changes"),
    [
        ("kube-proxy", LEAST, CHANGES),
        ("flat", LEAST, CHANGES),
        ("flat", 1, CHANGES // 12),
    ],
)
def test_no_packet_is_lost(
    cluster: Cluster, layout: Layout, least: int, changes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New connections and datagrams of both families, while their endpoints change constantly.

    What no rule translates is refused, or answered by another machine. Of the smallest sets several
    grow together, with every third change.
    """
    monkeypatch.setattr("svcnet.renderers.nftables.flat.sizes.LEAST", least)
    answers: Counter[str] = Counter()
    counts: dict[str, int] = {}

    def ask_all() -> None:
        for family in IP_FAMILIES:
            answers.update(ask(cluster, family, "TCP", 80))
            answers.update(ask(cluster, family, "UDP", 53))
            flood(cluster, family)

    def change() -> None:
        writer = NFTWriter(THIS_MACHINE)
        circles = [circle(family, layout) for family in IP_FAMILIES]
        for first, _ in circles:
            nftables.apply(first, writer=writer)
        load(COUNTER)
        try:
            with under_load(ask_all) as asking:
                done = 0
                while done < changes and not asking.done():
                    for _, steps in circles:
                        for delta, after in steps:
                            assert (delta.growth is None) or least == 1
                            writer.step(delta, after, lambda _: None)
                            done += 1
            counts.update(counted())
        finally:
            load("delete table inet flood\n")
            for first, _ in circles:
                nftables.cleanup(first.table)

    cluster.inside("node", change)
    assert set(answers) == {"reply pod1", "reply pod2", "reply pod3"}, answers
    assert not counts["lost"], counts
    assert counts["served"], counts
    print(f"{layout}: {changes} changes, {sum(answers.values())} answers, {counts}")
