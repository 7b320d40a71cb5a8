"""What a packet's possible outcomes are, for the cases that people ask about."""

from __future__ import annotations

from fractions import Fraction

from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, Outcome, Packet, Pass, Refuse, RuleGraph, evaluate
from svcnet.models import ClusterState, KubeProxyConfiguration, ServicePort
from svcnet.models.state import ClusterObject
from svcnet.testing import make_node, make_service, make_slice

WEB = (make_service(), make_slice("web", "10.244.1.5@node-a", "10.244.2.6@node-b", "10.244.3.7"))


def graph_of(*objects: ClusterObject, cluster_cidr: str = "") -> RuleGraph:
    state = ClusterState.of([*objects, make_node()])
    config = KubeProxyConfiguration(cluster_cidrs=(cluster_cidr,) if cluster_cidr else ())
    return compile_state(state, node_view(state, config))


def verdicts(graph: RuleGraph, packet: Packet) -> list[object]:
    return [outcome.verdict for outcome in evaluate(graph, packet)]


def test_each_endpoint_is_equally_likely() -> None:
    """Three endpoints have a third each, exactly, and the path names every decision."""
    found = evaluate(graph_of(*WEB), Packet("10.244.9.9", "10.96.0.10", 80))
    assert [outcome.probability for outcome in found] == [Fraction(1, 3)] * 3
    assert found[0] == Outcome(
        Deliver("10.244.1.5", 8080, masquerade=False),
        Fraction(1, 3),
        ("shop/web:http/TCP", "cluster-ip", "cluster", "10.244.1.5:8080"),
    )


def test_a_pod_that_reaches_itself_is_masqueraded() -> None:
    """Hairpin traffic, and only that, changes its source."""
    found = verdicts(graph_of(*WEB), Packet("10.244.1.5", "10.96.0.10", 80))
    assert found == [
        Deliver("10.244.1.5", 8080, masquerade=True),
        Deliver("10.244.2.6", 8080, masquerade=False),
        Deliver("10.244.3.7", 8080, masquerade=False),
    ]


def test_traffic_from_outside_the_cluster_is_masqueraded() -> None:
    """With a cluster CIDR a cluster IP masquerades what does not come from it."""
    graph = graph_of(*WEB, cluster_cidr="10.244.0.0/16")
    inside = verdicts(graph, Packet("10.244.9.9", "10.96.0.10", 80))
    outside = verdicts(graph, Packet("198.51.100.9", "10.96.0.10", 80))
    assert not any(isinstance(verdict, Deliver) and verdict.masquerade for verdict in inside)
    assert all(isinstance(verdict, Deliver) and verdict.masquerade for verdict in outside)


def test_affinity_returns_to_the_remembered_endpoint() -> None:
    """A remembered endpoint is certain; one that is gone is forgotten."""
    graph = graph_of(make_service(session_affinity="ClientIP"), WEB[1])
    sticky = Packet("10.244.9.9", "10.96.0.10", 80, remembered=frozenset({"10.244.2.6:8080"}))
    gone = Packet("10.244.9.9", "10.96.0.10", 80, remembered=frozenset({"10.244.9.1:8080"}))
    assert verdicts(graph, sticky) == [Deliver("10.244.2.6", 8080, False)]
    assert len(verdicts(graph, gone)) == 3


def test_a_packet_for_no_service_passes() -> None:
    """Another port, another protocol or another address is none of a Service's."""
    graph = graph_of(*WEB)
    for packet in (
        Packet("10.244.9.9", "10.96.0.10", 81),
        Packet("10.244.9.9", "10.96.0.10", 80, "UDP"),
        Packet("10.244.9.9", "10.96.0.11", 80),
    ):
        assert verdicts(graph, packet) == [Pass()]


def test_local_policy_keeps_the_source_and_short_circuits_the_node() -> None:
    """Outside clients get local endpoints unmasqueraded; the node itself gets any."""
    service = make_service(
        type="NodePort",
        ports=(ServicePort(80, "http", "TCP", 8080, 30080),),
        external_traffic_policy="Local",
    )
    graph = graph_of(service, WEB[1])
    client = Packet("198.51.100.9", "192.0.2.10", 30080, interface="eth0")
    node = Packet("192.0.2.10", "192.0.2.10", 30080)
    assert verdicts(graph, client) == [Deliver("10.244.1.5", 8080, masquerade=False)]
    assert verdicts(graph, node) == [
        Deliver(address, 8080, masquerade=True)
        for address in ("10.244.1.5", "10.244.2.6", "10.244.3.7")
    ]


def test_node_ports_of_an_unserved_address() -> None:
    """Where node ports are not served a packet passes, but a refusal still holds."""
    ports = (ServicePort(80, "http", "TCP", 8080, 30080),)
    state = ClusterState.of(
        [
            make_service(type="NodePort", ports=ports),
            WEB[1],
            make_service(
                "empty",
                "10.96.0.11",
                type="NodePort",
                ports=(ServicePort(80, "http", "TCP", 8080, 30081),),
            ),
            make_node(),
        ]
    )
    config = KubeProxyConfiguration(node_port_addresses=("127.0.0.0/8",))
    graph = compile_state(state, node_view(state, config))
    client = Packet("198.51.100.9", "192.0.2.10", 30080, interface="eth0")
    assert verdicts(graph, client) == [Pass()]
    empty = Packet("198.51.100.9", "192.0.2.10", 30081, interface="eth0")
    assert verdicts(graph, empty) == [Refuse("reject", "has no endpoints")]
