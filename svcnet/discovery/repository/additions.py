"""What was added to objects that no cluster has seen, and what is to be said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from attrs import field, frozen

from svcnet import checks
from svcnet.checks import Check
from svcnet.discovery.repository.assumptions import Network
from svcnet.models import ClusterState, Job, NamespacedName, Node, Pod, Workload
from svcnet.words import count_noun

MAX_PODS = 150_000
"""So many Pods Kubernetes is made for."""

Remark = tuple[Check, Workload, tuple[str | int, ...], str]
"""A check, a workload, the path of a field in it, and what to say of it."""


@frozen
class Allocation:
    """What Services were given, counted, and the ranges of their cluster IPs."""

    services: int = 0
    node_ports: int = 0
    health_ports: int = 0
    balancers: int = 0
    networks: tuple[Network, ...] = ()


@frozen
class Additions:
    """A state with what was assumed, and what that is.

    ``owners`` are the workloads of the Pods that were made; of ``idle`` ones none were. ``pods``
    are the Pods that got an address, ``given`` is what Services got.
    """

    state: ClusterState
    owners: Mapping[NamespacedName, Workload] = field(factory=dict, repr=False)
    idle: tuple[Workload, ...] = field(default=(), repr=False)
    pods: tuple[Pod, ...] = field(default=(), repr=False)
    nodes: tuple[Node, ...] = ()
    given: Allocation = field(factory=Allocation)

    def without_pods(self) -> Counter[str]:
        """Return how many workloads of each kind have no Pods in a state that has some."""
        if not self.state.pods:
            return Counter()
        from svcnet.discovery.repository.index import PodIndex

        known = PodIndex.of(self.state.pods.values())
        return Counter(each.kind for each in self.idle if each.replicas and not known.has(each))

    def remarks(self) -> Iterator[Remark]:
        """Yield what is to be said of workloads whose Pods are none, or wait for ever."""
        for workload in self.idle:
            if workload.replicas > MAX_PODS:
                pods = count_noun(workload.replicas, "Pod")
                message = f"asks for {pods}: at most {MAX_PODS:,} are made"
                key = "parallelism" if isinstance(workload, Job) else "replicas"
                yield checks.TOO_MANY_ENTRIES, workload, ("spec", key), message
        told: set[int] = set()
        for pod in self.pods:
            owner = self.owners.get(name_of(pod))
            if pod.phase == "Pending" and owner is not None and id(owner) not in told:
                told.add(id(owner))
                where = ("spec", "template", "spec")
                yield checks.NO_ADMISSION, owner, where, "no Node admits its Pods, so they wait"


def sort_workloads(workloads: Iterable[Workload]) -> tuple[Workload, ...]:
    """Return workloads in one order, whatever order they are read in."""
    return tuple(sorted(workloads, key=lambda each: (each.namespace, each.kind, each.name)))


def name_of(pod: Pod) -> NamespacedName:
    """Return by which name a state has a Pod."""
    return NamespacedName(pod.namespace, pod.name)
