"""What might let a packet through that no endpoint gets: small changes, the nearest first.

Nothing here says that a change helps: :mod:`svcnet.meaning.explanation.trials` tries each.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from svcnet.addresses import host_network
from svcnet.family import family_of
from svcnet.graph import Drop, Firewall, Fragment, Origin, Packet, Reject, RuleGraph, Way
from svcnet.graph.evaluate import entries, entry_ways
from svcnet.labels import PROXY_NAME_LABEL
from svcnet.meaning.explanation.account import Account, Passage
from svcnet.meaning.explanation.endpoint_proposals import of_endpoints, of_local_endpoints
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.trials import Proposal
from svcnet.models import NamespacedName, Service
from svcnet.models.service import Protocol

MOST_PORTS = 3
"""So many other ports of an address are tried."""


def proposals(question: Question, packet: Packet, account: Account) -> Iterator[Proposal]:
    """Yield changes that may let `packet` through, the nearest first.

    `account` is what the mode does with it: they are of the Service that refuses it there, whoever
    else claims its destination.
    """
    way = _way(question.graph, packet, account.passages[0])
    if way is None or way.fragment is None:
        yield from _of_nobody(question, packet)
        return
    service = question.state.services[NamespacedName(*way.fragment.name[:2])]
    last = way.decisions[-1].node
    if isinstance(last, Reject):
        yield from of_endpoints(question, packet, service, way.fragment)
    elif isinstance(last, Drop) and any(isinstance(d.node, Firewall) for d in way.decisions):
        yield from _source_range(question, packet, service)
    elif isinstance(last, Drop):
        yield from of_local_endpoints(question, packet, service, way.fragment)
        yield from _policy(question, packet, service)
    # A mode may refuse by itself what the graph does not.
    elif service.load_balancer_source_ranges:
        yield from _source_range(question, packet, service)


def _way(graph: RuleGraph, packet: Packet, end: Passage) -> Way | None:
    """Return the way that a packet has in a graph by the frontend which a mode has it go by.

    None for a packet that no frontend has.
    """
    name = end.fragment.name if end.fragment is not None else None
    nodes = {each.decision.node.id for each in end.stages if each.decision is not None}
    for entry in entries(graph, packet.destination, packet.protocol, packet.port):
        if entry.fragment.name == name and entry.dispatch.id in nodes:
            return entry_ways(graph, packet, entry)[0]
    return None


def of_service(
    question: Question, packet: Packet, text: str, after: Service, path: str
) -> Proposal:
    """Return the proposal of a Service that is changed in one field."""
    name = NamespacedName(after.namespace, after.name)
    changed = question.with_state(question.state.apply([after]), [name])
    return Proposal(text, changed, packet, Origin("Service", *name, path))


def _source_range(question: Question, packet: Packet, service: Service) -> Iterator[Proposal]:
    cidr = host_network(packet.source)
    ranges = (*service.load_balancer_source_ranges, cidr)
    text = f"if loadBalancerSourceRanges had {cidr}"
    after = evolve(service, load_balancer_source_ranges=ranges)
    yield of_service(question, packet, text, after, "spec.loadBalancerSourceRanges")


def _policy(question: Question, packet: Packet, service: Service) -> Iterator[Proposal]:
    for name, path, after in (
        (
            "internalTrafficPolicy",
            "spec.internalTrafficPolicy",
            evolve(service, internal_traffic_policy="Cluster"),
        ),
        (
            "externalTrafficPolicy",
            "spec.externalTrafficPolicy",
            evolve(service, external_traffic_policy="Cluster"),
        ),
    ):
        if after != service:
            yield of_service(question, packet, f"if {name} were Cluster", after, path)


def _of_nobody(question: Question, packet: Packet) -> Iterator[Proposal]:
    """Yield changes for a packet that is no Service's."""
    yield from _other_protocols(question, packet)
    yield from _other_ports(question, packet)
    yield from _node_ports(question, packet)
    yield from _without_rules(question, packet)
    yield from _endpoints_themselves(question, packet)


def _other_protocols(question: Question, packet: Packet) -> Iterator[Proposal]:
    protocols: tuple[Protocol, ...] = ("TCP", "UDP", "SCTP")
    for protocol in protocols:
        if protocol != packet.protocol:
            other = evolve(packet, protocol=protocol)
            if (found := _taker(question, other)) is not None:
                text = f"if it were asked by {protocol}: that is {found.name.service_port}"
                yield Proposal(text, question, other)


def _taker(question: Question, packet: Packet) -> Fragment | None:
    return question.briefly(packet).passages[0].fragment


