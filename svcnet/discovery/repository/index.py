"""Which workloads have Pods, without a look at each Pod for each workload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from svcnet.models import Pod, Workload

Pair = tuple[str, str, str]
"""A namespace, and key and value of a label."""


@frozen
class PodIndex:
    """Pods by each of their labels, and by namespace."""

    by_pair: Mapping[Pair, Sequence[Pod]]
    by_namespace: Mapping[str, Sequence[Pod]]

    @classmethod
    def of(cls, pods: Iterable[Pod]) -> PodIndex:
        """Return the index of Pods."""
        by_pair: dict[Pair, list[Pod]] = {}
        by_namespace: dict[str, list[Pod]] = {}
        for pod in pods:
            by_namespace.setdefault(pod.namespace, []).append(pod)
            for key, value in pod.labels.items():
                by_pair.setdefault((pod.namespace, key, value), []).append(pod)
        return cls(by_pair, by_namespace)

    def has(self, workload: Workload) -> bool:
        """Return whether there are Pods that are a workload's."""
        having = [
            self.by_pair.get((workload.namespace, key, value), ())
            for key, value in workload.selector.match_labels.items()
        ]
        few = min(having or [self.by_namespace.get(workload.namespace, ())], key=len)
        return any(workload.selector.is_met(pod.labels) for pod in few)
