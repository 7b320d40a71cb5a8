"""A table of many Services is loaded while clients connect: none of them meets half a Service."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.executors.nftables import NFTablesReport, apply, plan
from svcnet.family import IP_FAMILIES
from svcnet.models import ClusterState, IPFamily
from svcnet.models.state import ClusterObject
from svcnet.renderers.nftables import Ruleset, full
from svcnet.testing import make_node, make_service, make_slice
from tests.kernel.netns import HOST, NODE, Cluster
from tests.kernel.scenarios import ALL, load_balancer, slices
from tests.kernel.switching import Switch

pytestmark = pytest.mark.kernel

OTHERS = 600
"""So many Services beside the one that clients ask for: chains of three transactions."""
SERVED = {("reply", name) for name in ALL}


def many(family: IPFamily) -> Ruleset:
    """Return the table with the Service that clients ask for, in the middle of many."""
    node = make_node("node-a", NODE.v4, NODE.v6)
    objects: list[ClusterObject] = [load_balancer(), *slices(*ALL), node]
    cluster, pod = ("10.97.{}.{}", "10.245.{}.{}")
    if family == "IPv6":
        cluster, pod = ("fd00:97::{}:{}", "fd00:245::{}:{}")
    for number in range(OTHERS):
        place = divmod(number, 250)
        objects.append(make_service(f"s{number}", cluster.format(*place)))
        objects.append(make_slice(f"s{number}", pod.format(place[0], place[1] + 1)))
    state = ClusterState.of(objects)
    view = node_view(state, None, HOST, node="node-a", family=family)
    return full(compile_state(state, view))


@pytest.mark.parametrize("family", IP_FAMILIES)
def test_no_packet_meets_half_a_service(
    cluster: Cluster, family: IPFamily, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the last transaction packets go where they went; then, and over that, to endpoints."""
    switch, ruleset = Switch(cluster, family), many(family)

    def loaded() -> tuple[NFTablesReport, list[set[tuple[str, ...]]]]:
        """Load the table while a client connects; return what it met, in turn."""
        answers = []
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(cluster.inside, "node", lambda: done.append(apply(ruleset)))
            while not loading.done():
                answers.append(switch.ask(1))
            loading.result()
        return done[-1], answers

    done: list[NFTablesReport] = []
    switch.clear()
    try:
        [before] = switch.ask()
        report, answers = loaded()
        assert len(report.plan.transactions) > 4
        met = [each for some in answers for each in some]
        first = next((n for n, each in enumerate(met) if each in SERVED), len(met))
        assert set(met[:first]) <= {before}
        assert set(met[first:]) <= SERVED
        monkeypatch.setattr(plan, "MOST_LINES", -1)
        cluster.run(
            "node", "nft", "flush", "chain", str(ruleset.table.family), "kube-proxy", "masquerading"
        )
        report, answers = loaded()
        assert report.plan.is_over
        assert set().union(*answers) <= SERVED
    finally:
        switch.clear()
