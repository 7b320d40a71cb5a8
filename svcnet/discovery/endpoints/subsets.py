"""The Endpoints object (core/v1) of one Service, by the rules of the Endpoints controller.

Source: pkg/controller/endpoint/endpoints_controller.go and pkg/api/v1/endpoints/util.go
(``RepackSubsets``) of Kubernetes.

The controller orders ports and subsets by a hash of a dump of memory. Here ports are in
the order of name, protocol and number, subsets in that of their ports, then addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from socket import AF_INET, AF_INET6, inet_pton

from attrs import evolve

from svcnet.discovery.endpoints.pods import (
    families,
    has_selector,
    hostname_in,
    labels_of,
    may_be_endpoint,
    resolved_ports,
    target_of,
)
from svcnet.models import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Pod,
    Service,
)
from svcnet.models.family import family_of

MAX_ADDRESSES = 1000
"""How many addresses an Endpoints object has at most."""

OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
CONTROLLER = "endpoint-controller"

Ready = dict[EndpointAddress, bool]


def endpoints_from_pods(
    service: Service, pods: Iterable[Pod], *, limit: int = MAX_ADDRESSES
) -> Endpoints | None:
    """Return the Endpoints that `service` has when its selector finds `pods`.

    The order of `pods` does not matter. None for a Service without a selector.
    """
    if not has_selector(service):
        return None
    # A port of None stands for none at all, which a headless Service may have.
    by_port: dict[EndpointPort | None, Ready] = {}
    for pod in pods:
        _add(service, pod, by_port)
    subsets = repack(by_port)
    kept = truncated(subsets, limit)
    return Endpoints(
        namespace=service.namespace,
        name=service.name,
        subsets=kept,
        labels=labels_of(service, {MANAGED_BY: CONTROLLER}),
        annotations={} if kept == subsets else {OVER_CAPACITY: "truncated"},
    )


def _add(service: Service, pod: Pod, by_port: dict[EndpointPort | None, Ready]) -> None:
    """Add a Pod's address under each of its ports; not ready there beats ready."""
    publish = service.publish_not_ready_addresses
    ip = _ip(service, pod)
    if not ip or not may_be_endpoint(pod, terminating=publish):
        return
    address = EndpointAddress(ip, pod.node_name, hostname_in(pod, service), target_of(pod))
    ports: Sequence[EndpointPort | None] = resolved_ports(service, pod)
    if service.is_headless and not service.ports:
        ports = (None,)
    ready = publish or pod.ready
    for port in ports:
        known = by_port.setdefault(port, {})
        known[address] = known.get(address, True) and ready


def _ip(service: Service, pod: Pod) -> str:
    """Return a Pod's address of the Service's first family; of its own where nothing tells it."""
    of_service = families(service)
    if of_service:
        return pod.ip(of_service[0])
    return pod.pod_ips[0] if pod.pod_ips else ""


def repack(by_port: dict[EndpointPort | None, Ready]) -> tuple[EndpointSubset, ...]:
    """Return subsets: ports that the same addresses serve, equally ready, share one."""
    groups: dict[frozenset[tuple[EndpointAddress, bool]], list[EndpointPort]] = {}
    for port, addresses in by_port.items():
        ports = groups.setdefault(frozenset(addresses.items()), [])
        if port is not None:
            ports.append(port)
    subsets = [
        EndpointSubset(
            addresses=_in_order(address for address, ready in group if ready),
            not_ready_addresses=_in_order(address for address, ready in group if not ready),
            ports=tuple(sorted(ports, key=_port_order)),
        )
        for group, ports in groups.items()
    ]
    return tuple(sorted(subsets, key=_subset_order))


def _in_order(addresses: Iterable[EndpointAddress]) -> tuple[EndpointAddress, ...]:
    return tuple(sorted(addresses, key=_address_order))


def _address_order(address: EndpointAddress) -> tuple[bytes, str]:
    uid = address.target_ref.uid if address.target_ref else ""
    family = AF_INET6 if family_of(address.ip) == "IPv6" else AF_INET
    return inet_pton(family, address.ip), uid


def _port_order(port: EndpointPort) -> tuple[str, str, int]:
    return port.name, port.protocol, port.port


def _subset_order(subset: EndpointSubset) -> tuple[list[tuple[str, str, int]], list[str]]:
    addresses = (*subset.addresses, *subset.not_ready_addresses)
    return [_port_order(port) for port in subset.ports], [a.ip for a in addresses]


def truncated(subsets: tuple[EndpointSubset, ...], limit: int) -> tuple[EndpointSubset, ...]:
    """Return subsets with at most `limit` addresses, ready ones first.

    Each subset keeps its share, rounded up, until the room is used up. One left without
    an address, which the API server would refuse, is left out.
    """
    ready = sum(len(subset.addresses) for subset in subsets)
    others = sum(len(subset.not_ready_addresses) for subset in subsets)
    if ready + others <= limit:
        return subsets
    cuts_ready = ready > limit
    room, total = (limit, ready) if cuts_ready else (limit - ready, others)
    left = room
    kept = []
    for subset in subsets:
        listed = subset.addresses if cuts_ready else subset.not_ready_addresses
        share = min(-(-len(listed) * room // total), left)
        left -= share
        if cuts_ready:
            cut = evolve(subset, addresses=listed[:share], not_ready_addresses=())
        else:
            cut = evolve(subset, not_ready_addresses=listed[:share])
        if cut.addresses or cut.not_ready_addresses:
            kept.append(cut)
    return tuple(kept)
