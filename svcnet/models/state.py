"""All objects of a cluster that matter to a node, as one persistent value."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple, TypeAlias, TypeVar

from attrs import evolve, frozen
from immutables import Map

from svcnet.brief import Brief
from svcnet.models.endpoints import Endpoints, EndpointSlice
from svcnet.models.node import Node
from svcnet.models.pod import Pod
from svcnet.models.service import Service, ServiceCIDR
from svcnet.models.subsets import slices_of_endpoints
from svcnet.models.workload import Workload


class NamespacedName(NamedTuple):
    """The key of a namespaced object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class WorkloadName(NamedTuple):
    """The key of a workload: those of several kinds may have one name."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, workload: Workload) -> WorkloadName:
        """Return the key of a workload."""
        return cls(workload.kind, workload.namespace, workload.name)


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
ClusterObject: TypeAlias = Service | EndpointSlice | Endpoints | Pod | Node | ServiceCIDR | Workload
SlicesByName: TypeAlias = Map[str, EndpointSlice]


@frozen(repr=False)
class ClusterState(Brief):
    """The objects of a cluster, indexed the way the compiler asks for them.

    A value: :meth:`apply` returns a new state that shares all it did not change with
    the old one, so a change costs its own size and not the cluster's.

    ``slices`` is keyed by the *Service* that the slices belong to; a slice of the same
    namespace and name is held once, whatever Service its label names.
    """

    services: Map[NamespacedName, Service] = Map()
    slices: Map[NamespacedName, SlicesByName] = Map()
    endpoints: Map[NamespacedName, Endpoints] = Map()
    pods: Map[NamespacedName, Pod] = Map()
    nodes: Map[str, Node] = Map()
    service_cidrs: Map[str, ServiceCIDR] = Map()
    workloads: Map[WorkloadName, Workload] = Map()
    slice_owners: Map[NamespacedName, NamespacedName] = Map()

    @classmethod
    def of(cls, objects: Iterable[ClusterObject]) -> ClusterState:
        """Return the state that holds `objects`; of two with one key the last counts."""
        services: dict[NamespacedName, Service] = {}
        slices: dict[NamespacedName, EndpointSlice] = {}
        endpoints: dict[NamespacedName, Endpoints] = {}
        pods: dict[NamespacedName, Pod] = {}
        nodes: dict[str, Node] = {}
        service_cidrs: dict[str, ServiceCIDR] = {}
        workloads: dict[WorkloadName, Workload] = {}
        for item in objects:
            match item:
                case Service():
                    services[NamespacedName(item.namespace, item.name)] = item
                case EndpointSlice():
                    slices[NamespacedName(item.namespace, item.name)] = item
                case Endpoints():
                    endpoints[NamespacedName(item.namespace, item.name)] = item
                case Pod():
                    pods[NamespacedName(item.namespace, item.name)] = item
                case Node():
                    nodes[item.name] = item
                case ServiceCIDR():
                    service_cidrs[item.name] = item
                case Workload():
                    workloads[WorkloadName.of(item)] = item
        # One name in memory for a Service and for all that is filed under it.
        known = {name: name for name in services}
        owners = {}
        for key, item in slices.items():
            owner = _owner(item)
            owners[key] = known.setdefault(owner, owner)
        grouped: dict[NamespacedName, dict[str, EndpointSlice]] = {}
        for key, item in slices.items():
            grouped.setdefault(owners[key], {})[key.name] = item
        return cls(
            services=Map(services),
            slices=Map({owner: Map(group) for owner, group in grouped.items()}),
            endpoints=Map(endpoints),
            pods=Map(pods),
            nodes=Map(nodes),
            service_cidrs=Map(service_cidrs),
            workloads=Map(workloads),
            slice_owners=Map(owners),
        )

    def __iter__(self) -> Iterator[ClusterObject]:
        yield from self.services.values()
        for group in self.slices.values():
            yield from group.values()
        yield from self.endpoints.values()
        yield from self.pods.values()
        yield from self.nodes.values()
        yield from self.service_cidrs.values()
        yield from self.workloads.values()

    def apply(
        self, changed: Iterable[ClusterObject] = (), removed: Iterable[ClusterObject] = ()
    ) -> ClusterState:
        """Return the state after `changed` objects came or were replaced and `removed` went."""
        state = self
        for item in removed:
            state = state._without(item)
        for item in changed:
            state = state._with(item)
        return state

    def services_of(self, objects: Iterable[ClusterObject]) -> frozenset[NamespacedName]:
        """Return the names of the Services whose rules a change of `objects` can change.

        Call it on the state *before* the change: a slice may move from one Service to
        another. Pods and workloads make no rules by themselves, and Nodes and ServiceCIDRs are not
        tied to a Service: they add nothing here.
        """
        names = set()
        for item in objects:
            match item:
                case Service() | Endpoints():
                    names.add(NamespacedName(item.namespace, item.name))
                case EndpointSlice():
                    names.add(_owner(item))
                    key = NamespacedName(item.namespace, item.name)
                    names.add(self.slice_owners.get(key, _owner(item)))
        return frozenset(names)

    def slices_of(self, name: NamespacedName) -> tuple[EndpointSlice, ...]:
        """Return the slices of a Service by name, or what its Endpoints object amounts to."""
        group = self.slices.get(name)
        if group is None:
            fallback = self.endpoints.get(name)
            return () if fallback is None else slices_of_endpoints(fallback)
        if len(group) == 1:
            return tuple(group.values())
        return tuple(group[key] for key in sorted(group))

    def _with(self, item: ClusterObject) -> ClusterState:
        match item:
            case Service():
                key = NamespacedName(item.namespace, item.name)
                return evolve(self, services=self.services.set(key, item))
            case Endpoints():
                key = NamespacedName(item.namespace, item.name)
                return evolve(self, endpoints=self.endpoints.set(key, item))
            case Pod():
                key = NamespacedName(item.namespace, item.name)
                return evolve(self, pods=self.pods.set(key, item))
            case Node():
                return evolve(self, nodes=self.nodes.set(item.name, item))
            case ServiceCIDR():
                return evolve(self, service_cidrs=self.service_cidrs.set(item.name, item))
            case Workload():
                name = WorkloadName.of(item)
                return evolve(self, workloads=self.workloads.set(name, item))
            case EndpointSlice():
                return self._with_slice(item)

    def _without(self, item: ClusterObject) -> ClusterState:
        match item:
            case Service():
                key = NamespacedName(item.namespace, item.name)
                return evolve(self, services=_drop(self.services, key))
            case Endpoints():
                key = NamespacedName(item.namespace, item.name)
                return evolve(self, endpoints=_drop(self.endpoints, key))
            case Pod():
                key = NamespacedName(item.namespace, item.name)
                return evolve(self, pods=_drop(self.pods, key))
            case Node():
                return evolve(self, nodes=_drop(self.nodes, item.name))
            case ServiceCIDR():
                return evolve(self, service_cidrs=_drop(self.service_cidrs, item.name))
            case Workload():
                return evolve(self, workloads=_drop(self.workloads, WorkloadName.of(item)))
            case EndpointSlice():
                return self._without_slice(NamespacedName(item.namespace, item.name))

    def _with_slice(self, item: EndpointSlice) -> ClusterState:
        key, owner = NamespacedName(item.namespace, item.name), _owner(item)
        state = self
        if self.slice_owners.get(key, owner) != owner:
            state = self._without_slice(key)
        group = state.slices.get(owner, Map[str, EndpointSlice]())
        return evolve(
            state,
            slices=state.slices.set(owner, group.set(item.name, item)),
            slice_owners=state.slice_owners.set(key, owner),
        )

    def _without_slice(self, key: NamespacedName) -> ClusterState:
        owner = self.slice_owners.get(key)
        if owner is None:
            return self
        group = self.slices[owner].delete(key.name)
        slices = self.slices.set(owner, group) if group else self.slices.delete(owner)
        return evolve(self, slices=slices, slice_owners=self.slice_owners.delete(key))


def _owner(item: EndpointSlice) -> NamespacedName:
    return NamespacedName(item.namespace, item.service_name)


def _drop(mapping: Map[Key, Value], key: Key) -> Map[Key, Value]:
    return mapping.delete(key) if key in mapping else mapping