def _other_ports(question: Question, packet: Packet) -> Iterator[Proposal]:
    """Yield the ports that the address has, and this port for what the address is of."""
    found = [
        (fragment, dispatch)
        for fragment in question.graph
        for dispatch in fragment.dispatches
        if dispatch.address == packet.destination
    ]
    found.sort(key=lambda pair: (not _speaks_of(pair[0], packet), pair[1].port))
    for fragment, dispatch in found[:MOST_PORTS]:
        other = evolve(packet, port=dispatch.port, protocol=fragment.name.protocol)
        why = _speaks_of(fragment, packet)
        told = f": {packet.port} is its {why}" if why else ""
        text = f"if port {dispatch.port}/{fragment.name.protocol} were asked for{told}"
        yield Proposal(text, question, other)
    for fragment, _ in found[:1]:
        service = question.state.services[NamespacedName(*fragment.name[:2])]
        named = [(str(port.name), str(port.protocol)) for port in service.ports]
        index = named.index(fragment.name[2:])
        ports = list(service.ports)
        ports[index] = evolve(ports[index], port=packet.port)
        after = evolve(service, ports=tuple(ports))
        text = f"if the Service's port were {packet.port}"
        yield of_service(question, packet, text, after, f"spec.ports[{index}].port")


def _speaks_of(fragment: Fragment, packet: Packet) -> str:
    """Return what of a service port a packet's port is, empty if it is nothing of it."""
    if fragment.name.protocol != packet.protocol:
        return ""
    if any(each.port == packet.port for each in fragment.translates):
        return "target port"
    ports = [each.port for each in fragment.dispatches if each.frontend == "node-port"]
    return "node port" if packet.port in ports else ""


def _node_ports(question: Question, packet: Packet) -> Iterator[Proposal]:
    """Yield other nodes whose address it is, and node ports on addresses that do not answer."""
    if ("", packet.protocol, packet.port) not in question.graph.frontends:
        return
    settings = question.view.settings
    if settings.is_node_address(packet.destination):
        everywhere = evolve(
            question.view,
            settings=evolve(settings, node_port_addresses=None, localhost_node_ports=True),
        )
        text = f"if nodePortAddresses of the configuration had {packet.destination}"
        yield Proposal(text, question.seen_by(everywhere), packet)
        for address in settings.addresses:
            if settings.answers_node_ports(address) and family_of(address) == packet.family:
                other = evolve(packet, destination=address)
                yield Proposal(f"if {address} were asked, which answers", question, other)
        return
    for name, node in sorted(question.state.nodes.items()):
        is_other = name != question.node and packet.destination in node.addresses
        if is_other and question.view_of is not None:
            text = f"on node {name}, whose address {packet.destination} is: --node {name}"
            yield Proposal(text, question.seen_by(question.view_of(name)), packet)
    own = evolve(packet, destination=settings.node_ip)
    is_known = not settings.node_ip.startswith("127.") and settings.node_ip != "::1"
    if is_known and settings.answers_node_ports(settings.node_ip):
        text = f"if {settings.node_ip}, an address of this node, were asked"
        yield Proposal(text, question, own)


def _without_rules(question: Question, packet: Packet) -> Iterator[Proposal]:
    """Yield what keeps a node from rules for a Service that has the address."""
    for name, service in sorted(question.state.services.items()):
        if packet.destination not in _addresses(service):
            continue
        if PROXY_NAME_LABEL in service.labels:
            labels = {k: v for k, v in service.labels.items() if k != PROXY_NAME_LABEL}
            text = f"if no label left Service {name} to another proxy"
            path = f"metadata.labels['{PROXY_NAME_LABEL}']"
            yield of_service(question, packet, text, evolve(service, labels=labels), path)
        for index, ingress in enumerate(service.load_balancer_ingress):
            if ingress.ip == packet.destination and ingress.ip_mode == "Proxy":
                found = list(service.load_balancer_ingress)
                found[index] = evolve(ingress, ip_mode="VIP")
                after = evolve(service, load_balancer_ingress=tuple(found))
                path = f"status.loadBalancer.ingress[{index}].ipMode"
                yield of_service(question, packet, "if ipMode were VIP", after, path)
        if packet.destination in service.external_ips and not question.view.allows_external_ips:
            view = evolve(question.view, allows_external_ips=True)
            text = "if the feature gate AllowServiceExternalIPs were on"
            yield Proposal(text, question.seen_by(view), packet)


def _addresses(service: Service) -> set[str]:
    ingress = {each.ip for each in service.load_balancer_ingress}
    return {*service.cluster_ips, *service.external_ips, *ingress}


def _endpoints_themselves(question: Question, packet: Packet) -> Iterator[Proposal]:
    """Yield the Service of an endpoint that is asked itself."""
    where = (packet.destination, packet.port)
    for fragment in question.graph:
        if fragment.name.protocol == packet.protocol and any(
            (each.address, each.port) == where for each in fragment.translates
        ):
            first = fragment.dispatches[0]
            other = evolve(packet, destination=first.address, port=first.port)
            text = f"if its Service {fragment.name.service_port} were asked"
            yield Proposal(text, question, other)
