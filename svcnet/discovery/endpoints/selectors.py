"""Who selects whom in a cluster that changes: a change costs what it touches, not the cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, TypeVar

from attrs import define, evolve, field, frozen
from immutables import Map

from svcnet.discovery.endpoints.finder import Finder, Pair, pairs_of, pairs_of_selector
from svcnet.discovery.endpoints.pods import has_selector, matches
from svcnet.discovery.endpoints.topology import asks_for_hints
from svcnet.models import ClusterState, Endpoints, EndpointSlice, NamespacedName, Node, Pod, Service
from svcnet.models.state import ClusterObject
from svcnet.nogc import without_gc

Outer = TypeVar("Outer", Pair, str)
Value = TypeVar("Value")
MOST_LOOKS = 1_000_000
"""Pods by Services that are looked at for one change; beyond that it may be anyone's."""

Index: TypeAlias = Map[Outer, Map[NamespacedName, Value]]


@define
class _Reach:
    """Services whose endpoints a change may change: those of ``names``, or ``everyone``."""

    names: set[NamespacedName] = field(factory=set)
    everyone: bool = False
    looks: int = 0


@frozen
class Selectors:
    """A state, and which of its Pods the Services in it select.

    A value: :meth:`apply` returns a new one, which shares all that did not change. Pods
    are found by namespace and label and by Node, Services by one label that they select.
    """

    state: ClusterState
    pods: Index[Pair, Pod] = field(repr=False)
    pods_on: Index[str, Pod] = field(repr=False)
    services: Index[Pair, Service] = field(repr=False)

    @classmethod
    @without_gc()
    def of(cls, state: ClusterState) -> Selectors:
        """Return the selectors of `state`."""
        pods: dict[Pair, dict[NamespacedName, Pod]] = {}
        pods_on: dict[str, dict[NamespacedName, Pod]] = {}
        services: dict[Pair, dict[NamespacedName, Service]] = {}
        for name, pod in state.pods.items():
            for pair in pairs_of(pod):
                pods.setdefault(pair, {})[name] = pod
            pods_on.setdefault(pod.node_name, {})[name] = pod
        for name, service in state.services.items():
            if has_selector(service):
                services.setdefault(_anchor(service), {})[name] = service
        return cls(state, _frozen(pods), _frozen(pods_on), _frozen(services))

    def apply(
        self, changed: Iterable[ClusterObject] = (), removed: Iterable[ClusterObject] = ()
    ) -> tuple[Selectors, frozenset[NamespacedName]]:
        """Return the selectors after a change, and the Services whose endpoints it may change."""
        after, seen = self, _Reach()
        for item in removed:
            after._see(item, seen, comes=False)
            after = after._without(item)
        for item in changed:
            after._see(item, seen, comes=True)
            after = after._with(item)
        if seen.everyone:
            seen.names.update(after.state.services)
        return after, frozenset(seen.names)

    def finder(self) -> Finder:
        """Return what finds Pods by the selectors of Services."""
        none = Map[NamespacedName, Pod]()
        return Finder(lambda pair: self.pods.get(pair, none).values())

    def _see(self, item: ClusterObject, seen: _Reach, *, comes: bool) -> None:
        """See whose endpoints may change with an object."""
        match item:
            case Service():
                seen.names.add(NamespacedName(item.namespace, item.name))
            case EndpointSlice() | Endpoints():
                seen.names |= self.state.services_of([item])
            case Pod():
                before = self.state.pods.get(NamespacedName(item.namespace, item.name))
                self._see_pod(item, seen)
                if before is not None:
                    self._see_pod(before, seen)
            case Node():
                self._see_node(item, seen, comes)

    def _see_node(self, node: Node, seen: _Reach, comes: bool) -> None:
        before = self.state.nodes.get(node.name)
        if not comes or before is None or _capacity(before) != _capacity(node):
            services = self.state.services
            seen.names.update(name for name, one in services.items() if asks_for_hints(one))
        if comes and before is not None and before.zone == node.zone:
            return
        if len(self.state.nodes) == (before is not None):
            # The first Node comes or the last one goes: it matters whether there are any.
            seen.everyone = True
        for pod in self.pods_on.get(node.name, Map()).values():
            self._see_pod(pod, seen)

    def _see_pod(self, pod: Pod, seen: _Reach) -> None:
        """See the Services whose selector finds a Pod."""
        none = Map[NamespacedName, Service]()
        groups = [self.services.get(pair, none) for pair in pairs_of(pod)]
        seen.looks += sum(map(len, groups))
        seen.everyone |= seen.looks > MOST_LOOKS
        if not seen.everyone:
            for group in groups:
                seen.names.update(n for n, one in group.items() if matches(one.selector, pod))

    def _with(self, item: ClusterObject) -> Selectors:
        after = evolve(self._without(item), state=self.state.apply([item]))
        name = NamespacedName(getattr(item, "namespace", ""), item.name)
        if isinstance(item, Pod):
            pods = after.pods
            for pair in pairs_of(item):
                pods = _add(pods, pair, name, item)
            return evolve(after, pods=pods, pods_on=_add(after.pods_on, item.node_name, name, item))
        if isinstance(item, Service) and has_selector(item):
            return evolve(after, services=_add(after.services, _anchor(item), name, item))
        return after

    def _without(self, item: ClusterObject) -> Selectors:
        after = evolve(self, state=self.state.apply((), [item]))
        name = NamespacedName(getattr(item, "namespace", ""), item.name)
        if isinstance(item, Pod) and (pod := self.state.pods.get(name)):
            pods = self.pods
            for pair in pairs_of(pod):
                pods = _drop(pods, pair, name)
            return evolve(after, pods=pods, pods_on=_drop(self.pods_on, pod.node_name, name))
        if isinstance(item, Service):
            service = self.state.services.get(name)
            if service is not None and has_selector(service):
                return evolve(after, services=_drop(self.services, _anchor(service), name))
        return after


def _capacity(node: Node) -> tuple[str, int, bool]:
    """Return what of a Node hints by the CPUs of zones depend on."""
    return node.zone, node.cpu, node.serves_pods


def _anchor(service: Service) -> Pair:
    """Return the one label of a selector that a Service is found by."""
    return min(pairs_of_selector(service))


def _frozen(index: dict[Outer, dict[NamespacedName, Value]]) -> Index[Outer, Value]:
    groups: dict[Outer, Map[NamespacedName, Value]] = {}
    for key, group in index.items():
        groups[key] = Map(group)
    return Map(groups)


def _add(
    index: Index[Outer, Value], key: Outer, name: NamespacedName, item: Value
) -> Index[Outer, Value]:
    return index.set(key, index.get(key, Map[NamespacedName, Value]()).set(name, item))


def _drop(index: Index[Outer, Value], key: Outer, name: NamespacedName) -> Index[Outer, Value]:
    group = index[key].delete(name)
    return index.set(key, group) if group else index.delete(key)
