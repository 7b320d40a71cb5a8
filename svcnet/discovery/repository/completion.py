"""What a cluster would make of objects that were never in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import define, evolve, field, frozen

from svcnet import checks
from svcnet.checks import Check
from svcnet.discovery.endpoints import has_selector, with_slices
from svcnet.discovery.repository.addresses import with_addresses
from svcnet.discovery.repository.assumptions import Assumptions
from svcnet.discovery.repository.index import PodIndex
from svcnet.discovery.repository.nodes import nodes_of
from svcnet.discovery.repository.services import Allocation, with_allocations
from svcnet.discovery.repository.workloads import pods_of
from svcnet.errors import UsageError
from svcnet.family import IP_FAMILIES, IPFamily, family_of
from svcnet.models import ClusterState, Job, NamespacedName, Node, Pod, Workload
from svcnet.nogc import without_gc
from svcnet.slots import number_of

MAX_PODS = 150_000
"""So many Pods Kubernetes is made for."""

Remark = tuple[Check, Workload, tuple[str | int, ...], str]
"""A check, a workload, the path of a field in it, and what to say of it."""


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
        known = PodIndex.of(self.state.pods.values())
        return Counter(each.kind for each in self.idle if each.replicas and not known.has(each))

    def remarks(self) -> Iterator[Remark]:
        """Yield what is to be said of workloads whose Pods are none, or wait for ever."""
        for workload in self.idle:
            if workload.replicas > MAX_PODS:
                message = f"asks for {workload.replicas:,} Pods: at most {MAX_PODS:,} are made"
                key = "parallelism" if isinstance(workload, Job) else "replicas"
                yield checks.TOO_MANY_ENTRIES, workload, ("spec", key), message
        told: set[int] = set()
        for pod in self.pods:
            owner = self.owners.get(_name(pod))
            if pod.phase == "Pending" and owner is not None and id(owner) not in told:
                told.add(id(owner))
                where = ("spec", "template", "spec")
                yield checks.NO_ADMISSION, owner, where, "no Node admits its Pods, so they wait"


@define
class RepositoryCompletion:
    """Adds to a state what is asked for, and keeps what that was: what a loading calls.

    With `from_pods` Services get slices of Pods also where nothing is assumed.
    """

    asked: Assumptions
    from_pods: bool = False
    _found: Additions | None = None

    def __call__(self, state: ClusterState) -> ClusterState:
        """Return a state with the additions."""
        self._found = assume(state, self.asked, from_pods=self.from_pods)
        return self._found.state

    @property
    def additions(self) -> Additions:
        """What was added to the state that was read."""
        assert self._found is not None
        return self._found


def was_in_cluster(state: ClusterState) -> bool:
    """Return whether objects are surely of a cluster: Pods have addresses, selectors endpoints.

    Endpoints of Services without a selector are written by people.
    """
    return any(pod.pod_ips for pod in state.pods.values()) or any(
        has_selector(service) and (name in state.slices or name in state.endpoints)
        for name, service in state.services.items()
    )


@without_gc()
def assume(state: ClusterState, asked: Assumptions, *, from_pods: bool = False) -> Additions:
    """Return a state with what a cluster would add to it, as far as that is asked for.

    `from_pods` makes slices of Pods also where nothing else is assumed. Raises UsageError where
    a range is too small.
    """
    if asked.when == "never" or (asked.when == "auto" and was_in_cluster(state)):
        made = with_slices(state) if from_pods else state
        return Additions(made, idle=_sort(state.workloads.values()))
    families = _families(state, asked)
    nodes = _nodes(state, asked, families)
    state = state.apply(nodes)
    waiting, owners = _pods(state, asked)
    taken = [ip for pod in state.pods.values() for ip in pod.pod_ips]
    hosted = {name for name, owner in owners.items() if owner.template.host_network}
    pods = with_addresses(waiting, state.nodes, families, asked, taken, hosted)
    services, given = with_allocations(state.services, asked, state.service_cidrs.values())
    state = state.apply([*pods, *services])
    if pods or from_pods:
        state = with_slices(state)
    busy = set(map(id, owners.values()))
    idle = _sort(each for each in state.workloads.values() if id(each) not in busy)
    return Additions(state, owners, idle, tuple(pods), tuple(nodes), given)


def _families(state: ClusterState, asked: Assumptions) -> tuple[IPFamily, ...]:
    """Return the families that Pods have: all that Services, Nodes and ranges tell of."""
    told = [*asked.families, *map(family_of, asked.pod_cidrs)]
    for service in state.services.values():
        told += service.ip_families
    for node in state.nodes.values():
        told += map(family_of, node.pod_cidrs)
    seen = dict.fromkeys(told)
    first = told[:1] if asked.families or asked.pod_cidrs else []
    return tuple(dict.fromkeys([*first, *(f for f in IP_FAMILIES if f in seen)])) or IP_FAMILIES[:1]


def _nodes(state: ClusterState, asked: Assumptions, families: Sequence[IPFamily]) -> list[Node]:
    if (asked.nodes or asked.node_zones) and state.nodes:
        raise UsageError("--nodes and --node-zones make Nodes, and the input has some")
    return nodes_of(asked, families)


def _pods(
    state: ClusterState, asked: Assumptions
) -> tuple[list[Pod], dict[NamespacedName, Workload]]:
    """Return the Pods that are to get addresses, and whose workload's they are."""
    nodes = [state.nodes[name] for name in sorted(state.nodes)]
    ready = asked.ready == "all"
    # Pods alone are told of as what they are: without an address, and so no endpoints.
    takes = bool(state.workloads) or asked.when == "always"
    found = [_start(pod, nodes, ready=ready) for pod in (_waiting(state) if takes else ())]
    owners: dict[NamespacedName, Workload] = {}
    known = PodIndex.of(state.pods.values())
    for workload in _sort(state.workloads.values()):
        if len(found) + workload.replicas > MAX_PODS or known.has(workload):
            continue
        made = list(pods_of(workload, nodes, ready=ready))
        owners |= dict.fromkeys(map(_name, made), workload)
        found += made
    return found, owners


def _waiting(state: ClusterState) -> list[Pod]:
    """Return the Pods of the input that no cluster has looked at."""
    names = (name for name, pod in state.pods.items() if pod.phase == "Pending" and not pod.pod_ips)
    return [state.pods[name] for name in sorted(names)]


def _start(pod: Pod, nodes: Sequence[Node], *, ready: bool) -> Pod:
    on = pod.node_name
    if nodes and not on:
        on = nodes[number_of(("Pod", pod.namespace, pod.name)) % len(nodes)].name
    return evolve(pod, phase="Running", ready=ready, node_name=on)


def _sort(workloads: Iterable[Workload]) -> tuple[Workload, ...]:
    return tuple(sorted(workloads, key=lambda each: (each.namespace, each.kind, each.name)))


def _name(pod: Pod) -> NamespacedName:
    return NamespacedName(pod.namespace, pod.name)
