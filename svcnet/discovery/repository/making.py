"""What a cluster would make of objects that were never in one."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from svcnet.discovery.endpoints import with_slices
from svcnet.discovery.repository.additions import MAX_PODS, Additions, name_of, sort_workloads
from svcnet.discovery.repository.addresses import with_addresses
from svcnet.discovery.repository.assumptions import Assumptions
from svcnet.discovery.repository.index import PodIndex
from svcnet.discovery.repository.nodes import nodes_of
from svcnet.discovery.repository.services import with_allocations
from svcnet.discovery.repository.workloads import pods_of
from svcnet.errors import UsageError
from svcnet.family import IP_FAMILIES, IPFamily, family_of
from svcnet.models import ClusterState, NamespacedName, Node, Pod, Workload
from svcnet.slots import number_of


def make_up(state: ClusterState, asked: Assumptions, *, from_pods: bool = False) -> Additions:
    """Return a state with all that it lacks, as is asked for.

    `from_pods` makes slices of Pods also where no Pod is made up. Raises UsageError where a range
    is too small.
    """
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
    idle = sort_workloads(each for each in state.workloads.values() if id(each) not in busy)
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
    for workload in sort_workloads(state.workloads.values()):
        if len(found) + workload.replicas > MAX_PODS or known.has(workload):
            continue
        made = list(pods_of(workload, nodes, ready=ready))
        owners |= dict.fromkeys(map(name_of, made), workload)
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
