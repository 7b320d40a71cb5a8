"""A proxy table does with a packet what the rule graph means."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hypothesis import given, note, settings

from svcnet.addresses import contains
from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, Packet, Pass, Refuse, RuleGraph, evaluate
from svcnet.models import ClusterState, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.renderers.userspace import Portal, ProxiedPort, ProxyTable, full
from tests import strategies

End = tuple[str, str, int]
SOURCES = (
    ("10.244.1.5", "cni0"),
    ("10.244.1.9", "veth12"),
    ("192.0.2.10", ""),
    ("192.0.2.77", "eth0"),
    ("198.51.100.9", "eth0"),
    ("203.0.113.20", "eth0"),
)
PASS: dict[End, Fraction] = {("pass", "", 0): Fraction(1)}


def portals(table: ProxyTable, packet: Packet) -> Iterator[tuple[ProxiedPort, Portal]]:
    """Yield the portals that a packet is for; an address that a Service names comes first."""
    node_ports = table.settings.is_node_address(
        packet.destination
    ) and table.settings.answers_node_ports(packet.destination)
    for address in (packet.destination, "") if node_ports else (packet.destination,):
        for service in table:
            for portal in service.portals:
                where = (portal.address, portal.port, service.name.protocol)
                if where == (address, packet.port, packet.protocol):
                    yield service, portal


def ends(table: ProxyTable, packet: Packet) -> dict[End, Fraction]:
    """Return each end of the packet that the table makes possible, with its chance."""
    found = next(portals(table, packet), None)
    if found is None:
        return PASS
    service, portal = found
    detector = table.settings.local_detector
    near = table.settings.is_node_address(packet.source) or detector.is_local(
        packet.source, packet.interface
    )
    role = portal.near if near else portal.role
    listener = next(one for one in service.listeners if one.role == role)
    if listener.sources and not any(contains(cidr, packet.source) for cidr in listener.sources):
        return {("drop", "", 0): Fraction(1)}
    if listener.answer != "serve":
        return {("reject" if listener.answer == "refuse" else "drop", "", 0): Fraction(1)}
    share = Fraction(1, len(listener.backends))
    return {("deliver", *backend): share for backend in listener.backends}


def meant(graph: RuleGraph, packet: Packet) -> dict[End, Fraction]:
    """Return what the graph means, without masquerading: a proxy's source is always its own."""
    found: dict[End, Fraction] = {}
    for outcome in evaluate(graph, packet):
        match outcome.verdict:
            case Deliver(address, port, _):
                end: End = ("deliver", address, port)
            case Refuse(how, _):
                end = (how, "", 0)
            case Pass():
                end = ("pass", "", 0)
        found[end] = found.get(end, Fraction(0)) + outcome.probability
    return found


def packets(graph: RuleGraph) -> Iterator[Packet]:
    """Yield packets from each kind of source to each address of a Service."""
    for address, protocol, port in graph.frontends:
        for destination in (address,) if address else graph.settings.addresses:
            for source, interface in SOURCES:
                yield Packet(source, destination, port, protocol, interface)


@settings(max_examples=200)
@given(strategies.clusters, strategies.nodes, strategies.configurations)
def test_a_table_means_what_the_graph_means(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration
) -> None:
    """Every packet has the graph's ends with the graph's chances."""
    state = ClusterState.of([*objects, node])
    graph = compile_state(state, node_view(state, config, node="node-a"))
    table = full(graph)
    for packet in packets(graph):
        note(str(packet))
        got, wanted = ends(table, packet), meant(graph, packet)
        if serves_no_node_ports(graph, packet) and got == PASS:
            # Node ports without endpoints are refused even on addresses that serve none: in
            # the other modes, by rules of the filter table that this mode does not have.
            assert {how for how, _, _ in wanted} <= {"pass", "reject", "drop"}
        else:
            assert got == wanted


def serves_no_node_ports(graph: RuleGraph, packet: Packet) -> bool:
    """Return whether a packet is for an address of the node on which node ports are not served."""
    address = packet.destination
    node = graph.settings
    return node.is_node_address(address) and not node.answers_node_ports(address)
