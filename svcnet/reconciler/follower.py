"""From states of a cluster to graphs, at the cost of what changed."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from svcnet.compiler import NodeView, compile_state, recompile
from svcnet.family import IPFamily
from svcnet.graph import FragmentName, RuleGraph
from svcnet.models import ClusterState, NamespacedName


@frozen
class WantedGraph:
    """A graph of one family, and which fragments may differ from the one before; None for all."""

    graph: RuleGraph
    names: frozenset[FragmentName] | None = None


@frozen
class Snapshot:
    """A state of a cluster, and how the node sees it in each IP family that is kept.

    ``left_out`` are Services that ask for too many endpoints to have any, and why.
    """

    state: ClusterState
    views: Mapping[str, NodeView]
    left_out: Mapping[tuple[str, str], str] = field(factory=dict)


class Follower:
    """Keeps the graph of one IP family."""

    def __init__(self, family: IPFamily) -> None:
        self.family = family
        self._seen: Snapshot | None = None
        self._graph: RuleGraph | None = None

    def follow(self, snapshot: Snapshot, touched: frozenset[NamespacedName]) -> WantedGraph:
        """Return the graph of a snapshot, and what may have changed since the last one.

        `touched` are the Services of which anything differs between the two.
        """
        view, before, graph = snapshot.views[self.family], self._seen, self._graph
        if before is None or graph is None or _differs(view, before.views[self.family]):
            wanted = WantedGraph(compile_state(snapshot.state, view))
        else:
            wanted = WantedGraph(*recompile(graph, before.state, snapshot.state, view, touched))
        self._seen, self._graph = snapshot, wanted.graph
        return wanted


def _differs(view: NodeView, other: NodeView) -> bool:
    """Return whether two views differ; nearly always they are one value, which costs nothing."""
    return view is not other and view != other
