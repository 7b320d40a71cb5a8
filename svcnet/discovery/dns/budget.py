"""Services whose endpoints are too many to have names.

Each endpoint has a name, and each port of it records; so a small object can ask for a
million. What a node serves bounds names as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve

from svcnet.models import Budget, ClusterState, NamespacedName
from svcnet.models.budget import named_ports


def left_out(state: ClusterState, budget: Budget) -> Mapping[NamespacedName, str]:
    """Return the Services whose endpoints have no names, and why."""
    return budget.over({name: named_ports(state.slices_of(name)) for name in state.services})


def without_endpoints(state: ClusterState, names: Iterable[NamespacedName]) -> ClusterState:
    """Return a state in which Services have no endpoints."""
    slices, endpoints = state.slices, state.endpoints
    for name in names:
        if name in slices:
            slices = slices.delete(name)
        if name in endpoints:
            endpoints = endpoints.delete(name)
    return evolve(state, slices=slices, endpoints=endpoints)
