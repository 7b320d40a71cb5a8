"""What surely is not meant between a configuration and the Nodes of the input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from svcnet import checks
from svcnet.addresses import contains
from svcnet.checks import Check
from svcnet.family import IP_FAMILIES, family_of
from svcnet.labels import ZONE_LABEL
from svcnet.models import (
    ClusterState,
    EndpointSlice,
    Host,
    KubeProxyConfiguration,
    Node,
    Service,
)
from svcnet.models.config import PRIMARY
from svcnet.models.state import ClusterObject
from svcnet.sources.config.result import ConfigRemark
from svcnet.sources.fields import quote_value
from svcnet.sources.findings import Path
from svcnet.words import count_noun, list_some

MOST_NODES = 5


def node_remarks(
    state: ClusterState, config: KubeProxyConfiguration, name: str, host: Host | None = None
) -> Iterator[ConfigRemark]:
    """Yield what is to be said of a configuration's fields, for the node called `name`.

    `host` tells the node's addresses better than its Node does.
    """
    if name and name == config.hostname_override and state.nodes and name not in state.nodes:
        yield checks.ABSENT_NODE, ("hostnameOverride",), _absent(state, name)
    if config.detect_local_mode == "NodeCIDR":
        for what in _without_pod_cidr(state, name):
            message = f"{what}: traffic of its pods is like any other, and none is masqueraded"
            yield checks.NO_POD_CIDR, ("detectLocalMode",), message
    node = state.nodes.get(name, Node(name))
    if config.detect_local_mode in ("", "ClusterCIDR") and config.cluster_cidrs:
        for family in sorted(_families(node.addresses) - _families(config.cluster_cidrs)):
            message = (
                f"has no CIDR of {family}, which Node {name} has an address of: traffic of its "
                "pods is like any other, and none is masqueraded"
            )
            yield checks.NO_CLUSTER_CIDR, ("clusterCIDR",), message
    given = host.addresses if host is not None else None
    addresses = node.addresses if given is None else given
    if addresses and any(map(_has_node_ports, state.services.values())):
        for family in _families_without_address(config.node_port_addresses, addresses):
            message = f"holds no {family} address of the node: its node ports answer nowhere"
            yield checks.NO_NODE_PORT_ADDRESS, ("nodePortAddresses",), message


def _families(texts: Iterable[str]) -> set[str]:
    return set(map(family_of, texts))


def _has_node_ports(service: Service) -> bool:
    return any(port.node_port for port in service.ports)


def _families_without_address(cidrs: Iterable[str], addresses: Iterable[str]) -> Iterator[str]:
    """Yield each family of which CIDRs are named and hold none of its addresses that there are."""
    for family in IP_FAMILIES:
        networks = [cidr for cidr in cidrs if cidr != PRIMARY and family_of(cidr) == family]
        there = [address for address in addresses if family_of(address) == family]
        if networks and there and not any(contains(n, a) for n in networks for a in there):
            yield family


def _absent(state: ClusterState, name: str) -> str:
    names = sorted(state.nodes)
    others = list_some(names, MOST_NODES)
    return (
        f"the input has no Node {quote_value(name)}, only {others}: this node's addresses "
        "and zone are not known, and endpoints are local by that name alone"
    )


def _without_pod_cidr(state: ClusterState, name: str) -> Iterator[str]:
    node = state.nodes.get(name)
    if node is None:
        yield f"the input has no Node {quote_value(name)}" if name else "the input has no Node"
    elif not node.pod_cidrs:
        yield f"Node {name} has no podCIDR"
    else:
        lacks = {family_of(one) for one in node.addresses}
        lacks.difference_update(family_of(one) for one in node.pod_cidrs)
        for family in sorted(lacks):
            yield f"Node {name} has no podCIDR of {family}"


def zone_remarks(
    objects: Iterable[ClusterObject], name: str
) -> Iterator[tuple[Check, ClusterObject, Path, str]]:
    """Yield what is to be said where a Node has no zone, and endpoints have hints for zones."""
    objects = tuple(objects)
    node = next((one for one in objects if isinstance(one, Node) and one.name == name), None)
    if node is None or node.zone:
        return
    slices = (one for one in objects if isinstance(one, EndpointSlice))
    if any(endpoint.zone_hints for one in slices for endpoint in one.endpoints):
        message = f"has no {ZONE_LABEL}: hints for zones have no effect on this node"
        yield checks.NO_ZONE, node, ("metadata", "labels"), message


def policy_remarks(
    objects: Iterable[ClusterObject],
) -> Iterator[tuple[Check, ClusterObject, Path, str]]:
    """Yield what is to be said where no node is known, and Services ask for endpoints of it.

    That is once for all of them, at the first.
    """
    local = [item for item in objects if isinstance(item, Service) and _local_policy(item)]
    if not local:
        return
    first = local[0]
    policy = _local_policy(first)
    traffic = "from outside" if policy == "externalTrafficPolicy" else "to its cluster IP"
    message = (
        "is Local, and the node is not known (see --node): no endpoint is local, "
        f"so all traffic {traffic} is dropped"
    )
    if len(local) > 1:
        more = count_noun(len(local) - 1, "more Service is", "more Services are")
        message += f"; {more} like this"
    yield checks.NO_LOCAL_NODE, first, ("spec", policy), message


def _local_policy(service: Service) -> str:
    """Return which policy of a Service asks for endpoints of the node, empty for none."""
    if not service.has_rules or service.is_headless:
        return ""
    if service.external_traffic_policy == "Local":
        return "externalTrafficPolicy"
    return "internalTrafficPolicy" if service.internal_traffic_policy == "Local" else ""
