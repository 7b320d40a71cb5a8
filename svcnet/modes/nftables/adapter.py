"""The table of mode nftables of one IP family, kept true."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import partial

from attrs import evolve

from svcnet.executors import nftables
from svcnet.executors.commits import Commits
from svcnet.executors.stages import Stages
from svcnet.family import IPFamily
from svcnet.graph import GraphDiff, Origin, RuleGraph
from svcnet.modes.adapter import Adapter, SyncResult, few
from svcnet.renderers import nftables as tables
from svcnet.servers.monitoring import NFT


class NFTablesAdapter(Adapter):
    """The table of one family.

    It remembers which commits there had been when the table was right. `commits` are those of the
    machine that it works on; adapters of several families share them, so that what one writes is
    not somebody else's work to the other.
    """

    def __init__(self, family: IPFamily, table: str, commits: Commits) -> None:
        super().__init__(family, "nftables")
        self._table = table
        self._commits = commits
        self._machine = commits.machine
        self._ruleset: tables.Ruleset | None = None
        self._seal: Hashable | None = None
        self._warnings: tuple[str, ...] = ()
        self._stale: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        """What metrics call a refusal, with kube-proxy's counters of it."""
        return NFT

    def warnings(self) -> tuple[str, ...]:
        """Return what was to be told of the table when it was last loaded."""
        return self._warnings

    def whole(self, graph: RuleGraph) -> SyncResult:
        """Look what there is, and load what differs."""
        return self._whole(graph)[0]

    def _whole(self, graph: RuleGraph) -> tuple[SyncResult, nftables.NFTablesReport]:
        stages = Stages()
        with stages.stage("render"):
            ruleset = tables.full(graph, self._table)
        self._ruleset = self._seal = None
        self._commits.deaf()
        # The mark is of a time before the table is listed: what somebody writes from then on
        # makes it another, whether or not it was seen.
        before = self._mark()
        report = nftables.apply(ruleset, machine=self._machine)
        self._commits.made(report.commits)
        self._ruleset, self._warnings = ruleset, report.warnings
        self._stale = report.left
        self._seal = before
        stages.merge(report.stages)
        done = SyncResult(report.plan.kind, str(report), report.warnings, stages.seconds)
        return done, report

    def step(self, graph: RuleGraph, change: GraphDiff) -> SyncResult | None:
        """Load the difference of two graphs, without a look at the table."""
        before = self._ruleset
        if before is None:
            return None
        stages = Stages()
        with stages.stage("render"):
            after, delta = tables.advance(before, change)
        self._ruleset = None
        with stages.stage("write"):
            stale = nftables.apply_step(
                delta, partial(_origin, before, after), machine=self._machine
            )
        self._commits.made(1)
        self._stale += stale
        self._ruleset = after
        lines = len(delta.lines) + len(delta.stale)
        told = f"{self.family}, nftables: {lines} lines"
        return SyncResult("delta", told, self._warnings, stages.seconds)

    def look(self, graph: RuleGraph) -> SyncResult:
        """Load all anew, if anybody else has changed any table since it was right."""
        stages = Stages()
        if self._ruleset is not None and self._seal is not None:
            with stages.stage("observe"):
                is_right = self._mark() == self._seal
            if is_right and not self._stale:
                return self.idle("nothing has changed")
            if is_right and self._remove_stale(self._ruleset):
                return self.idle("nothing has changed, and what nothing leads to has gone")
        done, report = self._whole(graph)
        if done.kind == "none":
            return done
        services = few(_services(report))
        return evolve(done, differed=report.plan.differed, services=services)

    def _remove_stale(self, ruleset: tables.Ruleset) -> bool:
        """Delete chains that nothing leads to, and that are not wanted again; return success."""
        wanted = {name for block in ruleset.blocks.values() for name in block.chains}
        gone = tuple(name for name in dict.fromkeys(self._stale) if name not in wanted)
        left = nftables.remove(ruleset.table, gone, machine=self._machine)
        self._commits.made(bool(gone) and not left)
        self._stale = left
        return not left

    def _mark(self) -> Hashable | None:
        """Return what is the same as before if nobody else wrote, None if it cannot be told."""
        try:
            return self._commits.of_others()
        except OSError:
            return None


def _services(report: nftables.NFTablesReport) -> Iterator[str]:
    """Yield the Services that loaded lines are about, as often as they come."""
    for line in report.plan.text.splitlines():
        origin = report.ruleset.origin_of_line(line)
        if origin is not None:
            yield f"{origin.namespace}/{origin.name}"


def _origin(before: tables.Ruleset, after: tables.Ruleset, line: str) -> Origin | None:
    """Return what caused a line of a step: what it takes away is of what was there before."""
    is_gone = line.startswith("delete ")
    for ruleset in (before, after) if is_gone else (after, before):
        if origin := ruleset.origin_of_line(line):
            return origin
    return None
