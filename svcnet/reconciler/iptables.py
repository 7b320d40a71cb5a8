"""The iptables rules of one IP family, kept true."""

from __future__ import annotations

from svcnet.errors import ApplyError
from svcnet.executors import iptables
from svcnet.executors.iptables.commands import RestoreError
from svcnet.graph import FragmentName, RuleGraph
from svcnet.reconciler.target import Done, small_change
from svcnet.renderers import iptables as rules


class IptablesTarget:
    """The iptables rules of one family."""

    mode = "iptables"

    def __init__(self, family: str, variant: iptables.Variant | None = None) -> None:
        self.family = family
        self._variant = variant
        self._commands: iptables.Commands | None = None
        self._text: rules.RestoreText | None = None
        self._graph: RuleGraph | None = None

    def whole(self, graph: RuleGraph) -> Done:
        """Observe the tables and write what differs."""
        text = rules.full(graph, self._text)
        self._graph = self._text = None
        report = iptables.apply(text, variant=self._variant)
        self._commands = iptables.Commands(self.family, report.variant)
        self._graph, self._text = graph, text
        return Done(report.plan.kind, str(report), report.warnings)

    def step(self, graph: RuleGraph, names: frozenset[FragmentName] | None) -> Done:
        """Write the difference of two graphs, without a look at the tables."""
        change = small_change(self._graph, graph, names)
        if change is None or self._commands is None:
            return self.whole(graph)
        if not change:
            return Done("none", f"{self.family}, iptables: nothing to change")
        delta = rules.delta(change)
        self._graph = None
        try:
            self._commands.restore(delta.text)
        except RestoreError as error:
            raise ApplyError(str(error)) from None
        self._graph = graph
        lines = delta.text.count("\n")
        return Done("delta", f"{self.family}, iptables-{self._commands.variant}: {lines} lines")

    def look(self, graph: RuleGraph) -> Done:
        """Observe everything and write what differs."""
        return self.whole(graph)
