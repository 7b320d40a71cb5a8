"""The slices and Endpoints of a whole cluster, once.

For a cluster that goes on changing see :mod:`svcnet.discovery.endpoints.selections`.
"""

from __future__ import annotations

from collections.abc import Iterator

from immutables import Map

from svcnet.discovery.endpoints.mirror import mirror
from svcnet.discovery.endpoints.pods import has_selector, matches
from svcnet.discovery.endpoints.slices import reconcile
from svcnet.discovery.endpoints.subsets import endpoints_from_pods
from svcnet.models import ClusterState, Endpoints, EndpointSlice, NamespacedName, Node, Pod, Service
from svcnet.nogc import without_gc

Pair = tuple[str, str, str]
"""A namespace, and key and value of a label."""


@without_gc()
def slices_of(state: ClusterState) -> tuple[EndpointSlice, ...]:
    """Return the slices that the controllers would keep, by namespace, Service and name.

    They are made of Pods for Services with a selector, and mirror Endpoints of the others.
    Slices of the controller that are in `state` are changed as little as its rules allow.
    """
    pods = selected(state)
    found: list[EndpointSlice] = []
    for name in sorted(state.services):
        service = state.services[name]
        endpoints = state.endpoints.get(name)
        if name in pods:
            existing = state.slices.get(name)
            found += reconcile(
                service, pods[name], nodes_of(state), existing.values() if existing else ()
            )
        elif endpoints is not None:
            found += mirror(service, endpoints)
    return tuple(found)


@without_gc()
def endpoints_of(state: ClusterState) -> tuple[Endpoints, ...]:
    """Return the Endpoints that Services with a selector have, by namespace and name."""
    found = (
        endpoints_from_pods(state.services[name], pods)
        for name, pods in sorted(selected(state).items())
    )
    return tuple([endpoints for endpoints in found if endpoints is not None])


@without_gc()
def with_slices(state: ClusterState) -> ClusterState:
    """Return `state` with slices made of its Pods for each Service that has no endpoints in it.

    Without Pods there is nothing to make them of, and a Service that has slices or
    Endpoints keeps them.
    """
    if not needs_slices(state):
        return state
    made: list[EndpointSlice] = []
    for name, pods in selected(state).items():
        if name not in state.slices and name not in state.endpoints:
            made += reconcile(state.services[name], pods, nodes_of(state))
    return state.apply(made)


def needs_slices(state: ClusterState) -> bool:
    """Return whether there are Pods, and Services that select them and have no endpoints."""
    return bool(state.pods) and any(
        has_selector(service) and name not in state.slices and name not in state.endpoints
        for name, service in state.services.items()
    )


def nodes_of(state: ClusterState) -> Map[str, Node] | None:
    """Return the Nodes, or None for input without any: nothing is known of them then."""
    return state.nodes or None


def selected(state: ClusterState) -> dict[NamespacedName, list[Pod]]:
    """Return the Pods that the selector of each Service that has one finds."""
    services = {name: item for name, item in state.services.items() if has_selector(item)}
    index: dict[Pair, list[Pod]] = {
        pair: [] for service in services.values() for pair in pairs_of_selector(service)
    }
    for pod in state.pods.values():
        for pair in pairs_of(pod):
            if pair in index:
                index[pair].append(pod)
    return {name: _matching(service, index) for name, service in services.items()}


def _matching(service: Service, index: dict[Pair, list[Pod]]) -> list[Pod]:
    candidates = min((index[pair] for pair in pairs_of_selector(service)), key=len)
    return [pod for pod in candidates if matches(service.selector, pod)]


def pairs_of(pod: Pod) -> Iterator[Pair]:
    """Yield the labels of a Pod with its namespace."""
    for key, value in pod.labels.items():
        yield pod.namespace, key, value


def pairs_of_selector(service: Service) -> Iterator[Pair]:
    """Yield the labels that a Service's selector wants, with its namespace."""
    for key, value in service.selector.items():
        yield service.namespace, key, value
