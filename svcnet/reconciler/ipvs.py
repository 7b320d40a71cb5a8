"""The virtual servers, sets, addresses and rules of one IP family, kept true."""

from __future__ import annotations

from typing import Literal

from svcnet.executors import iptables, ipvs
from svcnet.graph import FragmentName, RuleGraph
from svcnet.reconciler.target import Done, small_change
from svcnet.renderers import ipvs as tables_of
from svcnet.renderers.ipvs.messages import DelDest


class IPVSTarget:
    """The virtual servers, sets, addresses and rules of one family."""

    mode = "ipvs"

    def __init__(self, family: str, variant: iptables.Variant | None = None) -> None:
        self.family = family
        self._variant = variant
        self._graph: RuleGraph | None = None
        self._tables: tables_of.IPVSTables | None = None

    def whole(self, graph: RuleGraph) -> Done:
        """Observe the kernel and do what differs; endpoints that have drained go."""
        tables = tables_of.full(graph)
        self._graph = self._tables = None
        report = ipvs.apply(tables, variant=self._variant)
        self._graph, self._tables = graph, tables
        kind: Literal["none", "full"] = (
            "full" if any(map(_is_repair, report.plan.steps)) else "none"
        )
        return Done(kind, str(report), report.warnings)

    def step(self, graph: RuleGraph, names: frozenset[FragmentName] | None) -> Done:
        """Send the difference of two graphs; only servers that change are asked whose they are."""
        change = small_change(self._graph, graph, names)
        if change is None or self._tables is None:
            return self.whole(graph)
        if not change:
            return Done("none", f"{self.family}, ipvs: nothing to change")
        tables, delta = tables_of.advance(self._tables, change)
        self._graph = self._tables = None
        with ipvs.IPVS() as kernel:
            report = ipvs.apply_step(delta, kernel, variant=self._variant)
        self._graph, self._tables = graph, tables
        return Done("delta", str(report), report.warnings)

    def look(self, graph: RuleGraph) -> Done:
        """Observe everything and write what differs."""
        return self.whole(graph)


def _is_repair(step: ipvs.Step) -> bool:
    """Return whether a step is more than taking away endpoints whose connections have ended."""
    return bool(step.lines) or not all(isinstance(each, DelDest) for each in step.messages)
