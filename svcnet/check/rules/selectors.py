"""Selectors that find nothing, and what they nearly find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from svcnet import checks
from svcnet.check.repository import Repository
from svcnet.check.rule import Remark
from svcnet.check.similarity import Miss, nearest_labels
from svcnet.discovery.endpoints import has_selector
from svcnet.models import Pod, Service

MOST_COMPARED = 30_000
"""So many sets of labels are compared with selectors; what is left is told without a hint."""


def selectors_without_pods(repository: Repository) -> Iterator[Remark]:
    """Yield Services whose selector finds no Pod.

    Where none of the Pods of a namespace is known, or an operator may make others, nothing is said
    but of a selector that some Pod almost matches; nor of Pods that a workload does not make now.
    """
    left = MOST_COMPARED
    for service in repository.services:
        if has_selector(service) and not repository.pods_of(service):
            own = repository.distinct_pods.get(service.namespace, ()) if left > 0 else ()
            left -= len(own)
            waits = next(repository.workloads_of(service), None) is not None
            message = "" if waits else _message(service, own, repository)
            if message:
                yield checks.NO_POD, service, ("spec", "selector"), message


def _message(service: Service, own: Sequence[Pod], repository: Repository) -> str:
    near = nearest_labels(service.selector, own)
    if near is not None and (repository.knows_all_pods or not near[1].is_other):
        return f"finds no Pod; {repository.name_of(near[0])} almost matches: {_difference(near[1])}"
    elsewhere = next(repository.pods_elsewhere(service), None)
    if elsewhere is not None and repository.knows_all_pods:
        name = repository.name_of(elsewhere)
        return f"finds no Pod; {name} has these labels, in namespace {elsewhere.namespace}"
    has_pods = service.namespace in repository.pods_by_namespace
    return "finds no Pod" if has_pods and repository.knows_all_pods else ""


def _difference(miss: Miss) -> str:
    has = f"it has {_pairs(miss.has)}" if miss.has else "it has no such label as"
    return f"{has}, not {_pairs(miss.wanted)}" if miss.has else f"{has} {_pairs(miss.wanted)}"


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{key}={value}" for key, value in pairs)
