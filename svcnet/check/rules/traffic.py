"""Policies that have no effect, or a worse one than nothing, with the endpoints there are."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet import checks
from svcnet.check.repository import Repository
from svcnet.check.rule import Remark
from svcnet.labels import CONTROL_PLANE_LABELS
from svcnet.models import Service
from svcnet.words import list_some

MOST_NAMED = 3


def nodes_without_endpoint(repository: Repository) -> Iterator[Remark]:
    """Yield Services with policy Local for traffic from outside, and nodes that drop it.

    A load balancer that asks for the health of nodes, by healthCheckNodePort, passes them over.
    """
    nodes = sorted(
        node.name
        for node in repository.state.nodes.values()
        if not node.being_deleted and CONTROL_PLANE_LABELS.isdisjoint(node.labels)
    )
    for service in repository.services if nodes else ():
        if service.external_traffic_policy == "Local" and not service.health_check_node_port:
            having = {node for _, node in repository.endpoints_of(service) if node}
            lacking = [name for name in nodes if name not in having]
            if having and lacking:
                message = _dropping(service, lacking)
                path = ("spec", "externalTrafficPolicy")
                yield checks.NO_LOCAL_ENDPOINT, service, path, message


def _dropping(service: Service, lacking: list[str]) -> str:
    shown = list_some(lacking, MOST_NAMED)
    nodes = f"Nodes {shown} have" if len(lacking) > 1 else f"Node {shown} has"
    ask = ""
    if service.type == "LoadBalancer":
        ask = ", unless the load balancer asks healthCheckNodePort"
    return f"{nodes} no endpoint of it, and what comes there from outside is dropped{ask}"


def affinity_without_choice(repository: Repository) -> Iterator[Remark]:
    """Yield Services with session affinity that have one endpoint, and nothing adds others."""
    for service in () if repository.is_scaled else repository.services:
        if service.session_affinity != "None" and service.has_rules and not service.is_headless:
            backends = _backends(service, repository)
            if backends == 1:
                message = "has no effect: the Service has one endpoint"
                yield checks.SINGLE_ENDPOINT, service, ("spec", "sessionAffinity"), message


def _backends(service: Service, repository: Repository) -> int:
    """Return how many endpoints a client can get, in the family that has most."""
    families: dict[str, set[str]] = {}
    for item in repository.slices_of(service):
        found = families.setdefault(item.address_type, set())
        found.update(each.addresses[0] for each in item.endpoints if each.addresses)
    return max(map(len, families.values()), default=0)
