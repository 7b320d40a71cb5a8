"""UDP entries of connection tracking, put right after the rules."""

from __future__ import annotations

from svcnet.executors import conntrack
from svcnet.executors.machine import Machine
from svcnet.graph import GraphDiff, RuleGraph
from svcnet.renderers.conntrack import plan, touches_udp


class StaleFlows:
    """Deletes the entries of one IP family of a machine that lead to no endpoint any more."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._before: RuleGraph | None = None
        self._due = True

    def note(self, change: GraphDiff | None) -> None:
        """Take what rules are about to become; None when nobody knows what they were."""
        if change is None or touches_udp(change):
            self._due = True
        elif not self._due:
            # As good, and the graph before need not be kept for it.
            self._before = change.new

    def clean(self, graph: RuleGraph) -> conntrack.DeletionReport | None:
        """Delete what is stale, once the rules of `graph` are there; return what was done.

        That is None, and costs nothing, unless something could be stale. Raises ApplyError, and
        then the next call does it.
        """
        if not self._due:
            return None
        family = graph.settings.family
        planned = plan(conntrack.observe(family, machine=self._machine), graph, self._before)
        report = conntrack.delete(planned, machine=self._machine)
        self._before, self._due = graph, False
        return report
