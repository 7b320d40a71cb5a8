"""From iptables mode to IPVS mode while clients are connecting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.executors import ipvs
from svcnet.executors.iptables import apply
from svcnet.family import IP_FAMILIES
from svcnet.models import ClusterState, IPFamily
from svcnet.renderers.iptables import full
from svcnet.renderers.ipvs import full as full_ipvs
from svcnet.testing import make_node
from tests.kernel.keepers import executor_of
from tests.kernel.netns import CLIENT, CLUSTER_IP, HOST, NODE, Cluster
from tests.kernel.scenarios import ALL, load_balancer, slices
from tests.kernel.ways import Tables

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]


@pytest.mark.parametrize("family", IP_FAMILIES)
def test_no_connection_is_lost(cluster: Cluster, family: IPFamily) -> None:
    """Every connection that is opened meanwhile is served, and one that was open stays."""
    objects = (load_balancer(), *slices(*ALL), make_node("node-a", NODE.v4, NODE.v6))
    state = ClusterState.of(objects)
    graph = compile_state(state, node_view(state, None, HOST, node="node-a", family=family))
    client = cluster.agents["client"]
    to = {"source": CLIENT.of(family), "destination": CLUSTER_IP.of(family), "port": 80}
    cluster.inside("node", lambda: apply(full(graph), variant="legacy"))
    try:
        assert client("open", hold=0, timeout=5.0, **to)[0] == "reply"
        answers: list[list[str]] = []
        with ThreadPoolExecutor(1) as pool:
            tables = full_ipvs(graph)
            executor = executor_of("ipvs", "legacy")
            switching = pool.submit(cluster.inside, "node", lambda: executor.apply(tables))
            while not switching.done() or len(answers) < 100:
                answers += client(
                    "attempt", count=10, sequential=True, protocol="TCP", timeout=5.0, **to
                )
            switching.result()
        assert {tuple(answer[:2]) for answer in answers} == {("reply", name) for name in ALL}
        assert client("exchange", hold=0, timeout=5.0)
        assert "KUBE-SVC-" not in cluster.run("node", "iptables-legacy-save")
    finally:
        client("close")
        cluster.inside("node", lambda: ipvs.cleanup(family))
        Tables(cluster, family, "legacy").flush()
