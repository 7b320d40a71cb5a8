"""Health checks from another machine: through the node's firewall, on the node's addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve

from svcnet.compiler import compile_state, node_view
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState, IPFamily, KubeProxyConfiguration
from svcnet.renderers.monitoring import full, health_check_addresses, health_checks
from svcnet.servers.monitoring import Health, ServiceHealth
from svcnet.testing import make_node, make_service, make_slice
from tests.kernel.netns import CLUSTER_IP, HOST, NODE, NODE_UPLINK, POD1, POD3, Cluster
from tests.kernel.ways import IPTablesRules
from tests.servers.monitoring.serving import Running, get_json, running

pytestmark = pytest.mark.kernel

PORT = 31999
CONFIG = KubeProxyConfiguration(hostname_override="node-a")
FAMILIES: tuple[IPFamily, ...] = ("IPv4", "IPv6")
CLOSED = "*filter\n-A INPUT -p tcp --dport 30000:32767 -j REJECT\nCOMMIT\n"


@pytest.fixture(name="loop")
def loop_on_the_node(cluster: Cluster) -> Iterator[Running]:
    with cluster.visiting("node"), running() as loop:
        yield loop


def graph_of(family: IPFamily, config: KubeProxyConfiguration = CONFIG) -> RuleGraph:
    service = make_service(
        "web",
        CLUSTER_IP.of(family),
        type="LoadBalancer",
        external_traffic_policy="Local",
        health_check_node_port=PORT,
    )
    ends = make_slice("web", f"{POD1.of(family)}@node-a", f"{POD3.of(family)}@node-b")
    state = ClusterState.of([make_node("node-a", NODE.v4, NODE.v6), service, ends])
    return compile_state(state, node_view(state, config, HOST, family=family))


def ask(cluster: Cluster, address: str) -> Any:
    """Return what a client on another machine gets: a status and a document, or its trouble."""
    found: list[Any] = []

    def asking() -> None:
        try:
            found.append(get_json(PORT, address=address))
        except OSError as error:
            found.append(type(error).__name__)

    cluster.inside("client", asking)
    return found[0]


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("family", FAMILIES)
def test_through_a_firewall(
    cluster: Cluster, loop: Running, family: IPFamily, variant: Any
) -> None:
    """A host that refuses its node ports lets health checks in, by the rule of its Service."""
    rules = IPTablesRules(cluster, family, variant)
    served = ServiceHealth(Health())
    graph = graph_of(family)
    told = [full(graph)]
    try:
        rules.restore(CLOSED, "--noflush")
        loop.call(lambda: served.follow(health_checks(told), health_check_addresses(told)))
        assert ask(cluster, NODE.of(family)) == "ConnectionRefusedError"
        rules.flush()
        rules.put(graph)
        rules.restore(CLOSED, "--noflush")
        status, document = ask(cluster, NODE.of(family))
        assert (status, document["localEndpoints"]) == (200, 1)
    finally:
        loop.call(served.close)
        rules.flush()


def test_node_port_addresses(cluster: Cluster, loop: Running) -> None:
    """With nodePortAddresses only those of the node's addresses answer, in each family."""
    config = evolve(CONFIG, node_port_addresses=(f"{NODE.v4}/32", f"{NODE.v6}/128"))
    told = [full(graph_of(family, config)) for family in FAMILIES]
    served = ServiceHealth(Health())
    try:
        loop.call(lambda: served.follow(health_checks(told), health_check_addresses(told)))
        for family in FAMILIES:
            assert ask(cluster, NODE.of(family))[0] == 200
            assert ask(cluster, NODE_UPLINK.of(family)) == "ConnectionRefusedError"
    finally:
        loop.call(served.close)
