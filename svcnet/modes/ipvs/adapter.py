"""The virtual servers, sets, addresses and rules of one IP family, kept true."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Literal

from attrs import evolve

from svcnet.executors import iptables, ipvs
from svcnet.executors.commits import Commits
from svcnet.executors.stages import Stages
from svcnet.family import IPFamily
from svcnet.graph import GraphDiff, RuleGraph
from svcnet.modes.adapter import Adapter, SyncResult, few
from svcnet.renderers import ipvs as tables_of
from svcnet.renderers.ipvs.sets import IPVS_IPS


class IPVSAdapter(Adapter):
    """The virtual servers, sets, addresses and rules of one family.

    It remembers a mark of all that from when it was right. `commits` are those of the
    machine that it works on, shared by the adapters of several families. `drain` is
    how many seconds the connections of a removed TCP endpoint have to end.
    """

    def __init__(
        self,
        family: IPFamily,
        variant: iptables.Variant | None,
        commits: Commits,
        drain: int,
    ) -> None:
        super().__init__(family, "ipvs")
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

    def whole(self, graph: RuleGraph) -> SyncResult:
        """Observe the kernel and do what differs; endpoints that have drained go."""
        return self._whole(graph)[0]

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
        with ipvs.IPVS(self._machine) as kernel, self._kept(tables):
            report = ipvs.apply_step(delta, kernel, variant=self._variant, drain=self._drain)
        self._wrote(report)
        self._tables = tables
        stages.merge(report.stages)
        return SyncResult("delta", str(report), self._warnings, stages.seconds)

    def look(self, graph: RuleGraph) -> SyncResult:
        """Do what differs, if the mark of it all is not what it was when it was right."""
        stages = Stages()
        if self._tables is not None and self._seal is not None:
            with stages.stage("observe"):
                is_right = self._mark(self._tables) == self._seal
            if is_right:
                return evolve(self.idle("nothing has changed"), stages=stages.seconds)
        done, report = self._whole(graph)
        if done.kind == "none":
            return done
        assert self._tables is not None
        services = few(ipvs.services(report.plan, self._tables))
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

    def _whole(self, graph: RuleGraph) -> tuple[SyncResult, ipvs.IPVSReport]:
        stages = Stages()
        with stages.stage("render"):
            tables = tables_of.full(graph)
        self._tables = self._seal = None
        with stages.stage("observe"):
            before = self._mark(tables)
        with self._kept(tables):
            report = ipvs.apply(
                tables, variant=self._variant, drain=self._drain, machine=self._machine
            )
        self._warnings = report.warnings
        self._has_others, self._others = bool(report.plan.beside), report.plan.others
        assert report.variant is not None
        self._marks = iptables.Marks(self.family, report.variant, self._commits)
        self._wrote(report)
        self._tables = tables
        if before is not None and not report.plan.steps:
            # Nothing that was observed was wrong, and nobody changed it meanwhile.
            with stages.stage("observe"):
                self._seal = before if self._mark(tables) == before else None
        stages.merge(report.stages)
        kind: Literal["none", "full"] = "full" if report.plan.changes else "none"
        return SyncResult(kind, str(report), report.warnings, stages.seconds), report

    def _mark(self, tables: tables_of.IPVSTables) -> Hashable | None:
        """Return a mark of what is there now, None if it cannot be told."""
        if self._marks is None:
            return None
        rules = self._marks.now(anywhere=bool(self._warnings))
        rest = ipvs.mark(tables, machine=self._machine)
        return None if rules is None or rest is None else (rules, rest)

    @contextmanager
    def _kept(self, tables: tables_of.IPVSTables) -> Iterator[None]:
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
