"""What a Service says that has another effect than it seems to have."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet import checks
from svcnet.check.repository import Repository
from svcnet.check.rule import Remark
from svcnet.discovery.dns.names import is_ip
from svcnet.family import family_of
from svcnet.models import StatefulSet

LONGEST_LABEL = 63
"""RFC 1035, 2.3.4."""


def aliases_of_addresses(repository: Repository) -> Iterator[Remark]:
    """Yield Services of type ExternalName whose name is an IP address."""
    for service in repository.services:
        if service.type == "ExternalName" and is_ip(service.external_name):
            message = (
                f"{service.external_name} is an address: DNS has no alias of it, "
                "and the name does not exist"
            )
            yield checks.ALIAS_OF_ADDRESS, service, ("spec", "externalName"), message


def aliases_with_ports(repository: Repository) -> Iterator[Remark]:
    """Yield ports of Services of type ExternalName, unless something else may refer to them."""
    for service in () if repository.has_routes else repository.services:
        if service.type == "ExternalName" and service.ports:
            targets = [port for port in service.ports if port.target_port not in (0, port.port)]
            what = "ports of the alias are for nobody"
            if targets:
                port = targets[0]
                what = f"nothing leads from port {port.port} to {port.target_port}"
            message = f"have no effect: {what}, clients use the port that they know"
            yield checks.ALIAS_PORT, service, ("spec", "ports"), message


def long_labels(repository: Repository) -> Iterator[Remark]:
    """Yield names that are taken by the API server and do not fit into DNS."""
    yield from long_hostnames(repository)
    for service in repository.services:
        for label in service.external_name.split("."):
            if len(label) > LONGEST_LABEL:
                message = f"{label} has {len(label)} letters: no name in DNS has such a part"
                yield checks.LONG_LABEL, service, ("spec", "externalName"), message


def long_hostnames(repository: Repository) -> Iterator[Remark]:
    """Yield StatefulSets whose Pods have names that do not fit into DNS."""
    for workload in repository.workloads:
        if isinstance(workload, StatefulSet) and workload.replicas:
            name = f"{workload.name}-{workload.first + workload.replicas - 1}"
            if len(name) > LONGEST_LABEL:
                message = (
                    f"a Pod is {name}, of {len(name)} letters: its host name is cut, "
                    "and nobody finds it by the name of the Pod"
                )
                yield checks.LONG_LABEL, workload, ("metadata", "name"), message


def unready_traffic(repository: Repository) -> Iterator[Remark]:
    """Yield Services with a virtual IP that count unready Pods as ready."""
    for service in repository.services:
        if service.publish_not_ready_addresses and service.has_rules and not service.is_headless:
            message = "sends what comes to the Service to Pods that are not ready, too"
            path = ("spec", "publishNotReadyAddresses")
            yield checks.UNREADY_TRAFFIC, service, path, message


def foreign_ranges(repository: Repository) -> Iterator[Remark]:
    """Yield source ranges none of which is of an IP family that the Service has."""
    for service in repository.services:
        ranges = service.load_balancer_source_ranges
        families = {family_of(cidr) for cidr in ranges}
        own = service.ip_families
        # With addresses of a load balancer it is open-address that says so.
        balanced = (service.namespace, service.name) in repository.balanced
        if ranges and own and families.isdisjoint(own) and not balanced:
            message = (
                f"has ranges of {families.pop()} alone, and the Service is of {own[0]}: "
                "it is open to everybody"
            )
            yield checks.FOREIGN_RANGE, service, ("spec", "loadBalancerSourceRanges"), message


def single_stack(repository: Repository) -> Iterator[Remark]:
    """Yield Services that say nothing of IP families in a cluster that surely has both."""
    for service in repository.services if repository.is_dual_stack else ():
        is_alone = service.is_headless and not service.selector
        is_open = not service.ip_family_policy and len(service.ip_families) < 2
        if is_open and service.type != "ExternalName" and not is_alone:
            only = f" of {service.ip_families[0]}" if service.ip_families else ""
            message = (
                f"is not set: the Service is{only} alone, though the cluster has both families"
            )
            yield checks.SINGLE_STACK, service, ("spec", "ipFamilyPolicy"), message
