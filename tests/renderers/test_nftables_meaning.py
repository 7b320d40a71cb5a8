"""A rendered table does to a packet what the rule graph says: two readings that must agree."""

from __future__ import annotations

from fractions import Fraction

from attrs import evolve
from hypothesis import given, note, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, Fragment, Packet, Pass, Refuse, RuleGraph, evaluate
from svcnet.graph.evaluate import Verdict
from svcnet.models import ClusterState, KubeProxyConfiguration, Node, ServiceCIDR
from svcnet.models.state import ClusterObject
from svcnet.modes.nftables import NFTABLES
from svcnet.renderers.nftables import Layout, full, text, transaction
from tests import strategies
from tests.fuzz import examples
from tests.renderers.nftables_model import Model
from tests.renderers.test_meaning import aimed
from tests.walk_nftables import Reading, inside, outcomes

LAYOUTS: tuple[Layout, ...] = ("kube-proxy", "flat")
ELSEWHERE = "elsewhere-"
CIDRS = ((), ("10.96.0.0/24",), ("10.96.0.10/31", "203.0.113.32/27"))


def meant(graph: RuleGraph, packet: Packet) -> dict[Verdict, Fraction]:
    """Return the graph's outcomes, but for what mode nftables is known to do otherwise.

    - Addresses that do not answer node ports refuse none of them either.
    - A port of a cluster IP that no Service has is rejected, if the packet goes on from here, and
      what goes on to a cluster IP that no Service has is dropped.
    - Ranges of sources hold also for a load balancer's address that has no endpoints.
    - An endpoint of another node that sends to itself by way of this one keeps its source.
    """
    found: dict[Verdict, Fraction] = {}
    settings, where = graph.settings, (packet.destination, packet.protocol, packet.port)
    if is_kept_out(graph, packet):
        return {Refuse("drop", ""): Fraction(1)}
    for outcome in evaluate(hairpin_is_here(graph, packet), packet):
        verdict = outcome.verdict
        if isinstance(verdict, Deliver):
            verdict = evolve(verdict, address=verdict.address.removeprefix(ELSEWHERE))
        elif isinstance(verdict, Refuse):
            verdict = evolve(verdict, reason="")
        own = where in graph.frontends or settings.answers_node_ports(packet.destination)
        if isinstance(verdict, Refuse) and not own:
            verdict = Pass()
        if isinstance(verdict, Pass) and is_closed(graph, packet):
            verdict = Refuse("reject", "")
        elif isinstance(verdict, Pass) and is_of_nobody(graph, packet):
            verdict = Refuse("drop", "")
        found[verdict] = found.get(verdict, Fraction(0)) + outcome.probability
    return found


def hairpin_is_here(graph: RuleGraph, packet: Packet) -> RuleGraph:
    """Return the graph with other addresses for endpoints elsewhere that are the packet's source.

    What one Service says is here is here for all.
    """
    here = {
        (each.address, each.port)
        for fragment in graph
        if fragment.name.protocol == packet.protocol
        for each in fragment.translates
        if each.local
    }

    def moved(fragment: Fragment) -> Fragment:
        return evolve(
            fragment,
            translates=tuple(
                each
                if each.address != packet.source or (each.address, each.port) in here
                else each._replace(address=f"{ELSEWHERE}{each.address}")
                for each in fragment.translates
            ),
        )

    fragments = graph.fragments
    for name, fragment in graph.fragments.items():
        fragments = fragments.set(name, moved(fragment))
    return evolve(graph, fragments=fragments)


def is_kept_out(graph: RuleGraph, packet: Packet) -> bool:
    """Return whether a load balancer's address has no endpoints, and ranges without the source."""
    where = (packet.destination, packet.protocol, packet.port)
    for fragment, dispatch in graph.frontends.get(where, ()):
        ranges = fragment.policy.source_ranges
        if dispatch.frontend != "load-balancer" or not ranges or fragment.firewall is not None:
            continue
        own = [each.address for each in fragment.dispatches if each.frontend == "load-balancer"]
        if not any(inside(graph.settings.node_ip, each) for each in ranges):
            own = []
        return not any(inside(packet.source, each) for each in (*ranges, *own))
    return False


def is_closed(graph: RuleGraph, packet: Packet) -> bool:
    """Return whether a packet for a cluster IP goes on to where nothing is."""
    if graph.settings.is_node_address(packet.destination):
        return False
    return any(
        dispatch.frontend == "cluster-ip" and dispatch.address == packet.destination
        for fragment in graph
        for dispatch in fragment.dispatches
    )


def is_of_nobody(graph: RuleGraph, packet: Packet) -> bool:
    """Return whether a packet goes on to a cluster IP that no Service has."""
    settings = graph.settings
    goes_on = not settings.is_node_address(packet.destination)
    return goes_on and any(inside(packet.destination, each) for each in settings.service_cidrs)


@settings(max_examples=examples(300), deadline=None)
@given(strategies.clusters, strategies.nodes, strategies.configurations, st.data())
def test_text_does_what_the_graph_means(
    objects: list[ClusterObject],
    node: Node,
    config: KubeProxyConfiguration,
    data: st.DataObject,
) -> None:
    """Any packet has the same outcomes with the same chances in the graph and in the text."""
    graph = drawn(objects, node, config, data)
    packet = aimed(graph, data)
    if not data.draw(st.integers(0, 9)):
        packet = evolve(packet, port=packet.port + 1)
    note(packet)
    ruleset = full(graph, layout=data.draw(st.sampled_from(LAYOUTS)))
    wanted = meant(graph, packet)
    assert outcomes(text(ruleset), graph.settings, packet) == wanted
    if not data.draw(st.integers(0, 3)):
        loaded = Reading.of_model(Model.of(transaction(ruleset)))
        assert outcomes(loaded, graph.settings, packet) == wanted


def drawn(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration, data: st.DataObject
) -> RuleGraph:
    """Return a graph of a cluster, which may say what its cluster IPs are."""
    cidrs = data.draw(st.sampled_from(CIDRS))
    state = ClusterState.of([*objects, node, ServiceCIDR("kubernetes", cidrs)])
    rules = NFTABLES.rules(config)
    rules = evolve(rules, masquerade_all=config.iptables.masquerade_all)
    return compile_state(state, node_view(state, config, node="node-a", rules=rules))
