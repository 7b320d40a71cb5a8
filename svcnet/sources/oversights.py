"""What has no effect, or another one than it seems to have, though the API server takes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from svcnet import checks
from svcnet.checks import Check
from svcnet.family import family_of
from svcnet.labels import SKIP_LABEL
from svcnet.models import ClusterState, Endpoints, NamespacedName, Node, Service
from svcnet.models.state import ClusterObject
from svcnet.models.subsets import MAX_ADDRESSES, repack, shared_port_name
from svcnet.sources.findings import Findings, ObjectPlace, Path
from svcnet.words import count_noun

Located = tuple[ClusterObject, ObjectPlace]

API_SERVER = NamespacedName("default", "kubernetes")


def check_ignored_fields(service: Service, place: ObjectPlace, findings: Findings) -> None:
    """Warn of fields that nothing heeds in a headless Service, or in one that is an alias."""
    alias = service.type == "ExternalName"
    what = "a Service of type ExternalName" if alias else "a headless Service"
    for field in _fields_without_effect(service):
        message = f"has no effect: {what} has no rules on any node"
        findings.warning(checks.UNUSED_FIELD, place, ("spec", field), message)


def _fields_without_effect(service: Service) -> Iterator[str]:
    if service.external_ips:
        yield "externalIPs"
    if service.session_affinity != "None":
        yield "sessionAffinity"
    if service.internal_traffic_policy != "Cluster":
        yield "internalTrafficPolicy"


def check_outside_addresses(service: Service, place: ObjectPlace, findings: Findings) -> None:
    """Warn of outside addresses that have no rules, or lack the source ranges that others have."""
    restricted = {family_of(cidr) for cidr in service.load_balancer_source_ranges}
    for address, path in _outside_addresses(service):
        family = family_of(address)
        if not service.cluster_ip(family):
            message = f"{address} has no effect: the Service has no cluster IP of {family}"
            findings.warning(checks.UNUSED_FIELD, place, path, message)
        elif restricted and path[0] == "status" and family not in restricted:
            message = f"{address} is open to everybody: no range is of {family}"
            where: Path = ("spec", "loadBalancerSourceRanges")
            findings.warning(checks.OPEN_ADDRESS, place, where, message)


def check_health_ports(located: Iterable[Located], findings: Findings) -> None:
    """Warn of a health-check port that is a node port too: rules lead its questions elsewhere."""
    services = [(item, place) for item, place in located if isinstance(item, Service)]
    asked = [(item, place) for item, place in services if item.health_check_node_port]
    if not asked:
        return
    holders = {
        port.node_port: place
        for item, place in services
        for port in item.ports
        if port.node_port and port.protocol == "TCP"
    }
    for item, place in asked:
        holder = holders.get(item.health_check_node_port)
        if holder is not None:
            message = (
                f"{item.health_check_node_port} is a node port of {holder.label} too: "
                "its endpoints get the questions for this Service's health"
            )
            path: Path = ("spec", "healthCheckNodePort")
            findings.warning(checks.HEALTH_CHECK_CONFLICT, place, path, message)


def check_pod_cidrs(located: Iterable[Located], findings: Findings) -> None:
    """Warn of two Nodes with one pod CIDR: each takes the other's Pods for its own."""
    holders: dict[str, ObjectPlace] = {}
    for item, place in located:
        for index, cidr in enumerate(item.pod_cidrs if isinstance(item, Node) else ()):
            holder = holders.setdefault(cidr, place)
            if holder is not place:
                message = (
                    f"{cidr} is that of {holder.label} too: each takes the other's Pods for its own"
                )
                path: Path = ("spec", "podCIDRs", index)
                findings.warning(checks.POD_CIDR_CONFLICT, place, path, message)


def check_endpoints(
    item: Endpoints, place: ObjectPlace, state: ClusterState, findings: Findings
) -> None:
    """Warn of Endpoints that stand in for slices, and of what in them makes none."""
    name = NamespacedName(item.namespace, item.name)
    if name in state.slices or name not in state.services:
        return
    if item.labels.get(SKIP_LABEL) == "true" and name != API_SERVER:
        message = (
            "says that a cluster makes no slices of these Endpoints; here rules are made of them"
        )
        where: Path = ("metadata", "labels", SKIP_LABEL)
        findings.warning(checks.UNMIRRORED, place, where, message)
    for subset in repack(item.subsets):
        listed = (*subset.addresses, *subset.not_ready_addresses)
        shared = shared_port_name(subset)
        if shared is not None:
            message = (
                f"{listed[0].ip} has two ports named {shared!r}: a slice has one of a name, "
                f"so {_and_others(listed[0].ip, len(listed))} not served on these ports"
            )
            findings.warning(checks.SHARED_PORT_NAME, place, ("subsets",), message)
        elif len(listed) > MAX_ADDRESSES:
            addresses = count_noun(len(listed), "address")
            message = f"{addresses} have the same ports: {MAX_ADDRESSES:,} are served"
            findings.warning(checks.TOO_MANY_ADDRESSES, place, ("subsets",), message)


def _and_others(first: str, count: int) -> str:
    return f"{first} is" if count == 1 else f"{first} and {count - 1} more are"


def node_address_remarks(
    objects: Iterable[ClusterObject], state: ClusterState, node: str
) -> Iterator[tuple[Check, ClusterObject, Path, str]]:
    """Yield what is to be said of Services with addresses of Nodes, in mode ipvs on `node`."""
    holders = {
        address: other.name
        for other in state.nodes.values()
        if other.name != node
        for address in other.addresses
    }
    for item in objects if holders else ():
        if isinstance(item, Service) and item.has_rules:
            for address, path in _outside_addresses(item):
                if address in holders:
                    message = (
                        f"{address} is an address of Node {holders[address]}, "
                        f"which is not reached there from {node or 'this node'} in mode ipvs"
                    )
                    yield checks.OTHER_NODE_ADDRESS, item, path, message


def _outside_addresses(service: Service) -> Iterator[tuple[str, Path]]:
    for index, address in enumerate(service.external_ips):
        yield address, ("spec", "externalIPs", index)
    for index, ingress in enumerate(service.load_balancer_ingress):
        if ingress.ip and ingress.ip_mode == "VIP":
            yield ingress.ip, ("status", "loadBalancer", "ingress", index, "ip")
