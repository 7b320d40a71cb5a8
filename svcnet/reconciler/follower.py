"""From states of a cluster to graphs, at the cost of what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from svcnet.compiler import NodeView, compile_state, recompile
from svcnet.graph import FragmentName, RuleGraph
from svcnet.models import ClusterState, NamespacedName


@frozen
class Wanted:
    """A graph of one family, and which fragments may differ from the one before; None for all."""

    graph: RuleGraph
    names: frozenset[FragmentName] | None = None


@frozen
class Snapshot:
    """A state of a cluster, and how the node sees it in each IP family that is kept."""

    state: ClusterState
    views: Mapping[str, NodeView]


class Follower:
    """Keeps the graph of one IP family."""

    def __init__(self, family: str) -> None:
        self.family = family
        self._seen: Snapshot | None = None
        self._graph: RuleGraph | None = None

    def follow(self, snapshot: Snapshot) -> Wanted:
        """Return the graph of a snapshot, and what may have changed since the last one."""
        view, before, graph = snapshot.views[self.family], self._seen, self._graph
        if before is None or graph is None or view != before.views[self.family]:
            wanted = Wanted(compile_state(snapshot.state, view))
        else:
            touched = _touched(before.state, snapshot.state)
            wanted = Wanted(*recompile(graph, before.state, snapshot.state, view, touched))
        self._seen, self._graph = snapshot, wanted.graph
        return wanted


def _touched(before: ClusterState, after: ClusterState) -> frozenset[NamespacedName]:
    """Return the Services of which anything differs between two states."""
    return frozenset(
        (
            *_differing(before.services, after.services),
            *_differing(before.slices, after.slices),
            *_differing(before.endpoints, after.endpoints),
        )
    )


def _differing(
    old: Mapping[NamespacedName, object], new: Mapping[NamespacedName, object]
) -> Iterator[NamespacedName]:
    """Yield the keys of values that differ; values that are the same object cost little."""
    if old is new:
        return
    for name, value in old.items():
        other = new.get(name)
        if other is not value and other != value:
            yield name
    yield from (name for name in new if name not in old)
