"""The Endpoints object (core/v1) of one Service, by the rules of the Endpoints controller.

Source: pkg/controller/endpoint/endpoints_controller.go of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from svcnet.discovery.endpoints.pods import (
    PortsOnPods,
    families,
    has_selector,
    hostname_in,
    labels_of,
    may_be_endpoint,
    target_of,
)
from svcnet.labels import ENDPOINTS_MANAGED_BY_LABEL, OVER_CAPACITY_ANNOTATION
from svcnet.models import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Pod,
    Service,
)
from svcnet.models.subsets import repack

MAX_ADDRESSES = 1000
"""How many addresses an Endpoints object has at most."""

CONTROLLER = "endpoint-controller"

Ports = tuple[EndpointPort, ...]
Listed = tuple[list[EndpointAddress], list[EndpointAddress]]


def endpoints_from_pods(
    service: Service, pods: Iterable[Pod], *, limit: int = MAX_ADDRESSES
) -> Endpoints | None:
    """Return the Endpoints that `service` has when its selector finds `pods`.

    The order of `pods` does not matter. None for a Service without a selector.
    """
    if not has_selector(service):
        return None
    found: dict[Ports, Listed] = {}
    ports = PortsOnPods(service)
    for pod in pods:
        _add(service, pod, ports.on(pod), found)
    subsets = repack(
        [
            EndpointSubset(tuple(ready), tuple(others), ports)
            for ports, (ready, others) in found.items()
        ]
    )
    kept = truncate(subsets, limit)
    return Endpoints(
        namespace=service.namespace,
        name=service.name,
        subsets=kept,
        labels=labels_of(service, {ENDPOINTS_MANAGED_BY_LABEL: CONTROLLER}),
        annotations={} if kept == subsets else {OVER_CAPACITY_ANNOTATION: "truncated"},
    )


def _add(service: Service, pod: Pod, ports: Ports, found: dict[Ports, Listed]) -> None:
    """Add a Pod's address to those with its ports, ready or not."""
    publish = service.publish_not_ready_addresses
    ip = _ip(service, pod)
    if not ip or not may_be_endpoint(pod, terminating=publish):
        return
    if not ports and not (service.is_headless and not service.ports):
        return
    ready, others = found.setdefault(ports, ([], []))
    address = EndpointAddress(ip, pod.node_name, hostname_in(pod, service), target_of(pod))
    (ready if publish or pod.ready else others).append(address)


def _ip(service: Service, pod: Pod) -> str:
    """Return a Pod's address of the Service's first family; of its own where nothing tells it."""
    of_service = families(service)
    if of_service:
        return pod.ip(of_service[0])
    return pod.pod_ips[0] if pod.pod_ips else ""


def truncate(subsets: tuple[EndpointSubset, ...], limit: int) -> tuple[EndpointSubset, ...]:
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
