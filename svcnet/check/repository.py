"""What rules look at: the objects of the input, and what a cluster would make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from attrs import field, frozen

from svcnet.check.kinds import MAKES_NO_PODS, ROUTES, SCALES
from svcnet.discovery.endpoints import has_selector
from svcnet.discovery.endpoints.finder import Finder
from svcnet.discovery.environment import Environment, environment
from svcnet.family import IP_FAMILIES, IPFamily, family_of
from svcnet.models import (
    ClusterState,
    Endpoints,
    EndpointSlice,
    NamespacedName,
    Pod,
    Service,
    Workload,
)
from svcnet.models.state import ClusterObject


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
    def with_given_endpoints(self) -> frozenset[NamespacedName]:
        """The Services whose endpoints are in the input, and not made of Pods."""
        given = (item for item in self.objects if isinstance(item, Endpoints | EndpointSlice))
        return ClusterState().services_of(given)

    @cached_property
    def _finder(self) -> Finder:
        return Finder.of(self.state, filter(has_selector, self.services))

    def pods_of(self, service: Service) -> Sequence[Pod]:
        """Return the Pods that the selector of a Service finds; of one without, none."""
        if not self.state.pods or not has_selector(service):
            return ()
        return list(self._finder.pods(service))

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
        """What containers are told of Services, of each namespace where some may be told."""
        by_namespace: dict[str, list[Service]] = {}
        for service in self.services:
            by_namespace.setdefault(service.namespace, []).append(service)
        found = []
        for namespace, services in by_namespace.items():
            pods = self.pods_by_namespace.get(namespace, ())
            if not pods or any(pod.enable_service_links for pod in pods):
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
