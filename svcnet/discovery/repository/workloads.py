"""The Pods of workloads, as their controllers name, number and label them.

Sources: pkg/controller/{deployment,replicaset,statefulset,daemon,job,cronjob} of Kubernetes v1.36.
Where a controller or the API server adds letters by chance, or a hash of a template, the letters
follow here from names alone: they are the same whatever else there is, and when an image changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import evolve, field, frozen

from svcnet.discovery.repository.scheduling import find_nodes
from svcnet.discovery.suffix import letters
from svcnet.labels import JOB_INDEX_LABEL, JOB_NAME_LABELS, POD_INDEX_LABEL, POD_NAME_LABEL
from svcnet.models import (
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    Node,
    Pod,
    StatefulSet,
    Workload,
)
from svcnet.slots import number_of

MAX_PREFIX = 58
"""How much of a name comes before the five letters that an API server adds."""

MAX_NAME = 253
HASH_LETTERS = 10
HASH_LABEL = "pod-template-hash"
REVISION_LABEL = "controller-revision-hash"
GENERATION_LABEL = "pod-template-generation"

MINUTES = 29_000_000, 1_000_000
"""A CronJob's Job is named after the minute for which it was scheduled: such a number."""


@frozen
class _Identity:
    """What tells a Pod from others of its workload; no ``subdomain`` means that of the template."""

    name: str
    labels: Mapping[str, str] = field(factory=dict)
    hostname: str = ""
    subdomain: str | None = None


def pods_of(workload: Workload, nodes: Sequence[Node], *, ready: bool) -> Iterator[Pod]:
    """Yield the Pods of a workload, without addresses, all of them ready or none.

    Where there are `nodes` each Pod is on one that admits it; one that none admits waits. Without
    any a DaemonSet has one Pod, as on one Node, of which nothing is known.
    """
    if isinstance(workload, DaemonSet):
        on = find_nodes(workload.template, nodes, is_daemon=True)
        places = [node.name for node in on] if nodes else [workload.template.node_name]
        for name, node in zip(_choose_names(workload, places), places, strict=True):
            yield _pod(workload, _Identity(name, _revision(workload)), node, ready=ready)
        return
    on = find_nodes(workload.template, nodes)
    start = number_of(_words(workload))
    for index, identity in enumerate(_identities(workload)):
        if not nodes:
            yield _pod(workload, identity, workload.template.node_name, ready=ready)
        elif on:
            yield _pod(workload, identity, on[(start + index) % len(on)].name, ready=ready)
        else:
            waiting = _pod(workload, identity, "", ready=False)
            yield evolve(waiting, phase="Pending")


def _pod(workload: Workload, identity: _Identity, node: str, *, ready: bool) -> Pod:
    template = workload.template
    subdomain = template.subdomain if identity.subdomain is None else identity.subdomain
    return Pod(
        namespace=workload.namespace,
        name=identity.name,
        labels={**template.labels, **identity.labels},
        node_name=node,
        phase="Running",
        hostname=identity.hostname or template.hostname,
        subdomain=subdomain,
        ready=ready,
        enable_service_links=template.enable_service_links,
        containers=template.containers,
        init_containers=template.init_containers,
    )


def _identities(workload: Workload) -> Iterator[_Identity]:
    """Yield who the Pods of a workload are that is no DaemonSet."""
    match workload:
        case StatefulSet():
            yield from _number_pods(workload)
        case Job():
            yield from _of_job(workload)
        case Deployment():
            hashed = _hash(workload)
            stem = f"{workload.name[: MAX_NAME - HASH_LETTERS - 1]}-{hashed}"
            for name in _choose_names(workload, _numbers(workload), stem):
                yield _Identity(name, {HASH_LABEL: hashed})
        case _:
            yield from map(_Identity, _choose_names(workload, _numbers(workload)))


def _number_pods(workload: StatefulSet) -> Iterator[_Identity]:
    revision = _revision(workload)
    for ordinal in range(workload.first, workload.first + workload.replicas):
        name = f"{workload.name}-{ordinal}"
        labels = {POD_NAME_LABEL: name, POD_INDEX_LABEL: str(ordinal), **revision}
        yield _Identity(name, labels, name, workload.service_name)


def _of_job(workload: Job) -> Iterator[_Identity]:
    name = workload.name
    if isinstance(workload, CronJob):
        # The Job of a CronJob is named after the minute for which it was scheduled.
        first, spread = MINUTES
        name = f"{name}-{first + number_of(_words(workload)) % spread}"
    labels = dict.fromkeys(JOB_NAME_LABELS, name)
    if not workload.indexed:
        for chosen in _choose_names(workload, _numbers(workload), name):
            yield _Identity(chosen, labels)
        return
    for index in _numbers(workload):
        ending = f"-{index}"
        stem = f"{name[: MAX_PREFIX - len(ending) - 1]}{ending}"
        (chosen,) = _choose_names(workload, [index], stem)
        own = {**labels, JOB_INDEX_LABEL: index}
        yield _Identity(chosen, own, f"{name}{ending}")


def _numbers(workload: Workload) -> list[str]:
    return [str(index) for index in range(workload.replicas)]


def _choose_names(
    workload: Workload, members: Iterable[str], stem: str | None = None
) -> Iterator[str]:
    """Yield a name for each member of a workload: a stem and five letters, each once."""
    prefix = f"{stem or workload.name}-"[:MAX_PREFIX]
    taken: set[str] = set()
    for member in members:
        number = number_of((*_words(workload), member))
        while (name := prefix + letters(number)) in taken:
            number += 1
        taken.add(name)
        yield name


def _revision(workload: Workload) -> dict[str, str]:
    hashed = _hash(workload)
    if isinstance(workload, DaemonSet):
        return {REVISION_LABEL: hashed, GENERATION_LABEL: "1"}
    return {REVISION_LABEL: f"{workload.name}-{hashed}"}


def _hash(workload: Workload) -> str:
    return letters(number_of(_words(workload)), HASH_LETTERS)


def _words(workload: Workload) -> tuple[str, ...]:
    return workload.kind, workload.namespace, workload.name
