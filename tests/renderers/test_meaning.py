"""The rendered rules do to a packet what the rule graph says: two readings that must agree."""

from __future__ import annotations

from fractions import Fraction

from attrs import evolve
from hypothesis import given, note, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.graph import Packet, Pass, Refuse, RuleGraph, evaluate
from svcnet.graph.evaluate import Verdict
from svcnet.models import ClusterState, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.renderers.iptables import full
from tests import strategies
from tests.walk import outcomes


def meant(graph: RuleGraph, packet: Packet) -> dict[Verdict, Fraction]:
    """Return the graph's outcomes without their paths and reasons."""
    found: dict[Verdict, Fraction] = {}
    for outcome in evaluate(graph, packet):
        verdict = outcome.verdict
        if leaves_the_node(graph, packet, verdict):
            verdict = Pass()
        elif isinstance(verdict, Refuse):
            verdict = evolve(verdict, reason="")
        found[verdict] = found.get(verdict, Fraction(0)) + outcome.probability
    return found


def leaves_the_node(graph: RuleGraph, packet: Packet, verdict: Verdict) -> bool:
    """Whether iptables mode misses a refusal, as the reference's does.

    KUBE-EXTERNAL-SERVICES is reached from INPUT and FORWARD only: what the node itself
    sends to a refused address that is not its own goes out.
    """
    settings = graph.settings
    return (
        isinstance(verdict, Refuse)
        and verdict.how == "reject"
        and settings.is_node_address(packet.source)
        and not settings.is_node_address(packet.destination)
        and all(
            dispatch.frontend != "cluster-ip"
            for _, dispatch in graph.frontends[packet.destination, packet.protocol, packet.port]
        )
    )


def aimed(graph: RuleGraph, data: st.DataObject) -> Packet:
    """Draw a packet, most often one for a frontend of the graph."""
    packet = data.draw(strategies.packets)
    frontends = sorted(graph.frontends)
    if data.draw(st.integers(0, 9)) and frontends:
        address, protocol, port = data.draw(st.sampled_from(frontends))
        address = address or data.draw(st.sampled_from(graph.settings.addresses))
        packet = evolve(packet, destination=address, protocol=protocol, port=port)
    if packet.destination.startswith("127."):
        # The kernel takes no packet for loopback that did not start there.
        packet = evolve(packet, source="127.0.0.1")
    if graph.settings.is_node_address(packet.source):
        packet = evolve(packet, interface="")
    return packet


@settings(max_examples=800, deadline=None)
@given(strategies.clusters, strategies.nodes, strategies.configurations, st.data())
def test_text_does_what_the_graph_means(
    objects: list[ClusterObject],
    node: Node,
    config: KubeProxyConfiguration,
    data: st.DataObject,
) -> None:
    """Any packet has the same outcomes with the same chances in the graph and in the text."""
    state = ClusterState.of([*objects, node])
    graph = compile_state(state, node_view(state, config, node="node-a"))
    packet = aimed(graph, data)
    note(packet)
    assert outcomes(full(graph), packet) == meant(graph, packet)
    assert sum(outcome.probability for outcome in evaluate(graph, packet)) == 1
