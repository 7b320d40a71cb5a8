"""When things are done: at once, together, again after a while, and once more when refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import TypeVar

from attrs import define, evolve, field

from svcnet import checks
from svcnet.checks import Check, is_of
from svcnet.errors import ApplyError, named
from svcnet.executors.children import Interruption
from svcnet.executors.stages import Stages
from svcnet.graph import GraphDiff, RuleGraph, diff
from svcnet.modes.adapter import SyncResult
from svcnet.modes.pace import Pace
from svcnet.reconciler.change import Change
from svcnet.reconciler.events import (
    Event,
    Queued,
    Refused,
    Resolved,
    Settled,
    Swept,
    Synced,
    Taken,
    Trigger,
    Warned,
)
from svcnet.reconciler.fault import as_refusal
from svcnet.reconciler.flows import StaleFlows
from svcnet.reconciler.follower import Follower, Snapshot, WantedGraph
from svcnet.reconciler.left_out import left_out
from svcnet.reconciler.leftovers import Leftovers
from svcnet.reconciler.target import Target

SHORTEST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 60.0
MOST_DOUBLINGS = 10
"""From the shortest time on, that is more than the longest."""
MOST_TIMES = 1000
"""Of changes of endpoints that are followed together, so many have their times told."""
REST = 4
"""Times as long as the last look took, before the next: looks take a fifth of the time at most."""

Value = TypeVar("Value")


@define
class FamilyState:
    """A family: who compiles it, who puts it on the machine, and what is wanted there.

    ``flows`` is None where entries of connection tracking are not the rules' concern, and
    ``leftovers`` where there are no rules. What is not on the machine yet was ``heard`` of at a
    time of the monotonic clock, and ``happened`` when its objects say. ``retries`` is why
    something is done after a refusal: a look that was refused is still a look. ``lacking`` are
    warnings of Services without the endpoints that they ask for.
    """

    follower: Follower
    target: Target
    flows: StaleFlows | None = None
    leftovers: Leftovers | None = None
    wanted: RuleGraph | None = None
    heard: float | None = None
    happened: tuple[float, ...] = ()
    refusals: int = 0
    retries: Trigger = "retry"
    warned: frozenset[str] = frozenset()
    lacking: tuple[str, ...] = ()


@define
class _Pending:
    """What is to be followed next, and since when it waits."""

    snapshot: Snapshot
    change: Change
    heard: float
    happened: tuple[float, ...]


@define
class _Sync:
    """One try of one family: why, and how long its parts took so far."""

    trigger: Trigger
    begun: float = field(factory=monotonic)
    stages: Stages = field(factory=Stages)


class Loop:
    """Follows states of a cluster on one machine, each family by itself.

    `tell` is given everything that happens, in the thread where it does, but for warnings of
    checks that are `ignored`. What takes time runs in a thread; nothing of a machine is touched
    by two at once.
    """

    def __init__(
        self,
        families: list[FamilyState],
        pace: Pace,
        tell: Callable[[Event], None],
        ignored: Iterable[Check] = (),
    ) -> None:
        self._kept = families
        self._ignored = tuple(ignored)
        self.pace = pace
        self._tell = tell
        self._news = asyncio.Event()
        self._pending: _Pending | None = None
        self._done_at = -float("inf")
        self._look_due = -float("inf")
        self._retry_at: float | None = None

    @property
    def _families(self) -> tuple[str, ...]:
        return tuple(kept.target.family for kept in self._kept)

    def follow(
        self, snapshot: Snapshot, change: Change | None = None, happened: Iterable[float] = ()
    ) -> None:
        """Have `snapshot` be what is wanted from now on; those in between may be passed over.

        `change` is what differs from the snapshot that was given before. `happened` are the
        times of changes of endpoints that are in it, in seconds since 1970.
        """
        change = change or Change()
        waiting = self._pending
        times = (*(waiting.happened if waiting else ()), *happened)[:MOST_TIMES]
        heard = waiting.heard if waiting else monotonic()
        all_changes = waiting.change | change if waiting else change
        self._pending = _Pending(snapshot, all_changes, heard, times)
        self._tell(Queued(change, self._families))
        self._news.set()

    async def run(self) -> None:
        """Follow until cancelled; what is under way is finished first.

        That takes no longer than the deadline that holds here leaves to the commands it runs.
        """
        # One thread of its own: the event loop's would grow in number, one by one, by chance.
        with ThreadPoolExecutor(1, "sync") as thread:
            await self._run(thread)

    async def _run(self, thread: Executor) -> None:
        trigger: Trigger = "start"
        await self._news.wait()
        while True:
            pending, begun = self._take(), monotonic()
            await _to_its_end(thread, partial(self._try, partial(self._sync, pending, trigger)))
            if trigger == "start":
                self._looked(begun)
            self._ended()
            while not await self._has_news():
                begun = monotonic()
                await _to_its_end(thread, partial(self._try, self._check))
                self._looked(begun)
                self._ended()
            trigger = "change"

    def _take(self) -> _Pending:
        self._news.clear()
        pending, self._pending = self._pending, None
        assert pending is not None
        self._tell(Taken())
        return pending

    def _looked(self, begun: float) -> None:
        """Take it that all of the machine was looked through, and when that is due again.

        Between two looks there is time for changes, whatever the period and the size of the rules.
        """
        now = monotonic()
        self._look_due = now + max(self.pace.sync_period, REST * (now - begun))

    def _ended(self) -> None:
        self._done_at = monotonic()
        if self._retry_at is None:
            self._tell(Settled())
        if self._pending is not None:
            self._tell(Queued(Change(), self._families))

    async def _has_news(self) -> bool:
        """Return True when there is something to follow, False when it is time to look.

        A look that is due comes first: changes without end do not put it off.
        """
        due = self._look_due
        if self._retry_at is not None:
            due = min(due, self._retry_at)
        if due <= monotonic():
            return False
        try:
            async with asyncio.timeout(due - monotonic()):
                await self._news.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(max(self._done_at + self.pace.min_sync - monotonic(), 0))
        return True

    def _try(self, work: Callable[[], None]) -> None:
        """Do a round of work, or as much of it as the end of svcnet leaves time for."""
        try:
            work()
        except Interruption as error:
            self._tell(Warned(self._kept[0].target.family, str(error)))

    def _sync(self, pending: _Pending, trigger: Trigger) -> None:
        for kept in self._kept:
            self._follow(kept, pending, _Sync(trigger))
        self._plan_retry()

    def _follow(self, kept: FamilyState, pending: _Pending, sync: _Sync) -> None:
        """Compile what is wanted of one family, and take the machine there."""
        with sync.stages.stage("compile"):
            wanted = kept.follower.follow(pending.snapshot, pending.change.touched)
            before, kept.wanted = kept.wanted, wanted.graph
            change = None if before is None else diff(before, wanted.graph, wanted.names)
        if kept.flows is not None:
            kept.flows.note(change)
        kept.lacking = left_out(pending.snapshot.left_out, "endpoints")
        kept.retries = "retry"
        kept.heard = pending.heard if kept.heard is None else kept.heard
        kept.happened = (*kept.happened, *pending.happened)[:MOST_TIMES]
        done = self._step(kept, wanted, change) or self._whole(kept, wanted.graph, change)
        if done is not None:
            self._synced(kept, done, sync, change)

    def _step(
        self, kept: FamilyState, wanted: WantedGraph, change: GraphDiff | None
    ) -> SyncResult | None:
        """Take the machine from the graph before to the one now; None if it was refused."""
        try:
            with as_refusal():
                return kept.target.step(wanted.graph, wanted.names)
        except ApplyError as error:
            self._refused(kept, error, change, full=False)
            return None

    def _whole(
        self, kept: FamilyState, graph: RuleGraph, change: GraphDiff | None, *, look: bool = False
    ) -> SyncResult | None:
        """Put all right, by a `look` if it is most likely so already; None if it was refused."""
        try:
            with as_refusal():
                done = kept.target.look(graph) if look else kept.target.whole(graph)
        except ApplyError as error:
            kept.refusals += 1
            self._refused(kept, error, change, full=True)
            return None
        kept.refusals = 0
        return done

    def _check(self) -> None:
        """Look through the machine: repair what differs, and try again what was refused."""
        for kept in self._kept:
            assert kept.wanted is not None
            refused = kept.refusals > 0
            trigger = kept.retries if refused else "check"
            kept.retries = trigger
            sync = _Sync(trigger)
            done = self._whole(kept, kept.wanted, None, look=not refused)
            if done is None:
                continue
            if done.kind != "none" and kept.flows is not None:
                kept.flows.note(None)
            self._synced(kept, done, sync, None)
        self._plan_retry()

    def _synced(
        self, kept: FamilyState, done: SyncResult, sync: _Sync, change: GraphDiff | None
    ) -> None:
        """Do what comes after rules, and tell what became of it all."""
        assert kept.wanted is not None
        sync.stages.merge(done.stages)
        with sync.stages.stage("leftovers"):
            done = self._sweep(kept, done)
        with sync.stages.stage("conntrack"):
            done, deleted = _clean_flows(kept, done)
        unserved = left_out(kept.wanted.left_out, "rules")
        warnings = (*unserved, *kept.lacking, *done.warnings)
        heeded = tuple(text for text in warnings if not is_of(text, self._ignored))
        done = evolve(done, warnings=heeded)
        self._warn(kept, done.warnings)
        target, now = kept.target, monotonic()
        lag = 0.0 if kept.heard is None else now - kept.heard
        happened, kept.heard, kept.happened = kept.happened, None, ()
        synced = Synced(
            *(target.family, target.mode, sync.trigger, done, kept.wanted, change),
            *(now - sync.begun, sync.stages.seconds, lag, happened, deleted),
        )
        self._tell(synced)

    def _sweep(self, kept: FamilyState, done: SyncResult) -> SyncResult:
        """Remove what other modes left, now that this one serves."""
        found, done = done.found, evolve(done, found=None)
        if kept.leftovers is None:
            return done
        try:
            with as_refusal():
                removed = kept.leftovers.remove(found)
        except ApplyError as error:
            told = checks.MACHINE_STATE.line(f"what another mode left is still there: {error}")
            return evolve(done, warnings=(*done.warnings, told))
        if removed:
            self._tell(Swept(kept.target.family, removed))
        return done

    def _refused(
        self, kept: FamilyState, error: ApplyError, change: GraphDiff | None, *, full: bool
    ) -> None:
        assert kept.wanted is not None
        services = () if change is None else change.names
        wait = self._backoff(kept.refusals) if full else 0.0
        target = kept.target
        refused = Refused(
            *(target.family, target.mode, named(error), kept.wanted, full, services, wait),
            stage=target.stage,
        )
        self._tell(refused)

    def _warn(self, kept: FamilyState, warnings: tuple[str, ...]) -> None:
        """Tell warnings, but not those of the last time again, and which of these are over."""
        for warning in warnings:
            if warning not in kept.warned:
                self._tell(Warned(kept.target.family, warning))
        for text in sorted(kept.warned.difference(warnings)):
            self._tell(Resolved(kept.target.family, text))
        kept.warned = frozenset(warnings)

    def _plan_retry(self) -> None:
        refusals = max(kept.refusals for kept in self._kept)
        self._retry_at = monotonic() + self._backoff(refusals) if refusals else None

    def _backoff(self, refusals: int) -> float:
        """Return how many seconds to wait after so many refusals in a row."""
        first = max(self.pace.min_sync, SHORTEST_BACKOFF_SECONDS)
        doublings: int = 2 ** min(refusals, MOST_DOUBLINGS)
        return min(first * doublings, LONGEST_BACKOFF_SECONDS)


def _clean_flows(kept: FamilyState, done: SyncResult) -> tuple[SyncResult, int | None]:
    """Delete the entries that the rules made stale; return what was done in all, and how many."""
    if kept.flows is None or kept.wanted is None:
        return done, None
    try:
        with as_refusal():
            report = kept.flows.clean(kept.wanted)
    except ApplyError as error:
        told = checks.MACHINE_STATE.line(str(error))
        return evolve(done, warnings=(*done.warnings, told)), None
    if report is None:
        return done, None
    text = f"{done.text}, {report}" if report.deleted else done.text
    return evolve(done, text=text), report.deleted


async def _to_its_end(thread: Executor, work: Callable[[], Value]) -> Value:
    """Run `work` in a thread, to its end even if this task is cancelled."""
    context = copy_context()
    future = asyncio.get_running_loop().run_in_executor(thread, context.run, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await future
        raise
