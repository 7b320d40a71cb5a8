"""Selectors that find nothing, and what they nearly find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from svcnet import checks
from svcnet.check.repository import Repository
from svcnet.check.rule import Remark
from svcnet.check.similarity import Miss, nearest_labels
from svcnet.discovery.endpoints import has_selector
from svcnet.discovery.endpoints.pods import matches
from svcnet.models import Pod, Service


def selectors_without_pods(repository: Repository) -> Iterator[Remark]:
    """Yield Services whose selector finds no Pod.

    Where none of the Pods of a namespace is known, or an operator may make others, nothing is said
    but of a selector that some Pod almost matches.
    """
    for service in repository.services:
        if (
            has_selector(service)
            and not repository.pods_of(service)
            and not _waits(service, repository)
        ):
            message = _message(service, repository)
            if message:
                yield checks.NO_POD, service, ("spec", "selector"), message


def _waits(service: Service, repository: Repository) -> bool:
    """Return whether a workload would make Pods that are found, and makes none now."""
    return any(
        workload.namespace == service.namespace
        and service.selector.items() <= workload.template.labels.items()
        for workload in repository.state.workloads.values()
    )


def _message(service: Service, repository: Repository) -> str:
    own = repository.pods_by_namespace.get(service.namespace, ())
    near = nearest_labels(service.selector, own)
    if near is not None and (repository.knows_all_pods or not near[1].is_other):
        return f"finds no Pod; {repository.name_of(near[0])} almost matches: {_difference(near[1])}"
    elsewhere = _elsewhere(service.selector, service.namespace, repository)
    if elsewhere is not None and repository.knows_all_pods:
        name = repository.name_of(elsewhere)
        return f"finds no Pod; {name} has these labels, in namespace {elsewhere.namespace}"
    return "finds no Pod" if own and repository.knows_all_pods else ""


def _difference(miss: Miss) -> str:
    has = f"it has {_pairs(miss.has)}" if miss.has else "it has no such label as"
    return f"{has}, not {_pairs(miss.wanted)}" if miss.has else f"{has} {_pairs(miss.wanted)}"


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{key}={value}" for key, value in pairs)


def _elsewhere(selector: Mapping[str, str], namespace: str, repository: Repository) -> Pod | None:
    for name, pods in repository.pods_by_namespace.items():
        if name != namespace:
            for pod in pods:
                if matches(selector, pod):
                    return pod
    return None
