"""What rules look at: the objects of the input, and what a cluster would make of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import TypeAlias, TypeVar

from attrs import field, frozen

from svcnet.check.environments import may_be_wrong
from svcnet.check.kinds import MAKES_NO_PODS, ROUTES, SCALES
from svcnet.discovery.endpoints import has_selector, services_with_endpoints
from svcnet.discovery.endpoints.finder import Finder
from svcnet.discovery.endpoints.pods import matches
from svcnet.discovery.environment import Environment, environment
from svcnet.family import IP_FAMILIES, IPFamily, family_of
from svcnet.models import (
    ClusterState,
    EndpointSlice,
    NamespacedName,
    Pod,
    Service,
    Workload,
)
from svcnet.models.state import ClusterObject

Item = TypeVar("Item")
Label: TypeAlias = tuple[str, str]
Labels: TypeAlias = frozenset[Label]

MOST_PODS = 250
"""So many Pods of one Service are looked at: their product with all Services is anyone's."""


@frozen
class Repository:
    """Objects that are to be looked at, and the state of all that was read.

    ``state`` has what a cluster would add: Pods of workloads, which ``owners`` have, addresses, and
    slices made of Pods for Services without endpoints. ``kinds`` counts the documents of kinds that
    svcnet does not read. ``asked`` are the cluster's IP families where somebody said so,
    ``balanced`` the Services that a load balancer has given an address.
    """

    objects: Sequence[ClusterObject] = field(repr=False)
    state: ClusterState = field(repr=False)
    kinds: Mapping[str, int] = field(factory=dict)
    asked: tuple[IPFamily, ...] = ()
    owners: Mapping[NamespacedName, Workload] = field(factory=dict, repr=False)
    balanced: frozenset[NamespacedName] = frozenset()

    @cached_property
    def services(self) -> Sequence[Service]:
        """The Services to be looked at."""
        return [item for item in self.objects if isinstance(item, Service)]

    @cached_property
    def workloads(self) -> Sequence[Workload]:
        """The workloads to be looked at."""
        return [item for item in self.objects if isinstance(item, Workload)]

    @cached_property
    def families(self) -> frozenset[IPFamily]:
        """The IP families that a cluster of this input surely has."""
        if self.asked:
            return frozenset(self.asked)
        networks = (
            *(cidr for each in self.state.service_cidrs.values() for cidr in each.cidrs),
            *(cidr for node in self.state.nodes.values() for cidr in node.pod_cidrs),
        )
        return frozenset(map(family_of, networks))

    @property
    def is_dual_stack(self) -> bool:
        """Whether the cluster surely has both IP families."""
        return self.families.issuperset(IP_FAMILIES)

    @cached_property
    def pods_by_namespace(self) -> Mapping[str, Sequence[Pod]]:
        """The Pods of each namespace that has some."""
        found: dict[str, list[Pod]] = {}
        for pod in self.state.pods.values():
            found.setdefault(pod.namespace, []).append(pod)
        return found

    @cached_property
    def distinct_pods(self) -> Mapping[str, Sequence[Pod]]:
        """The Pods of each namespace; of those with the same labels, or of one workload, one."""
        found: dict[str, list[Pod]] = {}
        for namespace, pods in self.pods_by_namespace.items():
            first: dict[object, Pod] = {}
            for pod in pods:
                owner = self.owners.get(NamespacedName(pod.namespace, pod.name))
                key = frozenset(pod.labels.items()) if owner is None else id(owner)
                first.setdefault(key, pod)
            found[namespace] = sorted(first.values(), key=lambda pod: pod.name)
        return found

    @cached_property
    def with_given_endpoints(self) -> frozenset[NamespacedName]:
        """The Services whose endpoints are in the input, and not made of Pods."""
        return services_with_endpoints(self.objects)

    @cached_property
    def _finder(self) -> Finder:
        return Finder.of(self.state, filter(has_selector, self.services))

    def pods_of(self, service: Service) -> Sequence[Pod]:
        """Return Pods that the selector of a Service finds; of those of one workload, one."""
        if not self.state.pods or not has_selector(service):
            return ()
        key = (service.namespace, frozenset(service.selector.items()))
        found = self._pods_by_selector.get(key)
        if found is None:
            found = self._one_of_each(islice(self._finder.pods(service), MOST_PODS))
            self._pods_by_selector[key] = found
        return found

    def _one_of_each(self, pods: Iterable[Pod]) -> Sequence[Pod]:
        found: dict[int, Pod] = {}
        for pod in pods:
            owner = self.owners.get(NamespacedName(pod.namespace, pod.name))
            found.setdefault(id(pod if owner is None else owner), pod)
        return tuple(found.values())

    @cached_property
    def _pods_by_selector(self) -> dict[tuple[str, Labels], Sequence[Pod]]:
        return {}

    @cached_property
    def _pods_by_label(self) -> Mapping[Label, Sequence[Pod]]:
        """Pods by each of their labels, in whatever namespace; of those that are alike one."""
        seen: set[tuple[str, Labels]] = set()
        found: dict[Label, list[Pod]] = {}
        for pod in self.state.pods.values():
            key = (pod.namespace, frozenset(pod.labels.items()))
            if key not in seen:
                seen.add(key)
                for label in key[1]:
                    found.setdefault(label, []).append(pod)
        return found

    def pods_elsewhere(self, service: Service) -> Iterator[Pod]:
        """Yield Pods of other namespaces that have the labels that a Service selects."""
        known, selector = self._pods_by_label, service.selector.items()
        groups: list[Sequence[Pod]] = [known.get(label, ()) for label in selector]
        for pod in islice(_smallest(groups), MOST_PODS):
            if pod.namespace != service.namespace and matches(service.selector, pod):
                yield pod

    @cached_property
    def _workloads_by_label(self) -> Mapping[tuple[str, Label], Sequence[Workload]]:
        found: dict[tuple[str, Label], list[Workload]] = {}
        for workload in self.state.workloads.values():
            for label in workload.template.labels.items():
                found.setdefault((workload.namespace, label), []).append(workload)
        return found

    def workloads_of(self, service: Service) -> Iterator[Workload]:
        """Yield workloads whose Pods a Service selects, also those that make none now."""
        selector = service.selector.items()
        known, namespace = self._workloads_by_label, service.namespace
        groups: list[Sequence[Workload]] = [known.get((namespace, label), ()) for label in selector]
        for workload in islice(_smallest(groups), MOST_PODS):
            if selector <= workload.template.labels.items():
                yield workload

    @cached_property
    def _headless_by_label(self) -> Mapping[tuple[str, Label], Sequence[Service]]:
        """Headless Services by one label that they select, the first one."""
        found: dict[tuple[str, Label], list[Service]] = {}
        for service in self.services:
            if service.is_headless and service.selector:
                label = min(service.selector.items())
                found.setdefault((service.namespace, label), []).append(service)
        return found

    def headless_of(self, workload: Workload) -> Iterator[Service]:
        """Yield headless Services that select the Pods of a workload."""
        labels = workload.template.labels.items()
        for label in sorted(labels):
            for service in self._headless_by_label.get((workload.namespace, label), ())[:MOST_PODS]:
                if service.selector.items() <= labels:
                    yield service

    def slices_of(self, service: Service) -> tuple[EndpointSlice, ...]:
        """Return the slices of a Service, given ones or those that are made of Pods."""
        return self.state.slices_of(NamespacedName(service.namespace, service.name))

    def endpoints_of(self, service: Service) -> Iterator[tuple[str, str]]:
        """Yield the address and the Node of each ready endpoint of a Service."""
        for item in self.slices_of(service):
            for endpoint in item.endpoints:
                if endpoint.ready and endpoint.addresses:
                    yield endpoint.addresses[0], endpoint.node_name

    @cached_property
    def environments(self) -> Sequence[Environment]:
        """What containers are told of Services, of each namespace where that may be a mistake."""
        by_namespace: dict[str, list[Service]] = {}
        for service in self.services:
            by_namespace.setdefault(service.namespace, []).append(service)
        found = []
        for namespace, services in by_namespace.items():
            pods = self.pods_by_namespace.get(namespace, ())
            is_told = not pods or any(pod.enable_service_links for pod in pods)
            if is_told and may_be_wrong(services):
                found.append(environment(ClusterState.of(services), namespace))
        return found

    def name_of(self, pod: Pod) -> str:
        """Return what a Pod is called, or the workload that makes it."""
        owner = self.owners.get(NamespacedName(pod.namespace, pod.name))
        return f"Pod {pod.name}" if owner is None else f"{owner.kind} {owner.name}"

    @cached_property
    def knows_all_pods(self) -> bool:
        """Whether nothing in the input may make Pods that are not there."""
        return self.kinds.keys() <= MAKES_NO_PODS

    @property
    def has_routes(self) -> bool:
        """Whether something leads traffic to ports of Services by their numbers or names."""
        return not ROUTES.isdisjoint(self.kinds)

    @property
    def is_scaled(self) -> bool:
        """Whether something changes how many Pods there are."""
        return not SCALES.isdisjoint(self.kinds)


def _smallest(groups: Iterable[Sequence[Item]]) -> Sequence[Item]:
    best: Sequence[Item] = ()
    for number, group in enumerate(groups):
        if not number or len(group) < len(best):
            best = group
    return best
