"""Who takes packets where several Services claim one address and port, and one alone is asked.

In mode iptables each is asked in its turn, and :func:`svcnet.graph.ways` says who answers. Of rules
that lead to a proxy the first has the packet. In a table of nftables the last has it: a map has one
element for them, and each Service that is written takes the place of those before. There each kind
of element is a claim of its own: what leads to endpoints, what refuses packets because there are
none, and the ranges of sources of a load balancer. Whether the address is a cluster IP is asked of
a set, whoever claims the port.

Source of the behaviour of tables: ``nftElementStorage.ensureElem`` in
pkg/proxy/nftables/proxier.go of Kubernetes v1.36.
"""

from __future__ import annotations

from attrs import evolve

from svcnet.addresses import contains
from svcnet.graph import Deliver, Dispatch, Drop, Fragment, Packet, Reject, RuleGraph, ways
from svcnet.graph.evaluate import FrontendEntry, entries
from svcnet.renderers.userspace import why_not


def is_handed_on(graph: RuleGraph, packet: Packet) -> bool:
    """Return whether the first who is asked refuses a packet, and another one takes it.

    That is so where each is asked in its turn.
    """
    claims = entries(graph, packet.destination, packet.protocol, packet.port)
    way = ways(graph, packet)[0]
    return isinstance(way.verdict, Deliver) and way.decisions[0].node is not claims[0].dispatch


def proxy_entry(
    graph: RuleGraph, address: str, protocol: str, port: int, *, is_of_node: bool
) -> FrontendEntry | None:
    """Return the frontend whose rule leads packets to a proxy, None for those that none leads.

    What the node itself sends to an external IP that is not its own goes out.
    """
    goes_out = is_of_node and not graph.settings.is_node_address(address)
    for each in entries(graph, address, protocol, port):
        is_left = goes_out and each.dispatch.frontend == "external-ip"
        if not is_left and why_not(each.fragment) is None:
            return each
    return None


def table_entry(graph: RuleGraph, address: str, protocol: str, port: int) -> FrontendEntry | None:
    """Return the frontend that takes packets, None for those that are no Service's."""
    claims = entries(graph, address, protocol, port, last=True)
    found = min(claims, key=lambda entry: entry.refuses, default=None)
    if found is None:
        return None
    fragment, dispatch, target = found.fragment, found.dispatch, found.target
    masquerade = graph.cluster_ips.get(address)
    if masquerade is not None and dispatch.masquerade != masquerade:
        dispatch = evolve(dispatch, masquerade=masquerade)
    guard = guarding(graph, address, protocol, port)
    firewall = fragment.firewall
    if firewall is not None and target == firewall.id and guard and guard[0] is not fragment:
        target = firewall.target
    return FrontendEntry(fragment, dispatch, target)


def refusing(
    graph: RuleGraph, address: str, protocol: str, port: int, *, is_of_node: bool = False
) -> Reject | Drop | None:
    """Return what refuses packets that no endpoint gets, None if nothing does.

    Node ports are asked about first (``nodeport-endpoints-check``), but for what the node itself
    sends: that meets the hook ``output``, which asks about addresses alone, before ``input``.
    """
    places = [(address, protocol, port)]
    if graph.settings.answers_node_ports(address):
        places.insert(1 if is_of_node else 0, ("", protocol, port))
    for place in places:
        for fragment, dispatch in reversed(graph.frontends.get(place, ())):
            target, external = dispatch.target, fragment.external
            if external is not None and target in ("external", "firewall"):
                target = external.target
            node = fragment.node(target)
            if isinstance(node, Reject | Drop):
                return node
    return None


def guarding(
    graph: RuleGraph, address: str, protocol: str, port: int
) -> tuple[Fragment, Dispatch] | None:
    """Return the load balancer's address whose ranges of sources hold, None if none do."""
    for fragment, dispatch in reversed(graph.frontends.get((address, protocol, port), ())):
        if dispatch.frontend == "load-balancer" and fragment.policy.source_ranges:
            return fragment, dispatch
    return None


def ranges_of(graph: RuleGraph, fragment: Fragment) -> tuple[str, ...]:
    """Return who may send to a load balancer: ranges and addresses.

    Its own addresses are among them where the node is: so its packets come that were meant for it.
    """
    ranges = fragment.policy.source_ranges
    if not any(contains(cidr, graph.settings.node_ip) for cidr in ranges):
        return ranges
    own = [each.address for each in fragment.dispatches if each.frontend == "load-balancer"]
    return (*ranges, *own)


def asks_itself(entry: FrontendEntry, guard: Fragment) -> bool:
    """Return whether the ranges that hold are asked by the frontend itself."""
    return entry.fragment is guard and entry.asks_sources
