"""What Services ask of a node, and which of them ask too much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from immutables import Map

from svcnet.compiler.node import NodeView
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState, NamespacedName
from svcnet.models.budget import entries


class Shares(NamedTuple):
    """What is left out of a graph, the entries of the rest, and whose fragments may differ."""

    left_out: Map[tuple[str, str], str]
    entry_count: int
    touched: frozenset[NamespacedName]


def shares(state: ClusterState, view: NodeView) -> Shares:
    """Return the shares of all Services of a state."""
    sizes = _sizes(state, state.services, view)
    left_out: Map[tuple[str, str], str] = Map(view.budget.over(sizes))
    return Shares(left_out, _count(sizes, view), frozenset())


def shares_after(
    graph: RuleGraph,
    before: ClusterState,
    after: ClusterState,
    view: NodeView,
    touched: frozenset[NamespacedName],
) -> Shares:
    """Return the shares of `after`, given the graph of `before` and what differs between them.

    Where all that is asked fits on the node, before and after, a Service's share is its own
    affair. Where it does not, a change of one Service may make room for another, or take it;
    not one that only puts other endpoints in the place of as many.
    """
    sizes, were = _sizes(after, touched, view), _sizes(before, touched, view)
    if sizes == were:
        return Shares(graph.left_out, graph.entry_count, touched)
    count = graph.entry_count + _count(sizes, view) - _count(were, view)
    if max(count, graph.entry_count) > view.budget.node:
        left_out = shares(after, view).left_out
        names = {*left_out, *graph.left_out}
        moved = {NamespacedName(*n) for n in names if (n in left_out) is not (n in graph.left_out)}
        return Shares(left_out, count, touched | moved)
    left_out = graph.left_out
    for name in touched:
        if not view.budget.allows(sizes.get(name, 0)):
            left_out = left_out.set(name, view.budget.too_large)
        elif name in left_out:
            left_out = left_out.delete(name)
    return Shares(left_out, count, touched)


def _sizes(
    state: ClusterState, names: Iterable[NamespacedName], view: NodeView
) -> dict[NamespacedName, int]:
    services, slices_of, family = state.services, state.slices_of, view.family
    return {
        name: entries(service, slices_of(name), family)
        for name in names
        if (service := services.get(name)) is not None
    }


def _count(sizes: Mapping[NamespacedName, int], view: NodeView) -> int:
    """Return the entries of all Services that are not too large themselves."""
    return sum(filter(view.budget.allows, sizes.values()))
