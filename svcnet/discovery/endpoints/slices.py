"""The EndpointSlices of one Service, by the rules of the EndpointSlice controller.

Source: staging/src/k8s.io/endpointslice/reconciler.go and utils.go of Kubernetes.

Names are ``<service>-<five letters>`` as the API server's are, but the letters come from a
hash. Hints follow ``trafficDistribution``, or where the annotation ``topology-mode: Auto`` is set
the CPUs of zones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping

from attrs import evolve

from svcnet.discovery.endpoints.members import Members, hints_by
from svcnet.discovery.endpoints.packing import MAX_ENDPOINTS, Identity, Packing, pack
from svcnet.discovery.endpoints.pods import (
    PortsOnPods,
    families,
    has_selector,
    labels_of,
    may_be_endpoint,
)
from svcnet.discovery.endpoints.topology import asks_for_hints, give_hints, without_hints
from svcnet.discovery.suffix import letters
from svcnet.family import IP_FAMILIES
from svcnet.labels import MANAGED_BY_LABEL, SERVICE_NAME_LABEL
from svcnet.models import Endpoint, EndpointPort, EndpointSlice, IPFamily, Node, Pod, Service

CONTROLLER = "endpointslice-controller.k8s.io"
# A longer name makes room for the letters, as the API server has it.
MAX_STEM = 58

Ports = tuple[EndpointPort, ...]


def reconcile(
    service: Service,
    pods: Iterable[Pod],
    nodes: Mapping[str, Node] | None = None,
    existing: Iterable[EndpointSlice] = (),
    *,
    limit: int = MAX_ENDPOINTS,
) -> tuple[EndpointSlice, ...]:
    """Return the slices that `service` has when its selector finds `pods`.

    `existing` are slices of the Service from before. Those of the controller are changed
    as little as its rules allow, and an unchanged one is returned as the same object; the
    others are not its own and not in the result. A Pod on a Node that is not in `nodes`
    is left out; with None nothing is known of Nodes, and no Pod is. The order of `pods`
    does not matter. A Service without a selector has no slices.
    """
    return reconcile_members(service, pods, Members(nodes), existing, limit=limit)


def reconcile_members(
    service: Service,
    pods: Iterable[Pod],
    members: Members,
    existing: Iterable[EndpointSlice] = (),
    *,
    limit: int = MAX_ENDPOINTS,
) -> tuple[EndpointSlice, ...]:
    """Return what :func:`reconcile` does; what Services have in common is of `members`."""
    if not has_selector(service):
        return ()
    own = sorted((s for s in existing if is_own(s)), key=lambda item: item.name)
    taken = {item.name for item in own}
    labels = labels_of(service, {SERVICE_NAME_LABEL: service.name, MANAGED_BY_LABEL: CONTROLLER})
    counted = sorted((pod for pod in pods if _counts(pod, service, members.nodes)), key=_name)
    made: list[EndpointSlice] = []
    for family in families(service) or IP_FAMILIES:
        wanted = _endpoints_by_ports(service, counted, members, family)
        of_family = [item for item in own if item.address_type == family]
        found = service, family, wanted, of_family, labels, limit, taken
        hinted_by = members if asks_for_hints(service) else None
        made += _of_family(*found) if hinted_by is None else _with_hints(*found, hinted_by)
    return tuple(sorted(made, key=lambda item: item.name))


def is_own(item: EndpointSlice) -> bool:
    """Return whether the EndpointSlice controller made a slice."""
    return item.labels.get(MANAGED_BY_LABEL) == CONTROLLER


def _name(pod: Pod) -> str:
    return pod.name


def _counts(pod: Pod, service: Service, nodes: Mapping[str, Node] | None) -> bool:
    if not may_be_endpoint(pod, terminating=True):
        return False
    known = nodes is None or pod.node_name in nodes
    return known or service.publish_not_ready_addresses


def _endpoints_by_ports(
    service: Service, pods: Iterable[Pod], members: Members, family: IPFamily
) -> dict[Ports, dict[Identity, Endpoint]]:
    """Return the endpoints of one family, by the ports that they serve."""
    # Ports that are alike are one object, which costs less to tell than what they are.
    found: dict[int, tuple[Ports, dict[Identity, Endpoint]]] = {}
    on_pods, hinted = PortsOnPods(service), hints_by(service)
    for pod in pods:
        address = pod.ip(family)
        if address:
            key, endpoint = members.member(service, pod, address, hinted)
            ports = on_pods.on(pod)
            found.setdefault(id(ports), (ports, {}))[1][key] = endpoint
    return dict(found.values())


def _of_family(
    service: Service,
    family: IPFamily,
    wanted: Mapping[Ports, Mapping[Identity, Endpoint]],
    existing: list[EndpointSlice],
    labels: Mapping[str, str],
    limit: int,
    taken: set[str],
) -> list[EndpointSlice]:
    """Return the slices of one family; names of new ones are added to `taken`."""
    # The order in which a slice lists its ports says nothing.
    by_ports: dict[frozenset[EndpointPort], list[EndpointSlice]] = {}
    for item in existing:
        by_ports.setdefault(frozenset(item.ports), []).append(item)
    kept: list[EndpointSlice] = []
    removed: list[EndpointSlice] = []
    created: list[EndpointSlice] = []
    for ports, endpoints in wanted.items():
        packed = pack(by_ports.pop(frozenset(ports), ()), endpoints, labels, limit)
        kept += packed.kept
        removed += packed.removed
        created += _create(service, family, ports, packed, labels)
    removed += [item for group in by_ports.values() for item in group]
    if not kept and not created:
        empty = EndpointSlice(service.namespace, "", service.name, family, labels=labels)
        same = [item for item in removed if evolve(item, name="") == empty]
        if same:
            return same[:1]
        created.append(empty)
    return [*kept, *_give_names(created, removed, taken)]


def _with_hints(
    service: Service,
    family: IPFamily,
    wanted: Mapping[Ports, Mapping[Identity, Endpoint]],
    existing: list[EndpointSlice],
    labels: Mapping[str, str],
    limit: int,
    taken: set[str],
    members: Members,
) -> list[EndpointSlice]:
    """Return the slices of one family, with hints by the CPUs of zones."""
    bare = [without_hints(item) for item in existing]
    before = {id(now): then for now, then in zip(bare, existing, strict=True)}
    made = _of_family(service, family, wanted, bare, labels, limit, taken)
    return give_hints(sorted(made, key=lambda item: item.name), members.ratios, before)


def _create(
    service: Service,
    family: IPFamily,
    ports: Ports,
    packed: Packing,
    labels: Mapping[str, str],
) -> Iterator[EndpointSlice]:
    for endpoints in packed.created:
        yield EndpointSlice(
            service.namespace,
            "",
            service.name,
            family,
            ports,
            endpoints,
            labels,
            is_of_pods=True,
        )


def _give_names(
    created: Iterable[EndpointSlice], removed: Collection[EndpointSlice], taken: set[str]
) -> Iterator[EndpointSlice]:
    """Yield new slices with names: of slices that would go, as long as there are any."""
    free = iter(removed)
    for item in created:
        reused = next(free, None)
        name = reused.name if reused else _new_name(item, taken)
        taken.add(name)
        yield evolve(item, name=name)


def _new_name(item: EndpointSlice, taken: Collection[str]) -> str:
    """Return the first name of a series that follows from what the slice is, and is free."""
    ports = sorted((port.name, port.protocol, port.port) for port in item.ports)
    stem = f"{item.service_name}-"[:MAX_STEM]
    number = 0
    while True:
        told = repr((item.namespace, item.service_name, item.address_type, ports, number))
        digest = hashlib.sha256(told.encode()).digest()
        name = stem + letters(int.from_bytes(digest[:8], "big"))
        if name not in taken:
            return name
        number += 1
