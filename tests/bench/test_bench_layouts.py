"""Both layouts of mode iptables in a kernel: the first packet of a flow.

Each case has a network namespace of its own, from which UDP datagrams of new flows are sent to
Services all over. The time is that of the sending alone, in which the kernel goes through rules.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import time
from statistics import median
from typing import Any

import pytest

from svcnet import modes
from svcnet.compiler import compile_state, node_view
from svcnet.executors.iptables import Variant
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState
from svcnet.sources import load_bytes
from tests.bench import clusters
from tests.bench.test_bench_compile import SIZES
from tests.kernel.ipvs.netlink import own_namespace

FLOWS = 2_000
MOST = {"legacy": 20_000, "nft": 10_000}
"""With more Services a load takes minutes."""

WIRE = """\
link set lo up
link add out0 type veth peer name far0
link set far0 up
link set out0 up
addr add 192.0.2.10/24 dev out0
neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev out0
route add default via 192.0.2.1
"""
"""A node whose packets leave it, and get nowhere."""

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]


def udp(services: int) -> ClusterState:
    return load_bytes(clusters.as_json(services).replace(b'"TCP"', b'"UDP"')).state


def first_packets(services: int) -> list[float]:
    """Return the microseconds of each of many sends to Services by chance; 0 is for none's."""
    chosen = random.Random(7)
    found = []
    for _ in range(FLOWS):
        number = chosen.randrange(services) if services else 0
        address = clusters.address("10", 96, number) if services else "203.0.113.9"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.connect((address, 80))
            begun = time.perf_counter_ns()
            end.send(b"x")
            found.append((time.perf_counter_ns() - begun) / 1000)
    return found


def measured(graph: RuleGraph, variant: Variant, layout: str) -> dict[str, float]:
    """Return the figures of one layout."""
    given = {"layout": layout, "variant": variant}
    mode = modes.get("iptables")
    with own_namespace():
        subprocess.run(("ip", "-batch", "-"), input=WIRE, text=True, check=True)
        adapter = mode.executor(settings=mode.settings(given=given)).adapter("IPv4")
        adapter.whole(graph)
        packets, others = first_packets(len(graph.fragments)), first_packets(0)
    return {"first packet, us": median(packets), "packet of no Service, us": median(others)}


@pytest.mark.parametrize("variant", ["legacy", "nft"])
@pytest.mark.parametrize("services", [1, *SIZES])
def test_layouts_beside_each_other(benchmark: Any, services: int, variant: Variant) -> None:
    """A first packet takes as long with 20,000 Services as with one, where rules are in trees."""
    if services > MOST[variant]:
        pytest.skip(f"{variant}: it takes minutes")
    state = udp(services)
    graph = compile_state(state, node_view(state))

    def run() -> dict[str, dict[str, float]]:
        return {each: measured(graph, variant, each) for each in ("kube-proxy", "flat")}

    figures = benchmark.pedantic(run, rounds=1, iterations=1)
    rounded = {
        layout: {name: round(number, 2) for name, number in found.items()}
        for layout, found in figures.items()
    }
    benchmark.extra_info.update(rounded)
    print(f"\n{variant}, {services} services: {json.dumps(rounded)}")
    packets = [figures[layout]["first packet, us"] for layout in ("kube-proxy", "flat")]
    assert services < 5_000 or packets[1] < packets[0]
