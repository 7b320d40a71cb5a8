"""Every kind of node: made by the compiler, dumped, drawn, and met by a packet."""

from __future__ import annotations

from typing import get_args

import pytest
from attrs import frozen

from svcnet.compiler import compile_state, node_view
from svcnet.graph import GraphNode, Packet, RuleGraph, dot, dump, evaluate
from svcnet.graph.fragment import successors
from svcnet.models import ClusterState, LoadBalancerIngress, ServicePort
from svcnet.models.state import ClusterObject
from svcnet.testing import make_node, make_service, make_slice

LOAD_BALANCER = make_service(
    type="LoadBalancer",
    ports=(ServicePort(80, "http", "TCP", 8080, 30080),),
    load_balancer_ingress=(LoadBalancerIngress("203.0.113.20"),),
    load_balancer_source_ranges=("198.51.100.0/24",),
    external_traffic_policy="Local",
    health_check_node_port=32000,
)


@frozen
class Case:
    """Objects that make a node of some kind, the line it is dumped as, a packet that meets it.

    The packet is None for a kind that no evaluation walks through.
    """

    kind: str
    objects: tuple[ClusterObject, ...]
    line: str
    packet: Packet | None


OUTSIDE = Packet("198.51.100.9", "203.0.113.20", 80, interface="eth0")
CASES = (
    Case(
        "Dispatch",
        (make_service(), make_slice("web", "10.244.1.5")),
        "dispatch cluster-ip 10.96.0.10 port 80 -> cluster    # shop/web:http spec.clusterIPs[0]",
        Packet("10.244.1.9", "10.96.0.10", 80),
    ),
    Case(
        "Firewall",
        (LOAD_BALANCER, make_slice("web", "10.244.1.5@node-a")),
        "firewall 198.51.100.0/24 -> external else drop-source"
        "    # shop/web:http spec.loadBalancerSourceRanges",
        OUTSIDE,
    ),
    Case(
        "External",
        (LOAD_BALANCER, make_slice("web", "10.244.1.5@node-a")),
        "external -> local, pods and node -> cluster    # shop/web:http spec.externalTrafficPolicy",
        OUTSIDE,
    ),
    Case(
        "Balance",
        (make_service(session_affinity="ClientIP"), make_slice("web", "10.244.1.5", "10.244.1.6")),
        "balance cluster affinity 10800s -> 10.244.1.5:8080 10.244.1.6:8080"
        "    # shop/web:http spec.ports[0].targetPort",
        Packet("10.244.1.9", "10.96.0.10", 80),
    ),
    Case(
        "Translate",
        (make_service(), make_slice("web", "10.244.1.5@node-a")),
        "translate 10.244.1.5:8080 local    # shop/web:http endpoints",
        Packet("10.244.1.9", "10.96.0.10", 80),
    ),
    Case(
        "Accept",
        (LOAD_BALANCER, make_slice("web", "10.244.1.5@node-a")),
        "accept any node address port 32000    # shop/web:http spec.healthCheckNodePort",
        None,
    ),
    Case(
        "Reject",
        (make_service(),),
        "reject: has no endpoints    # shop/web:http endpoints",
        Packet("10.244.1.9", "10.96.0.10", 80),
    ),
    Case(
        "Drop",
        (make_service(internal_traffic_policy="Local"), make_slice("web", "10.244.2.6@node-b")),
        "drop drop: has no local endpoints    # shop/web:http spec.internalTrafficPolicy",
        Packet("10.244.1.9", "10.96.0.10", 80),
    ),
)


def graph_of(case: Case) -> RuleGraph:
    state = ClusterState.of([*case.objects, make_node()])
    return compile_state(state, node_view(state))


def test_every_kind_of_node_has_a_case() -> None:
    """A new kind of node fails here until it has a row in the table."""
    assert {case.kind for case in CASES} == {kind.__name__ for kind in get_args(GraphNode)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_node(case: Case) -> None:
    """The node is in the graph, in its dump, in its picture, and on the packet's path."""
    graph = graph_of(case)
    (fragment,) = graph
    found = [node for node in fragment.nodes() if type(node).__name__ == case.kind]
    assert found
    assert f"  {case.line}\n" in dump(graph)
    assert all(f'"0/{node.id}" [shape=' in dot(graph) for node in found)
    if case.packet is not None:
        paths = [outcome.path for outcome in evaluate(graph, case.packet)]
        assert any(node.id in path for node in found for path in paths)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_edges_lead_to_nodes_of_the_fragment(case: Case) -> None:
    """Every id that a node refers to and a packet can reach is a node of its fragment."""
    (fragment,) = graph_of(case)
    ids = [node.id for node in fragment.nodes()]
    assert len(ids) == len(set(ids))
    assert {target for node in fragment.nodes() for target in successors(node)} <= set(ids)
