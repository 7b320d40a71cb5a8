"""What Kubernetes calls deprecated, with what took its place."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet import checks
from svcnet.check.repository import Repository
from svcnet.check.rule import Remark
from svcnet.labels import (
    ENDPOINTS_MANAGED_BY_LABEL,
    HINTS_ANNOTATION,
    LEADER_ANNOTATION,
    OLD_HINTS_ANNOTATION,
)
from svcnet.models import Endpoints, NamespacedName

API_SERVER = NamespacedName("default", "kubernetes")


def old_distributions(repository: Repository) -> Iterator[Remark]:
    """Yield Services with the old name of a traffic distribution."""
    for service in repository.services:
        if service.traffic_distribution == "PreferClose":
            message = "PreferClose is deprecated; PreferSameZone is its name since Kubernetes 1.34"
            yield checks.OLD_DISTRIBUTION, service, ("spec", "trafficDistribution"), message


def old_topology(repository: Repository) -> Iterator[Remark]:
    """Yield Services with the old annotation for topology."""
    for service in repository.services:
        if OLD_HINTS_ANNOTATION in service.annotations:
            message = f"is deprecated; {HINTS_ANNOTATION} took its place"
            path = ("metadata", "annotations", OLD_HINTS_ANNOTATION)
            yield checks.OLD_TOPOLOGY, service, path, message


def old_external_ips(repository: Repository) -> Iterator[Remark]:
    """Yield Services with external IPs that have an effect."""
    for service in repository.services:
        if service.external_ips and not service.is_headless and service.type != "ExternalName":
            message = "is deprecated, and a cluster need not heed it; type LoadBalancer stays"
            yield checks.OLD_EXTERNAL_IPS, service, ("spec", "externalIPs"), message


def old_endpoints(repository: Repository) -> Iterator[Remark]:
    """Yield Endpoints that somebody wrote.

    Those that a controller made, a lock's, and those of the API server itself are not meant.
    """
    for item in repository.objects:
        if isinstance(item, Endpoints) and _is_by_hand(item, repository):
            message = "is deprecated since Kubernetes 1.33; an EndpointSlice has the same endpoints"
            yield checks.OLD_ENDPOINTS, item, (), message


def _is_by_hand(item: Endpoints, repository: Repository) -> bool:
    name = NamespacedName(item.namespace, item.name)
    service = repository.state.services.get(name)
    made = ENDPOINTS_MANAGED_BY_LABEL in item.labels or LEADER_ANNOTATION in item.annotations
    return service is not None and not service.selector and not made and name != API_SERVER
