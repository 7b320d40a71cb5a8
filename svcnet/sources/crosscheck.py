"""What is wrong, or surely a mistake, between objects that are each right on their own."""

from __future__ import annotations

from collections.abc import Container, Iterator
from itertools import islice

from attrs import frozen

from svcnet import checks
from svcnet.checks import Check
from svcnet.models import ClusterState, EndpointSlice, NamespacedName, Service
from svcnet.models.budget import NODE_ENTRIES, SERVICE_ENTRIES
from svcnet.models.service import HEADLESS
from svcnet.models.state import ClusterObject
from svcnet.sources.fields import shown
from svcnet.sources.findings import Findings, Path, Place

Located = tuple[ClusterObject, Place]


@frozen
class _Claim:
    """A thing that only one may have, and who has it."""

    check: Check
    key: tuple[object, ...]
    what: str
    path: Path


def check_conflicts(located: list[Located], findings: Findings) -> None:
    """Report objects that are there twice, and addresses or node ports used twice."""
    _report_twice(located, findings, _identity)
    services = [(item, place) for item, place in located if isinstance(item, Service)]
    _report_twice(services, findings, _claims)


def _report_twice(located: list, findings: Findings, claims_of: object) -> None:  # type: ignore[type-arg]
    holders: dict[tuple[object, ...], Place] = {}
    for item, place in located:
        for claim in claims_of(item):  # type: ignore[operator]
            holder = holders.setdefault(claim.key, place)
            if holder is not place:
                where = f"{holder.label} in {holder.source.file}"
                findings.error(claim.check, place, claim.path, f"{claim.what} {where}")


def _identity(item: ClusterObject) -> Iterator[_Claim]:
    key = (type(item).__name__, getattr(item, "namespace", ""), item.name)
    yield _Claim(checks.DUPLICATE_OBJECT, key, "is there twice; first as", ("metadata", "name"))


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
            missed = has_endpoints and NamespacedName(item.namespace, item.name) not in served
            _check_service(item, place, state, missed, findings)
        elif isinstance(item, EndpointSlice):
            _check_slice(item, place, state, findings)
    _check_shared_frontends(located, findings)


def _check_service(
    service: Service, place: Place, state: ClusterState, missed: bool, findings: Findings
) -> None:
    if service.type == "ExternalName":
        return
    if not service.cluster_ips:
        message = "has no address yet, so no rules are made for it"
        findings.warning(checks.NO_CLUSTER_IP, place, ("spec", "clusterIP"), message)
    slices = state.slices_of(NamespacedName(service.namespace, service.name))
    if not slices:
        if not service.selector:
            message = "has neither a selector nor endpoints: nothing will ever answer"
            findings.warning(checks.NO_ENDPOINTS, place, ("spec", "selector"), message)
        elif missed:
            findings.warning(checks.NO_SLICE, place, (), "has no EndpointSlice in the input")
        return
    served = {(port.name, port.protocol) for item in slices for port in item.ports}
    for index, port in enumerate(service.ports):
        if (port.name, port.protocol) not in served and any(item.endpoints for item in slices):
            message = f"no EndpointSlice serves port {port.name!r} with {port.protocol}"
            findings.warning(checks.UNSERVED_PORT, place, ("spec", "ports", index), message)


def _check_slice(
    item: EndpointSlice, place: Place, state: ClusterState, findings: Findings
) -> None:
    path = ("metadata", "labels")
    if not item.service_name:
        message = "has no label kubernetes.io/service-name, so it belongs to no Service"
        findings.warning(checks.NO_SERVICE_NAME, place, path, message)
    elif NamespacedName(item.namespace, item.service_name) not in state.services:
        owner = shown(f"{item.namespace}/{item.service_name}")[1:-1]
        message = f"belongs to Service {owner}, which is not there"
        where = (*path, "kubernetes.io/service-name")
        findings.warning(checks.NO_SERVICE, place, where, message)


def _check_shared_frontends(located: list[Located], findings: Findings) -> None:
    """Warn of two Services with one outside address and port: which one answers is open.

    The same for health-check node ports, of which one Service's answer hides the other's.
    No more are looked at than a node serves: addresses times ports are a product.
    """
    holders: dict[tuple[object, ...], Place] = {}
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
