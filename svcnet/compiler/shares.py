"""What Services ask of a node, and which of them ask too much."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from immutables import Map

from svcnet.compiler.node import NodeView
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState, NamespacedName
from svcnet.models.budget import Allotment, entries


class StateShares(NamedTuple):
    """What is left out of a graph, the entries of the rest, and whose fragments may differ."""

    left_out: Map[tuple[str, str], str]
    entry_count: int
    touched: frozenset[NamespacedName]


def shares(state: ClusterState, view: NodeView) -> StateShares:
    """Return the shares of all Services of a state."""
    found = Allotment.of(view.budget, _sizes(state, state.services, view))
    return StateShares(found.left_out, found.total, frozenset())


def shares_after(
    graph: RuleGraph,
    before: ClusterState,
    after: ClusterState,
    view: NodeView,
    touched: frozenset[NamespacedName],
) -> StateShares:
    """Return the shares of `after`, given the graph of `before` and what differs between them.

    Other endpoints in the place of as many change nobody's share.
    """
    sizes, were = _sizes(after, touched, view), _sizes(before, touched, view)
    if sizes == were:
        return StateShares(graph.left_out, graph.entry_count, touched)
    known = Allotment(view.budget, graph.left_out, graph.entry_count)
    found, moved = known.after(were, sizes, lambda: _sizes(after, after.services, view))
    return StateShares(found.left_out, found.total, touched | moved)


def _sizes(
    state: ClusterState, names: Iterable[NamespacedName], view: NodeView
) -> dict[NamespacedName, int]:
    services, slices_of, family = state.services, state.slices_of, view.family
    return {
        name: entries(service, slices_of(name), family)
        for name in names
        if (service := services.get(name)) is not None
    }
