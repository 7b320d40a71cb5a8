"""Workloads, which make Pods (apps/v1, batch/v1, core/v1), as far as Services depend on these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.models.node import Taint, TaintEffect
from svcnet.models.pod import Container

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]


@frozen(repr=False)
class LabelRequirement(Brief):
    """What a selector asks of the label of one key; ``Gt`` and ``Lt`` are asked of Nodes alone."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def is_met(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels are as is asked; a label that is not there is in no list."""
        value = labels.get(self.key)
        match self.operator:
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
        return value is not None and self._is_beyond(value)

    def _is_beyond(self, value: str) -> bool:
        try:
            found, bound = int(value), int(self.values[0])
        except (ValueError, IndexError):
            return False
        return found > bound if self.operator == "Gt" else found < bound


@frozen(repr=False)
class LabelSelector(Brief):
    """A selector of a workload; one that asks for nothing finds all."""

    match_labels: Mapping[str, str] = field(factory=dict)
    match_expressions: tuple[LabelRequirement, ...] = ()

    def is_met(self, labels: Mapping[str, str]) -> bool:
        """Return whether something with these labels is found."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.is_met(labels) for requirement in self.match_expressions
        )


@frozen(repr=False)
class NodeTerm(Brief):
    """What is asked of a Node, all at once: of its labels, and of its fields, such as its name."""

    labels: tuple[LabelRequirement, ...] = ()
    fields: tuple[LabelRequirement, ...] = ()


@frozen(repr=False)
class Toleration(Brief):
    """A taint that a Pod bears: of any key and effect, where these are empty."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: TaintEffect | Literal[""] = ""

    def bears(self, taint: Taint) -> bool:
        """Return whether a Pod with this toleration may be where this taint is."""
        if self.key not in ("", taint.key) or self.effect not in ("", taint.effect):
            return False
        return self.operator == "Exists" or (bool(self.key) and self.value == taint.value)


@frozen(repr=False)
class PodTemplate(Brief):
    """What all Pods of a workload have in common.

    ``node_terms`` are of the node affinity that is required: a Node has to be as one of them asks.
    They are None where nothing is required.
    """

    labels: Mapping[str, str] = field(factory=dict)
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    hostname: str = ""
    subdomain: str = ""
    host_network: bool = False
    enable_service_links: bool = True
    node_name: str = ""
    node_selector: Mapping[str, str] = field(factory=dict)
    node_terms: tuple[NodeTerm, ...] | None = None
    tolerations: tuple[Toleration, ...] = ()


@frozen(repr=False)
class Workload(Brief):
    """What makes Pods; each kind is a class of its own.

    ``replicas`` are how many Pods run at once, with the API server's defaults. A DaemonSet has
    none of its own: they are as many as there are Nodes for them.
    """

    namespace: str
    name: str
    replicas: int = 1
    selector: LabelSelector = field(factory=LabelSelector)
    template: PodTemplate = field(factory=PodTemplate)
    labels: Mapping[str, str] = field(factory=dict)

    @property
    def kind(self) -> str:
        """The kind of the object, such as ``Deployment``."""
        return type(self).__name__


class Deployment(Workload):
    """A Deployment: its Pods are those of its newest ReplicaSet."""

    __slots__ = ()


class ReplicaSet(Workload):
    """A ReplicaSet."""

    __slots__ = ()


class ReplicationController(Workload):
    """A ReplicationController, the older ReplicaSet."""

    __slots__ = ()


@frozen(repr=False)
class StatefulSet(Workload):
    """A StatefulSet: its Pods are numbered, from ``first``, and named below ``service_name``."""

    service_name: str = ""
    first: int = 0


class DaemonSet(Workload):
    """A DaemonSet: a Pod on each Node that admits it."""

    __slots__ = ()


@frozen(repr=False)
class Job(Workload):
    """A Job while it runs; with ``indexed`` its Pods are numbered."""

    indexed: bool = False


class CronJob(Job):
    """A CronJob while a Job of it runs."""

    __slots__ = ()
