"""The virtual servers, sets, addresses and rules of one IP family, kept true."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Literal

from attrs import define, evolve, field

from svcnet.executors import iptables, ipvs
from svcnet.executors.commits import Commits
from svcnet.executors.stages import Stages
from svcnet.family import IPFamily
from svcnet.graph import GraphDiff, RuleGraph
from svcnet.modes.adapter import Adapter, Inspection, SyncResult, few
from svcnet.renderers import ipvs as tables_of
from svcnet.renderers.ipvs.sets import IPVS_IPS


@define
class _Look:
    """A look at it all that goes on: what differs from ``tables``, and the steps meanwhile.

    ``seal`` is the mark of when it was right, ``after`` that of now, if it is known to be right.
    """

    tables: tables_of.IPVSTables
    seal: Hashable | None
    after: Hashable | None = None
    stages: Stages = field(factory=Stages)
    steps: list[tables_of.IPVSDelta] = field(factory=list)
    found: ipvs.IPVSFindings | None = None


class IPVSAdapter(Adapter):
    """The virtual servers, sets, addresses and rules of one family.

    It remembers a mark of all that from when it was right. `commits` are those of the
    machine that it works on, shared by the adapters of several families. `drain` is
    how many seconds the connections of a removed TCP endpoint have to end. `other_modes` is as in
    :func:`svcnet.executors.ipvs.apply`, and asked once.
    """

    def __init__(
        self,
        family: IPFamily,
        variant: iptables.Variant | None,
        commits: Commits,
        drain: int,
        other_modes: ipvs.OtherModes,
    ) -> None:
        super().__init__(family, "ipvs")
        self._other_modes = cache(other_modes)
        self._variant = variant
        self._drain = drain
        self._commits = commits
        self._machine = commits.machine
        self._tables: tables_of.IPVSTables | None = None
        self._marks: iptables.Marks | None = None
        self._seal: Hashable | None = None
        self._warnings: tuple[str, ...] = ()
        self._has_others = False
        self._others: frozenset[str] = frozenset()
        self._look: _Look | None = None

    def whole(self, graph: RuleGraph) -> SyncResult:
        """Observe the kernel and do what differs; endpoints that have drained go."""
        stages = Stages()
        with stages.stage("render"):
            tables = tables_of.full(graph)
        self._tables = self._seal = self._look = None
        with stages.stage("observe"):
            before = self._mark(tables)
        with self._keep_partial(tables):
            report = ipvs.apply(
                tables,
                variant=self._variant,
                drain=self._drain,
                other_modes=self._other_modes,
                machine=self._machine,
            )
        stages.merge(report.stages)
        done = self._finish(tables, report, stages)
        if before is not None and not report.plan.steps:
            # Nothing that was observed was wrong, and nobody changed it meanwhile.
            with stages.stage("observe"):
                self._seal = before if self._mark(tables) == before else None
        return evolve(done, stages=stages.seconds)

    def step(self, graph: RuleGraph, change: GraphDiff) -> SyncResult | None:
        """Send the difference of two graphs; only servers that change are asked whose they are."""
        if self._tables is None:
            return None
        stages = Stages()
        with stages.stage("render"):
            tables, delta = tables_of.advance(self._tables, change)
        if (self._has_others and delta.rules) or self._meets_others(delta):
            # Its rules know nothing of others' virtual servers.
            return None
        self._tables = self._seal = None
        with ipvs.IPVS(self._machine) as kernel, self._keep_partial(tables):
            report = ipvs.apply_step(delta, kernel, variant=self._variant, drain=self._drain)
        self._wrote(report)
        self._tables = tables
        if self._look is not None:
            self._look.steps.append(delta)
        stages.merge(report.stages)
        return SyncResult("delta", str(report), self._warnings, stages.seconds)

    def inspection(self, graph: RuleGraph) -> Inspection | None:
        """Begin to do what differs, if the mark of it all is not what it was when it was right."""
        if self._tables is None or self._marks is None:
            return None
        look = self._look = _Look(self._tables, self._seal)
        return Inspection(partial(self._read, look), partial(self._repair, look))

    def _read(self, look: _Look) -> None:
        """Find what differs, if the mark tells to."""
        with look.stages.stage("observe"):
            before = self._mark(look.tables)
        if before is not None and before == look.seal:
            return
        look.found = ipvs.find(
            look.tables,
            variant=self._variant,
            drain=self._drain,
            other_modes=self._other_modes,
            stages=look.stages,
            machine=self._machine,
        )
        if before is not None and not look.found.plan.steps:
            # Nothing that was observed is wrong, and nobody changed it meanwhile.
            with look.stages.stage("observe"):
                look.after = before if self._mark(look.tables) == before else None

    def _repair(self, look: _Look) -> SyncResult | None:
        """Do what differs, unless steps have been there meanwhile."""
        if look is not self._look:
            return self.idle("put right meanwhile")
        self._look = None
        if look.found is None:
            return evolve(self.idle("nothing has changed"), stages=look.stages.seconds)
        if look.steps:
            planned = look.found.plan
            if planned.drained or not ipvs.is_of_steps(planned, look.steps):
                return None
            return evolve(self.idle("nothing to change"), stages=look.stages.seconds)
        self._tables = self._seal = None
        with self._machine.lock(self.family), self._keep_partial(look.tables):
            report = ipvs.carry_out(look.tables, look.found, look.stages)
        done = self._finish(look.tables, report, look.stages)
        self._seal = look.after
        if done.kind == "none":
            return done
        services = few(ipvs.services(report.plan, look.tables))
        return evolve(done, differed=report.plan.changes, services=services)

    def warnings(self) -> tuple[str, ...]:
        """Return what was to be told of the machine when it was last observed."""
        return self._warnings

    def _meets_others(self, delta: tables_of.IPVSDelta) -> bool:
        """Return whether an address comes that had a virtual server of others' at the last look."""
        if not self._others:
            return False
        return any(
            entry in self._others for definition, entry in delta.added if definition == IPVS_IPS
        )

    def _finish(
        self, tables: tables_of.IPVSTables, report: ipvs.IPVSReport, stages: Stages
    ) -> SyncResult:
        """Take that `tables` are what is there, and return what was done for that."""
        self._warnings = report.warnings
        self._has_others, self._others = bool(report.plan.beside), report.plan.others
        assert report.variant is not None
        self._marks = iptables.Marks(self.family, report.variant, self._commits)
        self._wrote(report)
        self._tables = tables
        kind: Literal["none", "full"] = "full" if report.plan.changes else "none"
        return SyncResult(kind, str(report), report.warnings, stages.seconds)

    def _mark(self, tables: tables_of.IPVSTables) -> Hashable | None:
        """Return a mark of what is there now, None if it cannot be told."""
        if self._marks is None:
            return None
        rules = self._marks.now(anywhere=bool(self._warnings))
        rest = ipvs.mark(tables, machine=self._machine)
        return None if rules is None or rest is None else (rules, rest)

    @contextmanager
    def _keep_partial(self, tables: tables_of.IPVSTables) -> Iterator[None]:
        """Remember what was done where some of it was refused.

        So steps go on from there, and do not wait for what a machine never takes.
        """
        try:
            yield
        except ipvs.IncompleteIPVS as error:
            self._wrote(error.report)
            self._tables = tables
            raise

    def _wrote(self, report: ipvs.IPVSReport) -> None:
        """Take note of the iptables rules that were written."""
        if self._marks is not None:
            self._marks.wrote(step.text for step in report.plan.steps if step.tool == "iptables")
