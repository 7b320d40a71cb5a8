"""Documents of workloads to models: what makes Pods, and how many.

Source of the rules: ``ValidateDeploymentSpec``, ``ValidateStatefulSetSpec``,
``ValidateDaemonSetSpec`` and ``ValidateReplicaSetSpec`` in pkg/apis/apps/validation, those of Jobs
in pkg/apis/batch/validation, ``ValidateLabelSelector`` in k8s.io/apimachinery, and the defaults in
pkg/apis/apps/v1 and pkg/apis/batch/v1; Kubernetes v1.36. Of the Pods of a template as much is
judged as of a Pod.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from svcnet import checks
from svcnet.models.workload import (
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    LabelRequirement,
    LabelSelector,
    NodeTerm,
    PodTemplate,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
    Toleration,
    Workload,
)
from svcnet.sources.fields import MAX_INT32, Fields, quote_value
from svcnet.sources.labels import LABEL_KEY, LABEL_VALUE, is_label_key, is_label_value
from svcnet.sources.metadata import read_labels
from svcnet.sources.nodes import EFFECTS
from svcnet.sources.pods import read_containers

APPS = ("extensions/v1beta1", "apps/v1beta1", "apps/v1beta2")
OLD_VERSIONS: Mapping[str, tuple[str, ...]] = {
    "Deployment": APPS,
    "ReplicaSet": APPS,
    "DaemonSet": APPS,
    "StatefulSet": APPS,
    "CronJob": ("batch/v1beta1", "batch/v2alpha1"),
}
"""Versions in which people still keep workloads, which mean the same, and no server takes."""

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
NODE_OPERATORS = (*OPERATORS, "Gt", "Lt")
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def read_workload(document: Fields, kind: str, namespace: str, name: str) -> Workload:
    """Return the workload that `document` describes; what is wrong becomes a finding."""
    return _READERS[kind](document.mapping("spec"), _read_metadata(document, namespace, name))


def _read_metadata(document: Fields, namespace: str, name: str) -> dict[str, Any]:
    labels = read_labels(document.mapping("metadata"))
    return {"namespace": namespace, "name": name, "labels": labels}


def _deployment(spec: Fields, known: dict[str, Any]) -> Workload:
    return Deployment(replicas=_replicas(spec), **_read_selection(spec), **known)


def _replica_set(spec: Fields, known: dict[str, Any]) -> Workload:
    return ReplicaSet(replicas=_replicas(spec), **_read_selection(spec), **known)


def _replication_controller(spec: Fields, known: dict[str, Any]) -> Workload:
    template = _template(spec)
    selector = read_labels(spec, "selector") or template.labels
    _check_labels(spec, LabelSelector(selector), template)
    return ReplicationController(
        replicas=_replicas(spec), selector=LabelSelector(selector), template=template, **known
    )


def _stateful_set(spec: Fields, known: dict[str, Any]) -> Workload:
    return StatefulSet(
        replicas=_replicas(spec),
        service_name=spec.string("serviceName"),
        first=spec.mapping("ordinals").integer("start", 0, MAX_INT32),
        **_read_selection(spec),
        **known,
    )


def _daemon_set(spec: Fields, known: dict[str, Any]) -> Workload:
    return DaemonSet(replicas=0, **_read_selection(spec), **known)


def _job(spec: Fields, known: dict[str, Any]) -> Workload:
    return Job(**_of_job(spec), **known)


def _cron_job(spec: Fields, known: dict[str, Any]) -> Workload:
    found = _of_job(spec.mapping("jobTemplate").mapping("spec"))
    if spec.boolean("suspend", False):
        found["replicas"] = 0
    return CronJob(**found, **known)


_READERS: Mapping[str, Callable[[Fields, dict[str, Any]], Workload]] = {
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "ReplicationController": _replication_controller,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
}


def _replicas(spec: Fields) -> int:
    return spec.integer("replicas", 0, MAX_INT32, 1)


def _of_job(spec: Fields) -> dict[str, Any]:
    """Return what Jobs have: so many Pods run at once, and no more than are left to complete."""
    running = spec.integer("parallelism", 0, MAX_INT32, 1)
    if spec.data.get("completions") is not None:
        running = min(running, spec.integer("completions", 0, MAX_INT32, 1))
    template = _template(spec)
    # The controller gives a Job a selector of its own, by its uid.
    selector = _label_selector(spec.mapping("selector")) if spec.data.get("selector") else None
    return {
        "replicas": 0 if spec.boolean("suspend", False) else running,
        "selector": selector or LabelSelector(template.labels),
        "template": template,
        "indexed": spec.choice("completionMode", ("NonIndexed", "Indexed"), "") == "Indexed",
    }


def _read_selection(spec: Fields) -> dict[str, Any]:
    """Return the selector and the template of Pods, whose labels it has to find.

    The versions of old, which had a default, are taken for what they were.
    """
    template = _template(spec)
    if spec.data.get("selector") is None:
        if spec.place.is_old:
            return {"selector": LabelSelector(template.labels), "template": template}
        spec.error(checks.REQUIRED, "selector", "is required")
        return {"template": template}
    selector = _label_selector(spec.mapping("selector"))
    _check_labels(spec, selector, template)
    return {"selector": selector, "template": template}


def _check_labels(spec: Fields, selector: LabelSelector, template: PodTemplate) -> None:
    if not selector.is_met(template.labels):
        message = "are not those that spec.selector finds"
        spec.error_at(checks.TEMPLATE_LABELS, ("template", "metadata", "labels"), message)


def _label_selector(selector: Fields) -> LabelSelector:
    return LabelSelector(
        read_labels(selector, "matchLabels"),
        tuple(_requirements(selector, "matchExpressions", OPERATORS)),
    )


def _requirements(
    fields: Fields, key: str, operators: tuple[str, ...]
) -> Iterator[LabelRequirement]:
    for item in fields.mappings(key):
        name = item.string("key")
        if not is_label_key(name) and isinstance(item.data.get("key"), str | None):
            item.error(checks.LABEL, "key", f"{LABEL_KEY}; not {quote_value(name)}")
        operator = item.choice("operator", operators, "")
        if not operator and item.data.get("operator") in (None, ""):
            item.error(checks.REQUIRED, "operator", "is required")
        values = tuple(text for _, text in item.strings("values"))
        _check_values(item, operator, values)
        if operator:
            yield LabelRequirement(name, operator, values)


def _check_values(item: Fields, operator: str, values: tuple[str, ...]) -> None:
    if operator in ("In", "NotIn") and not values:
        item.error(checks.REQUIRED, "values", f"is required with operator {operator}")
    elif operator in ("Exists", "DoesNotExist") and values:
        item.error(checks.MISPLACED_FIELD, "values", f"may not be given with operator {operator}")
    elif operator in ("Gt", "Lt") and len(values) != 1:
        item.error(checks.REQUIRED, "values", f"must be one number with operator {operator}")
    for index, text in enumerate(values):
        if not is_label_value(text):
            item.error_at(
                checks.LABEL, ("values", index), f"{LABEL_VALUE}; not {quote_value(text)}"
            )


def _template(spec: Fields) -> PodTemplate:
    if spec.data.get("template") is None:
        spec.error(checks.REQUIRED, "template", "is required")
        return PodTemplate()
    template = spec.mapping("template")
    pod = template.mapping("spec")
    containers, init_containers = read_containers(pod)
    return PodTemplate(
        labels=read_labels(template.mapping("metadata")),
        containers=containers,
        init_containers=init_containers,
        hostname=pod.optional_name("hostname", "label"),
        subdomain=pod.optional_name("subdomain", "label"),
        host_network=pod.boolean("hostNetwork", False),
        enable_service_links=pod.boolean("enableServiceLinks", True),
        node_name=pod.optional_name("nodeName", "subdomain"),
        node_selector=read_labels(pod, "nodeSelector"),
        node_terms=_node_terms(pod),
        tolerations=tuple(_tolerations(pod)),
    )


def _node_terms(pod: Fields) -> tuple[NodeTerm, ...] | None:
    """Return what is required of a Node by affinity, None where nothing is."""
    affinity = pod.mapping("affinity").mapping("nodeAffinity")
    if affinity.data.get(REQUIRED) is None:
        return None
    return tuple(
        NodeTerm(
            tuple(_requirements(term, "matchExpressions", NODE_OPERATORS)),
            tuple(_requirements(term, "matchFields", OPERATORS)),
        )
        for term in affinity.mapping(REQUIRED).mappings("nodeSelectorTerms")
    )


def _tolerations(pod: Fields) -> Iterator[Toleration]:
    for item in pod.mappings("tolerations"):
        yield Toleration(
            key=item.string("key"),
            operator=item.choice("operator", ("Exists", "Equal"), "Equal"),
            value=item.string("value"),
            effect=item.choice("effect", EFFECTS, ""),
        )
