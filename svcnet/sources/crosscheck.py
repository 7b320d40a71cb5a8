"""What is wrong, or surely a mistake, between objects that are each right on their own."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from attrs import frozen

from svcnet import checks
from svcnet.checks import Check
from svcnet.family import family_of
from svcnet.labels import SERVICE_NAME_LABEL
from svcnet.models import ClusterState, Endpoints, EndpointSlice, NamespacedName, Service
from svcnet.models.budget import NODE_ENTRIES, SERVICE_ENTRIES
from svcnet.models.service import HEADLESS
from svcnet.models.state import ClusterObject
from svcnet.sources.cluster_ips import check_cluster_ips
from svcnet.sources.conditions import check_conditions
from svcnet.sources.fields import quote_value
from svcnet.sources.findings import Findings, ObjectPlace, Path, join_path
from svcnet.sources.locate import places_of
from svcnet.sources.objects import object_key
from svcnet.sources.oversights import (
    check_endpoints,
    check_health_ports,
    check_ignored_fields,
    check_outside_addresses,
    check_pod_cidrs,
)

Located = tuple[ClusterObject, ObjectPlace]
Item = TypeVar("Item", bound=ClusterObject)


@frozen
class _Claim:
    """A thing that only one may have, and who has it."""

    check: Check
    key: tuple[object, ...]
    what: str
    path: Path


def check_conflicts(located: list[Located], findings: Findings) -> None:
    """Report objects that are there twice, and addresses or node ports used twice.

    That there is none of it is found out for all objects at once, which is much cheaper.
    """
    if _repeat([object_key(item) for item, _ in located]):
        _report_twice(located, findings, _identity)
    services = [(item, place) for item, place in located if isinstance(item, Service)]
    addresses = [a for service, _ in services for a in service.cluster_ips if a != HEADLESS]
    ports = [
        (port.protocol, port.node_port)
        for service, _ in services
        for port in service.ports
        if port.node_port
    ]
    if _repeat(addresses) or _repeat(ports):
        _report_twice(services, findings, _claims)


def _repeat(keys: Sequence[Hashable]) -> bool:
    return len(set(keys)) < len(keys)


def _report_twice(
    located: Iterable[tuple[Item, ObjectPlace]],
    findings: Findings,
    claims_of: Callable[[Item], Iterable[_Claim]],
) -> None:
    """Report each claim that another object has, with the places of both."""
    holders: dict[tuple[object, ...], tuple[ObjectPlace, Path]] = {}
    found: list[tuple[_Claim, ObjectPlace, ObjectPlace, Path]] = []
    for item, place in located:
        for claim in claims_of(item):
            holder, path = holders.setdefault(claim.key, (place, claim.path))
            if holder is not place:
                found.append((claim, place, holder, path))
    first = places_of([(holder, join_path(path)) for _, _, holder, path in found])
    for (claim, place, holder, _), at in zip(found, first, strict=True):
        where = f"{at.file}:{at.line}" if at.line else at.file
        message = f"{claim.what} {holder.label} in {where}"
        findings.error(claim.check, place, claim.path, message)


def _identity(item: ClusterObject) -> Iterator[_Claim]:
    yield _Claim(
        checks.DUPLICATE_OBJECT, object_key(item), "is there twice; first as", ("metadata", "name")
    )


def _claims(service: Service) -> Iterator[_Claim]:
    """Yield the cluster IPs and node ports of a Service."""
    for index, address in enumerate(service.cluster_ips):
        if address != HEADLESS:
            path: Path = ("spec", "clusterIPs", index) if index else ("spec", "clusterIP")
            what = f"{address} is the cluster IP of"
            yield _Claim(checks.CLUSTER_IP_CONFLICT, ("ip", address), what, path)
    for index, port in enumerate(service.ports):
        if port.node_port:
            path = ("spec", "ports", index, "nodePort")
            what = f"{port.node_port} is a node port of"
            key = ("port", port.protocol, port.node_port)
            yield _Claim(checks.NODE_PORT_CONFLICT, key, what, path)


def check_mistakes(
    located: list[Located],
    state: ClusterState,
    findings: Findings,
    served: Container[NamespacedName],
) -> None:
    """Warn of what is legal but surely not meant.

    `state` is what was read; Services in `served` have slices in the end.
    """
    has_endpoints = bool(state.slices or state.endpoints)
    for item, place in located:
        if isinstance(item, Service):
            missed = has_endpoints and _name(item) not in served
            _check_service(item, place, state, missed, findings)
        elif isinstance(item, EndpointSlice):
            _check_slice(item, place, state, findings)
        elif isinstance(item, Endpoints):
            check_endpoints(item, place, state, findings)
    _check_shared_frontends(located, findings)
    check_health_ports(located, findings)
    check_cluster_ips(located, findings)
    check_pod_cidrs(located, findings)
    check_conditions(located, findings)


def endpoint_remarks(
    objects: Iterable[ClusterObject], state: ClusterState
) -> Iterator[tuple[Check, ClusterObject, Path, str]]:
    """Yield what is to be said of input without any endpoints, whose Services select some.

    That is once for all of them, at the first. `state` may have slices that were made of Pods.
    """
    if state.slices or state.endpoints:
        return
    lacking = [item for item in objects if isinstance(item, Service) and _selects(item)]
    for service in lacking[:1]:
        message = f"has no EndpointSlice in the input: {_follows(service)}"
        if len(lacking) > 1:
            message += f"; so is it with {len(lacking) - 1} more"
        yield checks.NO_SLICE, service, (), message


def _selects(service: Service) -> bool:
    """Return whether a Service has endpoints in a cluster, and an address or name to lead there."""
    return bool(service.selector and service.cluster_ips) and service.type != "ExternalName"


def _follows(service: Service) -> str:
    return "its name does not exist" if service.is_headless else "whoever connects is refused"


def _name(service: Service) -> NamespacedName:
    return NamespacedName(service.namespace, service.name)


def _check_service(
    service: Service, place: ObjectPlace, state: ClusterState, missed: bool, findings: Findings
) -> None:
    if service.is_headless or service.type == "ExternalName":
        check_ignored_fields(service, place, findings)
        if service.type == "ExternalName":
            return
    elif not service.cluster_ips:
        message = "has no address yet, so no rules are made for it"
        findings.warning(checks.NO_CLUSTER_IP, place, ("spec", "clusterIP"), message)
    elif service.external_ips or service.load_balancer_ingress:
        check_outside_addresses(service, place, findings)
    slices = state.slices_of(_name(service))
    if not slices:
        if not service.selector:
            message = "has neither a selector nor endpoints: nothing will ever answer"
            findings.warning(checks.NO_ENDPOINTS, place, ("spec", "selector"), message)
        elif missed:
            message = f"has no EndpointSlice in the input: {_follows(service)}"
            findings.warning(checks.NO_SLICE, place, (), message)
        return
    served = {(port.name, port.protocol) for item in slices for port in item.ports}
    for index, port in enumerate(service.ports):
        if (port.name, port.protocol) not in served and any(item.endpoints for item in slices):
            message = f"no EndpointSlice serves port {port.name!r} with {port.protocol}"
            findings.warning(checks.UNSERVED_PORT, place, ("spec", "ports", index), message)
    if service.ip_families != (slices[0].address_type,):
        _check_families(service, place, {item.address_type for item in slices}, findings)


def _check_families(
    service: Service, place: ObjectPlace, types: Container[str], findings: Findings
) -> None:
    """Warn of a cluster IP of a family of which the Service has no slice, not even an empty one."""
    for index, address in enumerate(() if service.is_headless else service.cluster_ips):
        family = family_of(address)
        if family not in types:
            path: Path = ("clusterIPs", index) if len(service.cluster_ips) > 1 else ("clusterIP",)
            message = f"no EndpointSlice is of {family}: who connects to {address} is refused"
            findings.warning(checks.UNSERVED_FAMILY, place, ("spec", *path), message)


def _check_slice(
    item: EndpointSlice, place: ObjectPlace, state: ClusterState, findings: Findings
) -> None:
    path = ("metadata", "labels")
    if not item.service_name:
        message = f"has no label {SERVICE_NAME_LABEL}, so it belongs to no Service"
        findings.warning(checks.NO_SERVICE_NAME, place, path, message)
    elif NamespacedName(item.namespace, item.service_name) not in state.services:
        owner = quote_value(f"{item.namespace}/{item.service_name}")[1:-1]
        message = f"belongs to Service {owner}, which is not there"
        where = (*path, SERVICE_NAME_LABEL)
        findings.warning(checks.NO_SERVICE, place, where, message)


def _check_shared_frontends(located: list[Located], findings: Findings) -> None:
    """Warn of two Services with one outside address and port: which one answers is open.

    The same for health-check node ports, of which one Service's answer hides the other's.
    No more are looked at than a node serves: addresses times ports are a product.
    """
    holders: dict[tuple[object, ...], ObjectPlace] = {}
    frontends = (
        (place, *frontend)
        for item, place in located
        if isinstance(item, Service)
        for frontend in _frontends(item)
    )
    for place, key, what, path in islice(frontends, NODE_ENTRIES):
        holder = holders.setdefault(key, place)
        if holder is not place:
            message = f"{what} is that of {holder.label} too: which one answers is open"
            findings.warning(checks.SHARED_FRONTEND, place, path, message)


def _frontends(service: Service) -> Iterator[tuple[tuple[object, ...], str, Path]]:
    addresses: list[tuple[str, Path]] = [
        (address, ("spec", "externalIPs", index))
        for index, address in enumerate(service.external_ips)
    ]
    addresses += [
        (ingress.ip, ("status", "loadBalancer", "ingress", index, "ip"))
        for index, ingress in enumerate(service.load_balancer_ingress)
        if ingress.ip
    ]
    served = len(addresses) * len(service.ports) <= SERVICE_ENTRIES
    for address, path in addresses if served else ():
        for port in service.ports:
            what = f"{address} {port.protocol} {port.port}"
            yield (address, port.protocol, port.port), what, path
    if service.health_check_node_port:
        number = service.health_check_node_port
        yield ("health", number), f"health check {number}", ("spec", "healthCheckNodePort")
