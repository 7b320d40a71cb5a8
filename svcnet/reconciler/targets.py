"""One IP family of a machine, in one mode: what puts graphs there and keeps them true."""

from __future__ import annotations

from typing import Literal, Protocol

from attrs import frozen

from svcnet.errors import ApplyError
from svcnet.executors import iptables, ipvs
from svcnet.executors.iptables.commands import RestoreError
from svcnet.graph import FragmentName, GraphDiff, RuleGraph, diff
from svcnet.renderers import iptables as iptables_rules
from svcnet.renderers import ipvs as ipvs_tables
from svcnet.renderers.ipvs.messages import DelDest

STEP_SERVICE_PORTS = 100
"""A change of more service ports is put right as a whole, which orders large writes well."""


@frozen
class Done:
    """What became of one try: how it was done, in a few words, and what an operator must see."""

    kind: Literal["none", "delta", "full"]
    text: str
    warnings: tuple[str, ...] = ()


class Target(Protocol):
    """What the loop keeps true. Every method raises ApplyError when the machine refuses."""

    family: str

    def whole(self, graph: RuleGraph) -> Done:
        """Bring the machine to `graph`, whatever is there; also finds and repairs drift."""

    def step(self, graph: RuleGraph, names: frozenset[FragmentName] | None) -> Done:
        """Take the machine to `graph` from the graph that it was given before.

        `names` are the fragments that may differ, None for all.
        """


class IptablesTarget:
    """The iptables rules of one family."""

    def __init__(self, family: str, variant: iptables.Variant | None = None) -> None:
        self.family = family
        self._variant = variant
        self._commands: iptables.Commands | None = None
        self._text: iptables_rules.RestoreText | None = None
        self._graph: RuleGraph | None = None

    def whole(self, graph: RuleGraph) -> Done:
        """Observe the tables and write what differs."""
        text = iptables_rules.full(graph, self._text)
        self._graph = self._text = None
        report = iptables.apply(text, variant=self._variant)
        self._commands = iptables.Commands(self.family, report.variant)
        self._graph, self._text = graph, text
        return Done(report.plan.kind, str(report), report.warnings)

    def step(self, graph: RuleGraph, names: frozenset[FragmentName] | None) -> Done:
        """Write the difference of two graphs, without a look at the tables."""
        change = _small_change(self._graph, graph, names)
        if change is None or self._commands is None:
            return self.whole(graph)
        if not change:
            return Done("none", f"{self.family}, iptables: nothing to change")
        delta = iptables_rules.delta(change)
        self._graph = None
        try:
            self._commands.restore(delta.text)
        except RestoreError as error:
            raise ApplyError(str(error)) from None
        self._graph = graph
        lines = delta.text.count("\n")
        return Done("delta", f"{self.family}, iptables-{self._commands.variant}: {lines} lines")


class IPVSTarget:
    """The virtual servers, sets, addresses and rules of one family."""

    def __init__(self, family: str, variant: iptables.Variant | None = None) -> None:
        self.family = family
        self._variant = variant
        self._graph: RuleGraph | None = None
        self._tables: ipvs_tables.IPVSTables | None = None

    def whole(self, graph: RuleGraph) -> Done:
        """Observe the kernel and do what differs; endpoints that have drained go."""
        tables = ipvs_tables.full(graph)
        self._graph = self._tables = None
        report = ipvs.apply(tables, variant=self._variant)
        self._graph, self._tables = graph, tables
        kind: Literal["none", "full"] = (
            "full" if any(map(_is_repair, report.plan.steps)) else "none"
        )
        return Done(kind, str(report), report.warnings)

    def step(self, graph: RuleGraph, names: frozenset[FragmentName] | None) -> Done:
        """Send the difference of two graphs; only servers that change are asked whose they are."""
        change = _small_change(self._graph, graph, names)
        if change is None or self._tables is None:
            return self.whole(graph)
        if not change:
            return Done("none", f"{self.family}, ipvs: nothing to change")
        tables, delta = ipvs_tables.advance(self._tables, change)
        self._graph = self._tables = None
        with ipvs.IPVS() as kernel:
            report = ipvs.apply_step(delta, kernel, variant=self._variant)
        self._graph, self._tables = graph, tables
        return Done("delta", str(report), report.warnings)


def _is_repair(step: ipvs.Step) -> bool:
    """Return whether a step is more than taking away endpoints whose connections have ended."""
    return bool(step.lines) or not all(isinstance(each, DelDest) for each in step.messages)


def _small_change(
    before: RuleGraph | None, after: RuleGraph, names: frozenset[FragmentName] | None
) -> GraphDiff | None:
    """Return the difference, or None if it is not known or too large for one step."""
    if before is None:
        return None
    change = diff(before, after, names)
    count = len(change.added) + len(change.removed) + len(change.changed)
    return None if change.settings_changed or count > STEP_SERVICE_PORTS else change


def put(target: Target, graph: RuleGraph, names: frozenset[FragmentName] | None) -> Done:
    """Take a target to a graph by a step, and if the machine refuses that, as a whole."""
    try:
        return target.step(graph, names)
    except ApplyError as error:
        done = target.whole(graph)
        told = f"{target.family}: a step was refused, all was looked through instead: {error}"
        return Done(done.kind, done.text, (told, *done.warnings))
