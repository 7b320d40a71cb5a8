"""One IP family of a machine, kept true over what its mode knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from svcnet.errors import Incomplete
from svcnet.graph import FragmentName, GraphDiff, RuleGraph, diff
from svcnet.modes.adapter import Adapter, Inspection, SyncResult

STEP_SERVICE_PORTS = 1000
"""A change of more service ports is put right as a whole, which first asks what is there."""


class Keeper:
    """Puts graphs on the machine through an adapter, and remembers which one is there.

    Every method raises ApplyError when the machine refuses. They are called from threads,
    never two at once; an inspection goes on beside them.
    """

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._graph: RuleGraph | None = None
        self.family = adapter.family
        self.mode = adapter.mode
        self.stage = adapter.stage

    def whole(self, graph: RuleGraph) -> SyncResult:
        """Bring the machine to `graph`, whatever is there."""
        with self._becoming(graph):
            return self._adapter.whole(graph)

    def step(self, graph: RuleGraph, names: frozenset[FragmentName] | None) -> SyncResult:
        """Take the machine to `graph` from the graph that it was given before.

        `names` are the fragments that may differ, None for all.
        """
        change = _small_change(self._graph, graph, names)
        if change is None or self._adapter.is_due():
            return self.whole(graph)
        if not change:
            self._graph = graph
            return self._adapter.idle("nothing to change")
        with self._becoming(graph):
            return self._adapter.step(graph, change) or self._adapter.whole(graph)

    def look(self, graph: RuleGraph) -> SyncResult:
        """Find what somebody else did to the rules of `graph`, cheaply, and put it right."""
        if graph is not self._graph:
            return self.whole(graph)
        with self._becoming(graph):
            return self._adapter.look(graph)

    def inspection(self, graph: RuleGraph) -> Inspection | None:
        """Begin a look at the rules of `graph` that goes on beside steps, where there is one."""
        return self._adapter.inspection(graph) if graph is self._graph else None

    def repair(self, inspection: Inspection) -> SyncResult | None:
        """Put right what an inspection found; None if all has to be looked at without any step."""
        if self._graph is None:
            return None
        with self._becoming(self._graph):
            return inspection.repair()

    def is_disturbed(self) -> bool:
        """Return whether somebody else surely wrote where all was right, if that costs little."""
        return self._graph is not None and self._adapter.is_disturbed()

    @contextmanager
    def _becoming(self, graph: RuleGraph) -> Iterator[None]:
        """Remember what is there, also where the machine refused some of it.

        So steps go on from there, and do not wait for what a machine never takes.
        """
        self._graph = None
        try:
            yield
        except Incomplete:
            self._graph = graph
            raise
        self._graph = graph


def _small_change(
    before: RuleGraph | None, after: RuleGraph, names: frozenset[FragmentName] | None
) -> GraphDiff | None:
    """Return the difference, or None if it is not known or too large for one step."""
    if before is None:
        return None
    change = diff(before, after, names)
    count = len(change.added) + len(change.removed) + len(change.changed)
    return None if change.settings_changed or count > STEP_SERVICE_PORTS else change
