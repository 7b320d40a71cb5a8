"""Names that mean two things: in DNS, and in the variables that containers get."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet import checks
from svcnet.check.environments import LINUX
from svcnet.check.repository import Repository
from svcnet.check.rule import Remark
from svcnet.checks import Check
from svcnet.discovery.environment import size_of
from svcnet.models import NamespacedName, Service, StatefulSet


def shadowed_namespaces(repository: Repository) -> Iterator[Remark]:
    """Yield headless Services with the name of another namespace that has Services.

    A Pod of the Service's namespace looks for ``db.shop`` below its own namespace first, as the
    endpoint ``db`` of the Service ``shop``.
    """
    by_namespace: dict[str, set[str]] = {}
    for key in repository.state.services:
        by_namespace.setdefault(key.namespace, set()).add(key.name)
    for service in repository.services:
        others = by_namespace.get(service.name)
        if others and service.is_headless and service.name != service.namespace:
            hosts = {each for each in _hostnames(service, repository) if each in others}
            name = f"{min(hosts or others)}.{service.name}"
            what = "is an endpoint of this Service" if hosts else "is looked for below this Service"
            message = (
                f"is the name of a namespace too: from {service.namespace}, {name} {what} "
                f"before it is a Service of namespace {service.name}"
            )
            yield checks.SHADOWED_NAMESPACE, service, ("metadata", "name"), message


def _hostnames(service: Service, repository: Repository) -> Iterator[str]:
    for item in repository.slices_of(service):
        for endpoint in item.endpoints:
            if endpoint.hostname:
                yield endpoint.hostname


def pods_without_names(repository: Repository) -> Iterator[Remark]:
    """Yield StatefulSets whose serviceName is not that of the headless Service of their Pods.

    Where no such Service is in the input, it may be in another one, and nothing is said.
    """
    for workload in repository.workloads:
        if not isinstance(workload, StatefulSet) or not workload.service_name:
            continue
        key = NamespacedName(workload.namespace, workload.service_name)
        if key not in repository.state.services:
            meant = next(repository.headless_of(workload), None)
            if meant is not None:
                message = (
                    f"there is no Service {workload.service_name}, so the Pods have no names in "
                    f"DNS; {meant.name} is headless, and selects them"
                )
                yield checks.NO_GOVERNING_SERVICE, workload, ("spec", "serviceName"), message


def variable_conflicts(repository: Repository) -> Iterator[Remark]:
    """Yield Services that set a variable which another Service of the namespace sets too."""
    return _name_remarks(repository, checks.VARIABLE_CONFLICT)


def unreadable_variables(repository: Repository) -> Iterator[Remark]:
    """Yield Services that set variables which no shell can read."""
    return _name_remarks(repository, checks.UNREADABLE_VARIABLE)


def _name_remarks(repository: Repository, check: Check) -> Iterator[Remark]:
    for found in repository.environments:
        for remark in found.remarks():
            if remark.check is check:
                service = repository.state.services[remark.service]
                yield check, service, ("metadata", "name"), remark.message


def large_environments(repository: Repository) -> Iterator[Remark]:
    """Yield the first Service of a namespace whose variables are too many for a process."""
    for found in repository.environments:
        own = [each for each in found.variables if each.origin.namespace == found.namespace]
        for text in size_of({each.name: each.value for each in found.variables}, LINUX).warnings(
            LINUX
        ):
            first = min(each.origin for each in own)
            message = f"in namespace {found.namespace} {text}"
            yield checks.ENVIRONMENT_SIZE, repository.state.services[first], (), message
