"""When things are done: at once, together, again after a while, and once more when refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import TypeVar

from attrs import define, evolve, field

from svcnet import checks
from svcnet.checks import Check, is_of
from svcnet.errors import ApplyError, describe_error
from svcnet.executors.children import Deadline, Interruption, under
from svcnet.executors.stages import Stages
from svcnet.graph import GraphDiff, RuleGraph, diff
from svcnet.modes.adapter import Inspection, SyncResult
from svcnet.modes.pace import Pace
from svcnet.reconciler.change import Change
from svcnet.reconciler.events import (
    AllClearEvent,
    BeginEvent,
    Event,
    InSyncEvent,
    QueueEvent,
    RefusalEvent,
    SweepEvent,
    SyncEvent,
    Trigger,
    WarningEvent,
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
GLANCE_SECONDS = 0.5
"""How often it is asked whether anybody else wrote, where that costs next to nothing."""
READING_SECONDS = 60.0
"""So long the machine is read beside changes."""

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
    checks that are `ignored`. What takes time runs in a thread; nothing of a machine is changed
    by two at once. For a look it is read in a thread of its own, so no change waits for that.
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
        self._rested_at = -float("inf")
        self._replanned = asyncio.Event()
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
        self._tell(QueueEvent(change, self._families))
        self._news.set()

    async def run(self) -> None:
        """Follow until cancelled; what is under way is finished first.

        That takes no longer than the deadline that holds here leaves to the commands it runs. What
        is only read is not finished.
        """
        # Threads of its own: the event loop's would grow in number, one by one, by chance.
        with ThreadPoolExecutor(1, "sync") as sync, ThreadPoolExecutor(1, "look") as look:
            # A thread that begins with the first look would look like one too many.
            look.submit(monotonic)
            await self._news.wait()
            begun = monotonic()
            await self._follow_news(sync, "start")
            self._plan_next_look(begun)
            work = self._follow_changes(sync), self._look_often(sync, look)
            tasks = tuple(map(asyncio.create_task, work))
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def _follow_changes(self, sync: Executor) -> None:
        """Follow what comes, at the pace that is asked for."""
        while True:
            await self._news.wait()
            if (left := self._done_at + self.pace.min_sync - monotonic()) > 0:
                await asyncio.sleep(left)
            await self._follow_news(sync, "change")

    async def _follow_news(self, sync: Executor, trigger: Trigger) -> None:
        pending = self._take()
        await _to_its_end(sync, partial(self._try, partial(self._sync, pending, trigger)))
        self._done_at = monotonic()
        self._end()

    async def _look_often(self, sync: Executor, look: Executor) -> None:
        """Look through the machine when it is time, beside the changes that come meanwhile."""
        while True:
            await self._until_due(sync)
            begun = monotonic()
            for kept in self._kept:
                await self._look_at(kept, sync, look)
            self._plan_next_look(begun)
            self._end()

    async def _until_due(self, sync: Executor) -> None:
        """Wait until it is time to look: after a period, for a retry, or for what others did.

        That others did anything is asked for at its times, however many changes come between.
        """
        glance_at = monotonic() + GLANCE_SECONDS
        while (left := self._due() - (now := monotonic())) > 0:
            self._replanned.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(min(left, glance_at - now), 0)):
                    await self._replanned.wait()
            if (now := monotonic()) < glance_at:
                continue
            glance_at = now + GLANCE_SECONDS
            if now >= self._rested_at and await _to_its_end(sync, self._is_disturbed):
                return

    def _due(self) -> float:
        return self._look_due if self._retry_at is None else min(self._look_due, self._retry_at)

    def _is_disturbed(self) -> bool:
        """Return whether it is worth a look at once, as far as that can be told at little cost."""
        with suppress(ApplyError), as_refusal():
            return any(kept.target.is_disturbed() for kept in self._kept if not kept.refusals)
        return False

    async def _look_at(self, kept: FamilyState, sync: Executor, look: Executor) -> None:
        """Look at a family: read what is there, and then put right what differs.

        It is read beside changes. What they have overtaken, or would put off for too long, is
        looked at while none is made. What was refused is tried again as a whole.
        """
        told = _Sync("check")
        inspected = await self._finish_inspection(kept, sync, look)
        check = partial(self._check, kept, told, inspected)
        await _to_its_end(sync, partial(self._try, check))

    async def _finish_inspection(
        self, kept: FamilyState, sync: Executor, look: Executor
    ) -> Inspection | ApplyError | None:
        """Return an inspection of a family once it has read, or why it could not, if there is one.

        None too if it was not done in good time: a tool that begins anew with each change may not
        end as long as there are any.
        """
        inspection = await _to_its_end(sync, partial(_begin, kept))
        if not isinstance(inspection, Inspection):
            return inspection
        deadline = Deadline(READING_SECONDS)
        read = partial(_read, inspection, deadline)
        return await _to_its_end(look, read, partial(deadline.set, 0))

    def _take(self) -> _Pending:
        self._news.clear()
        pending, self._pending = self._pending, None
        assert pending is not None
        self._tell(BeginEvent())
        return pending

    def _plan_next_look(self, begun: float) -> None:
        """Take it that all of the machine was looked through, and when that is due again.

        Between two looks there is time for changes, whatever the period and the size of the rules.
        """
        now = monotonic()
        self._rested_at = now + REST * (now - begun)
        self._look_due = max(now + self.pace.sync_period, self._rested_at)

    def _end(self) -> None:
        self._replanned.set()
        if self._retry_at is None:
            self._tell(InSyncEvent())
        if self._pending is not None:
            self._tell(QueueEvent(Change(), self._families))

    def _try(self, work: Callable[[], None]) -> None:
        """Do a round of work, or as much of it as the end of svcnet leaves time for."""
        try:
            work()
        except Interruption as error:
            self._tell(WarningEvent(self._kept[0].target.family, str(error)))

    def _sync(self, pending: _Pending, trigger: Trigger) -> None:
        for kept in self._kept:
            self._follow(kept, pending, _Sync(trigger))
        self._plan_retry()

    def _follow(self, kept: FamilyState, pending: _Pending, sync: _Sync) -> None:
        """Compile what is wanted of one family, and take the machine there."""
        with sync.stages.stage("compile"):
            wanted = kept.follower.follow(pending.snapshot, pending.change.all_services)
            before, kept.wanted = kept.wanted, wanted.graph
            change = None if before is None else diff(before, wanted.graph, wanted.names)
        if kept.flows is not None:
            kept.flows.note(change)
        kept.lacking = left_out(pending.snapshot.left_out, "endpoints")
        kept.retries = "retry"
        kept.heard = pending.heard if kept.heard is None else kept.heard
        kept.happened = (*kept.happened, *pending.happened)[:MOST_TIMES]
        done = self._step(kept, wanted, change) or self._whole(
            kept, partial(kept.target.whole, wanted.graph), change
        )
        if done is not None:
            self._finish_sync(kept, done, sync, change)

    def _step(
        self, kept: FamilyState, wanted: WantedGraph, change: GraphDiff | None
    ) -> SyncResult | None:
        """Take the machine from the graph before to the one now; None if it was refused."""
        try:
            with as_refusal():
                return kept.target.step(wanted.graph, wanted.names)
        except ApplyError as error:
            self._finish_refusal(kept, error, change, full=False)
            return None

    def _whole(
        self, kept: FamilyState, work: Callable[[], SyncResult], change: GraphDiff | None
    ) -> SyncResult | None:
        """Put all of a family right by some `work`; None if that was refused."""
        try:
            with as_refusal():
                done = work()
        except ApplyError as error:
            kept.refusals += 1
            self._finish_refusal(kept, error, change, full=True)
            return None
        kept.refusals = 0
        return done

    def _check(
        self, kept: FamilyState, sync: _Sync, inspected: Inspection | ApplyError | None
    ) -> None:
        """Repair what differs in a family, or try again what was refused, be it meanwhile."""
        if kept.refusals:
            sync, work = evolve(sync, trigger=kept.retries), partial(_whole_of, kept)
        else:
            kept.retries, work = sync.trigger, partial(_look_of, kept, inspected)
        done = self._whole(kept, work, None)
        if done is not None:
            if done.kind != "none" and kept.flows is not None:
                kept.flows.note(None)
            self._finish_sync(kept, done, sync, None)
        self._plan_retry()

    def _finish_sync(
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
        synced = SyncEvent(
            family=target.family,
            mode=target.mode,
            trigger=sync.trigger,
            done=done,
            graph=kept.wanted,
            change=change,
            seconds=now - sync.begun,
            stages=sync.stages.seconds,
            lag=lag,
            happened=happened,
            deleted_flows=deleted,
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
            told = checks.MACHINE_STATE.line(f"what another mode may have left stays: {error}")
            return evolve(done, warnings=(*done.warnings, told))
        if removed:
            self._tell(SweepEvent(kept.target.family, removed))
        return done

    def _finish_refusal(
        self, kept: FamilyState, error: ApplyError, change: GraphDiff | None, *, full: bool
    ) -> None:
        assert kept.wanted is not None
        services = () if change is None else change.names
        wait = self._backoff(kept.refusals) if full else 0.0
        target = kept.target
        refused = RefusalEvent(
            family=target.family,
            mode=target.mode,
            error=describe_error(error),
            graph=kept.wanted,
            full=full,
            services=services,
            retry_in=wait,
            stage=target.stage,
        )
        self._tell(refused)

    def _warn(self, kept: FamilyState, warnings: tuple[str, ...]) -> None:
        """Tell warnings, but not those of the last time again, and which of these are over."""
        for warning in warnings:
            if warning not in kept.warned:
                self._tell(WarningEvent(kept.target.family, warning))
        for text in sorted(kept.warned.difference(warnings)):
            self._tell(AllClearEvent(kept.target.family, text))
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


def _begin(kept: FamilyState) -> Inspection | ApplyError | None:
    """Begin an inspection, where there is one, or return why it cannot begin."""
    assert kept.wanted is not None
    try:
        with as_refusal():
            return None if kept.refusals else kept.target.inspection(kept.wanted)
    except ApplyError as error:
        return error


def _read(inspection: Inspection, deadline: Deadline) -> Inspection | ApplyError | None:
    """Have an inspection read until a deadline; return it, why it could not, or None after that."""
    try:
        with under(deadline), as_refusal():
            inspection.read()
    except Interruption:
        return None
    except ApplyError as error:
        return error
    return inspection


def _look_of(kept: FamilyState, inspected: Inspection | ApplyError | None) -> SyncResult:
    """Put right what was found, or look while nothing is changed."""
    assert kept.wanted is not None
    if isinstance(inspected, ApplyError):
        raise inspected
    done = None if inspected is None else kept.target.repair(inspected)
    return kept.target.look(kept.wanted) if done is None else done


def _whole_of(kept: FamilyState) -> SyncResult:
    assert kept.wanted is not None
    return kept.target.whole(kept.wanted)


async def _to_its_end(
    thread: Executor, work: Callable[[], Value], hurry: Callable[[], object] = lambda: None
) -> Value:
    """Run `work` in a thread, to its end even if this task is cancelled; that calls `hurry`."""
    context = copy_context()
    future = asyncio.get_running_loop().run_in_executor(thread, context.run, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        hurry()
        await future
        raise
