"""The table of mode nftables of one IP family, kept true."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import suppress
from functools import partial
from threading import Lock

from attrs import define, evolve, field

from svcnet.errors import ApplyError
from svcnet.executors import nftables
from svcnet.executors.commits import Commits
from svcnet.executors.nftables.dump import Handles, TableObservation, all_handles
from svcnet.executors.nftables.known import KnownHandles
from svcnet.executors.nftables.plan import NFTablesPlan, plan
from svcnet.executors.stages import Stages
from svcnet.family import IPFamily
from svcnet.graph import GraphDiff, Origin, RuleGraph
from svcnet.modes.adapter import Adapter, Inspection, SyncResult, few
from svcnet.modes.stages import NFT, NFT_CLEANUP
from svcnet.netfilter.nft import NFTPlace, NFTSet, are_apart, places
from svcnet.nogc import without_gc
from svcnet.renderers import nftables as tables
from svcnet.words import count_noun


@define
class _Look:
    """A look at the table that goes on: a listing, compared with what is wanted by then.

    ``seal`` is the mark of when the table was right, ``before`` that of before it is listed, and
    ``handles`` those of rules that were right by then, if all are known. ``steps`` say what was
    written to meanwhile; so many as are ``known`` are in ``planned``. Where all is right and it
    ``is_taught``, the handles are ``learned``, or None if that failed.
    """

    seal: Hashable | None
    before: Hashable | None
    handles: Handles | None
    stages: Stages
    steps: list[frozenset[NFTPlace]] = field(factory=list)
    known: int = 0
    planned: NFTablesPlan | None = None
    is_taught: bool = False
    learned: Handles | None = None

    @property
    def is_right(self) -> bool:
        """Whether nobody else has written since the table was right."""
        return self.before is not None and self.before == self.seal


class NFTablesAdapter(Adapter):
    """The table of one family.

    It remembers which commits there had been when the table was right. `commits` are those of the
    machine that it works on; adapters of several families share them, so that none takes what
    another writes for somebody else's work.
    """

    def __init__(
        self, family: IPFamily, table: str, commits: Commits, layout: tables.Layout = "kube-proxy"
    ) -> None:
        super().__init__(family, "nftables")
        self._table = nftables.table_of(family, table)
        self._layout = layout
        self._commits = commits
        self._machine = commits.machine
        self._ruleset: tables.Ruleset | None = None
        self._seal: Hashable | None = None
        self._warnings: tuple[str, ...] = ()
        self._stale: tuple[str, ...] = ()
        self._room: dict[str, int] = {}
        self._known = KnownHandles(self._table, self._machine)
        self._look: _Look | None = None
        self._writing = Lock()
        self._writer = nftables.NFTWriter(commits.machine, before_load=commits.deaf)

    @property
    def stage(self) -> str:
        """What metrics call a refusal, with kube-proxy's counters of it."""
        return NFT

    def warnings(self) -> tuple[str, ...]:
        """Return what was to be told of the table when it was last loaded."""
        return self._warnings

    def whole(self, graph: RuleGraph) -> SyncResult:
        """Look what there is, and load what differs."""
        stages = Stages()
        with stages.stage("render"):
            ruleset = tables.full(graph, self._table.name, self._layout)
        self._ruleset = self._seal = self._look = None
        self._known.forget()
        # The mark is of a time before the table is listed: what somebody writes from then on
        # makes it another, whether or not it was seen.
        before = self._mark()
        with self._writing:
            report = nftables.apply(ruleset, machine=self._machine, writer=self._writer)
            self._commits.attend()
            stages.merge(report.stages)
            self._stale = report.left
            done = self._finish(report, before, stages)
        if self._writer.takes(report.ruleset):
            self._learn_few(report.ruleset)
        return done

    def _learn_few(self, ruleset: tables.Ruleset) -> None:
        """Learn the handles of a table that is right and has few rules, if nobody else has written.

        So not even the first look waits for a listing by nft.
        """
        with suppress(ApplyError):
            found = all_handles(ruleset, machine=self._machine)
            if self._mark() == self._seal is not None:
                self._known.take_handles(found)

    def step(self, graph: RuleGraph, change: GraphDiff) -> SyncResult | None:
        """Load the difference of two graphs, without a look at the table."""
        before = self._ruleset
        if before is None:
            return None
        stages = Stages()
        with stages.stage("render"):
            after, delta = tables.advance(before, change, self._room)
        with self._writing:
            self._ruleset = None
            with stages.stage("write"):
                origin_of = partial(_origin, before, after)
                commits, stale = self._writer.step(delta, after, origin_of)
            self._commits.count_own(commits)
            self._stale += stale
            # Chains that came stay: a rolling update would have them go and come again.
            self._ruleset = after.keep(after.buckets) if delta.first else after
            if delta.growth is not None:
                self._room |= {each.name: each.size for each in delta.growth.sets}
            named = delta.places()
            touched = frozenset(named)
            self._known.wrote(touched)
            if self._look is not None:
                self._look.steps.append(touched)
        told = f"{self.family}, nftables: {count_noun(len(named), 'line')}"
        return SyncResult("delta", told, self._warnings, stages.seconds)

    def inspection(self, graph: RuleGraph) -> Inspection | None:
        """Begin to repair what differs, if anybody else has written since the table was right.

        What others wrote is asked for at once, between two steps: they move what tells it.
        """
        if self._ruleset is None:
            return None
        stages = Stages()
        with stages.stage("observe"):
            before = self._mark()
            if before == self._seal:
                self._learn_written()
        handles = self._known.all if self._known.is_whole else None
        look = self._look = _Look(self._seal, before, handles, stages)
        return Inspection(partial(self._read, look), partial(self._repair, look))

    def is_disturbed(self) -> bool:
        """Return whether anybody else wrote to the table since it was right."""
        if self._seal is None:
            return False
        mark = self._mark()
        if mark == self._seal:
            self._learn_written()
        return mark not in (None, self._seal)

    def _learn_written(self) -> None:
        """Learn the handles of rules that steps wrote, if nobody else has written."""
        with suppress(ApplyError):
            found = self._known.learn_written()
            if found is not None and self._mark() == self._seal is not None:
                self._known.take_handles(found)

    def _read(self, look: _Look) -> None:
        """See what there is, if there is reason to, and plan what makes it right."""
        if look.is_right:
            if not (self._known.is_whole or self._known.is_strange):
                look.is_taught = True
                look.learned = self._learn_handles(look)
            return
        with look.stages.stage("observe"):
            seen = self._observation(look)
        with look.stages.stage("plan"), without_gc():
            ruleset, settled = self._wish(look)
            if ruleset is not None:
                look.planned = plan(ruleset, seen, settled=settled)

    def _wish(self, look: _Look) -> tuple[tables.Ruleset | None, frozenset[NFTPlace]]:
        """Return what is wanted now, and what steps have written for that during a look."""
        with self._writing:
            # Between two steps, so that what is wanted and what was written go together.
            look.known = len(look.steps)
            empty = [NFTPlace("chain", name) for name in self._stale]
            return self._ruleset, frozenset(empty).union(*look.steps)

    def _observation(self, look: _Look) -> TableObservation:
        """Return the table as it is."""
        ruleset, _ = self._wish(look)
        if ruleset is None:
            return TableObservation(None)
        by_netlink = self._writer.takes(ruleset)
        if look.handles is not None:
            with suppress(ApplyError), without_gc():
                return nftables.dump(
                    ruleset, look.handles, machine=self._machine, by_netlink=by_netlink
                )
        return nftables.observe(ruleset, machine=self._machine, by_netlink=by_netlink)

    def _learn_handles(self, look: _Look) -> Handles | None:
        """Return the handles of all rules of a table that is right, if they can be told."""
        ruleset, _ = self._wish(look)
        if ruleset is None:
            return None
        with suppress(ApplyError), look.stages.stage("observe"), without_gc():
            return self._known.learn(
                ruleset,
                lambda: self._wish(look)[1],
                by_netlink=self._writer.takes(ruleset),
            )
        return None

    def _repair(self, look: _Look) -> SyncResult | None:
        """Load what was planned, unless steps have been there meanwhile."""
        if look is not self._look:
            return self.idle("put right meanwhile")
        self._look = None
        ruleset, planned = self._ruleset, look.planned
        if ruleset is None or (planned is None and not look.is_right):
            return None
        if planned is None:
            if look.is_taught and self._mark() == look.before:
                self._known.take_handles(look.learned, frozenset[NFTPlace]().union(*look.steps))
            return self._without_repair(ruleset, look)
        later = frozenset[NFTPlace]().union(*look.steps[look.known :])
        if later and not are_apart(places(planned.text, str(self._table)), later):
            return None
        if planned.kind == "full":
            self._commits.deaf()
            self._known.forget()
        else:
            self._known.wrote(places(planned.text, str(self._table)))
        self._ruleset = self._seal = None
        with self._writing:
            report = nftables.carry_out(
                ruleset, planned, look.stages, machine=self._machine, writer=self._writer
            )
            gone = set(planned.stale).difference(report.left)
            self._stale = tuple(name for name in self._stale if name not in gone) + report.left
            done = self._finish(report, look.before, look.stages)
        if self._stale and not self._remove_stale(ruleset):
            done = evolve(done, failed=NFT_CLEANUP)
        if done.kind == "none":
            return done
        services = few(_services(report))
        return evolve(done, differed=report.plan.differed, services=services)

    def _without_repair(self, ruleset: tables.Ruleset, look: _Look) -> SyncResult:
        """Delete what nothing leads to any more, where nobody else has written."""
        told, failed = "nothing has changed", ""
        if self._stale and self._remove_stale(ruleset):
            told += ", and what nothing leads to has gone"
        elif self._stale:
            failed = NFT_CLEANUP
        return evolve(self.idle(told), stages=look.stages.seconds, failed=failed)

    def _finish(
        self, report: nftables.NFTablesReport, before: Hashable | None, stages: Stages
    ) -> SyncResult:
        """Take that the table is what a report says, and return what was done for that."""
        self._commits.count_own(report.commits)
        self._ruleset, self._warnings, self._seal = report.ruleset, report.warnings, before
        sets = [each for each in report.ruleset.fixed.objects if type(each) is NFTSet]
        self._room = {each.name: each.size for each in sets}
        failed = NFT_CLEANUP if report.left else ""
        told = str(report), report.warnings, stages.seconds
        return SyncResult(report.plan.kind, *told, failed=failed)

    def _remove_stale(self, ruleset: tables.Ruleset) -> bool:
        """Delete chains that nothing leads to, and that are not wanted again; return success."""
        wanted = {name for block in ruleset.blocks.values() for name in block.chains}
        wanted.update(bucket.name for bucket in ruleset.all_buckets())
        gone = tuple(name for name in dict.fromkeys(self._stale) if name not in wanted)
        left = nftables.remove(ruleset.table, gone, machine=self._machine)
        self._commits.count_own(bool(gone) and not left)
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
