"""The slices and Endpoints of a whole cluster, once.

For a cluster that goes on changing see :mod:`svcnet.discovery.endpoints.selections`.
"""

from __future__ import annotations

from collections.abc import Iterable

from svcnet.discovery.endpoints.members import Members
from svcnet.discovery.endpoints.mirror import mirror
from svcnet.discovery.endpoints.pods import has_selector
from svcnet.discovery.endpoints.selecting import SelectingServices
from svcnet.discovery.endpoints.slices import reconcile_members
from svcnet.discovery.endpoints.subsets import endpoints_from_pods
from svcnet.models import ClusterState, Endpoints, EndpointSlice, NamespacedName
from svcnet.models.state import ClusterObject
from svcnet.nogc import without_gc


@without_gc()
def slices_of(state: ClusterState) -> tuple[EndpointSlice, ...]:
    """Return the slices that the controllers would keep, by namespace, Service and name.

    They are made of Pods for Services with a selector, and mirror Endpoints of the others.
    Slices of the controller that are in `state` are changed as little as its rules allow.
    Services whose selectors find too many Pods have none (``left_out``).
    """
    selected, members = SelectingServices.of(state), Members.of(state)
    found: list[EndpointSlice] = []
    for name in sorted(state.services):
        service = state.services[name]
        endpoints = state.endpoints.get(name)
        if name in selected.services:
            existing = state.slices.get(name)
            given = existing.values() if existing else ()
            found += reconcile_members(service, selected.pods(name), members, given)
        elif endpoints is not None:
            found += mirror(service, endpoints)
    return tuple(found)


@without_gc()
def endpoints_of(state: ClusterState) -> tuple[Endpoints, ...]:
    """Return the Endpoints that Services with a selector have, by namespace and name.

    Services whose selectors find too many Pods have none (``left_out``).
    """
    selected = SelectingServices.of(state)
    found = (
        endpoints_from_pods(service, selected.pods(name))
        for name, service in sorted(selected.services.items())
    )
    return tuple([endpoints for endpoints in found if endpoints is not None])


@without_gc()
def with_slices(state: ClusterState) -> ClusterState:
    """Return `state` with slices made of its Pods for each Service that has no endpoints in it.

    Without Pods there is nothing to make them of, and a Service that has slices or
    Endpoints keeps them. One whose selector finds too many Pods goes on without
    (``left_out``).
    """
    if not needs_slices(state):
        return state
    selected, members = (
        SelectingServices.of(state, {*state.slices, *state.endpoints}),
        Members.of(state),
    )
    made: list[EndpointSlice] = []
    for name, service in selected.services.items():
        made += reconcile_members(service, selected.pods(name), members)
    return state.apply(made)


def needs_slices(state: ClusterState) -> bool:
    """Return whether there are Pods, and Services that select them and have no endpoints."""
    return bool(state.pods) and any(
        has_selector(service) and name not in state.slices and name not in state.endpoints
        for name, service in state.services.items()
    )


def services_with_endpoints(objects: Iterable[ClusterObject]) -> frozenset[NamespacedName]:
    """Return the Services that have slices or Endpoints among objects."""
    given = (item for item in objects if isinstance(item, Endpoints | EndpointSlice))
    return ClusterState().services_of(given)
