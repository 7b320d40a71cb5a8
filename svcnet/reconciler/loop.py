"""When things are done: at once, together, again after a while, and once more when refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TypeVar

from attrs import define, frozen

from svcnet.errors import ApplyError
from svcnet.reconciler.follower import Follower, Snapshot, Wanted
from svcnet.reconciler.target import Done, Target, put

SHORTEST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 60.0
MOST_DOUBLINGS = 10
"""From the shortest time on, that is more than the longest."""

Value = TypeVar("Value")


@frozen
class Pace:
    """Times in seconds, under the names of the kube-proxy configuration.

    Between two syncs there are at least ``min_sync``, except that the first change after a
    quiet time is followed at once. After ``sync_period`` without a change the machine is looked
    through for what somebody else did there.
    """

    min_sync: float = 1.0
    sync_period: float = 30.0


@define
class _Kept:
    """A family: who compiles it, who puts it on the machine, and what is wanted there."""

    follower: Follower
    target: Target
    wanted: Wanted | None = None
    refusals: int = 0
    warned: frozenset[str] = frozenset()


class Loop:
    """Follows states of a cluster on one machine, each family by itself.

    `tell` is given a line for everything that was done, and whether it is a warning. What
    takes time runs in a thread; nothing of a machine is touched by two at once.
    """

    def __init__(
        self,
        families: list[tuple[Follower, Target]],
        pace: Pace,
        tell: Callable[[str, bool], None],
    ) -> None:
        self._kept = [_Kept(follower, target) for follower, target in families]
        self._pace = pace
        self._tell = tell
        self._news = asyncio.Event()
        self._snapshot: Snapshot | None = None
        self._done_at = -float("inf")
        self._retry_at: float | None = None

    def follow(self, snapshot: Snapshot) -> None:
        """Have `snapshot` be what is wanted from now on; those in between may be passed over."""
        self._snapshot = snapshot
        self._news.set()

    async def run(self) -> None:
        """Follow until cancelled; what is under way is finished first."""
        await self._news.wait()
        while True:
            self._news.clear()
            snapshot = self._snapshot
            assert snapshot is not None
            await _in_thread(partial(self._sync, snapshot))
            self._done_at = monotonic()
            while not await self._has_news():
                await _in_thread(self._check)
                self._done_at = monotonic()

    async def _has_news(self) -> bool:
        """Return True when there is something to follow, False when it is time to look."""
        due = self._done_at + self._pace.sync_period
        if self._retry_at is not None:
            due = min(due, self._retry_at)
        try:
            async with asyncio.timeout(max(due - monotonic(), 0)):
                await self._news.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(max(self._done_at + self._pace.min_sync - monotonic(), 0))
        return True

    def _sync(self, snapshot: Snapshot) -> None:
        for kept in self._kept:
            wanted = kept.follower.follow(snapshot)
            kept.wanted = wanted
            self._try(kept, partial(put, kept.target, wanted.graph, wanted.names))
        self._plan_retry()

    def _check(self) -> None:
        """Look through the machine: repair what differs, and try again what was refused."""
        for kept in self._kept:
            assert kept.wanted is not None
            was_refused = kept.refusals
            done = self._try(kept, partial(kept.target.look, kept.wanted.graph))
            if done is not None and done.kind != "none" and not was_refused:
                family = kept.target.family
                self._tell(f"{family}: somebody else changed the rules; they were put right", True)
        self._plan_retry()

    def _try(self, kept: _Kept, act: Callable[[], Done]) -> Done | None:
        """Do something to the machine and tell what became of it; None if it was refused."""
        try:
            done = act()
        except ApplyError as error:
            kept.refusals += 1
            self._warn(kept, (f"{kept.target.family}: {error}",))
            return None
        kept.refusals = 0
        self._warn(kept, done.warnings)
        if done.kind != "none":
            self._tell(done.text, False)
        return done

    def _warn(self, kept: _Kept, warnings: tuple[str, ...]) -> None:
        """Tell warnings, but not those of the last time again."""
        for warning in warnings:
            if warning not in kept.warned:
                self._tell(warning, True)
        kept.warned = frozenset(warnings)

    def _plan_retry(self) -> None:
        refusals = max(kept.refusals for kept in self._kept)
        if not refusals:
            self._retry_at = None
            return
        first = max(self._pace.min_sync, SHORTEST_BACKOFF_SECONDS)
        wait = first * 2 ** min(refusals, MOST_DOUBLINGS)
        self._retry_at = monotonic() + min(wait, LONGEST_BACKOFF_SECONDS)


async def _in_thread(work: Callable[[], Value]) -> Value:
    """Run `work` in a thread, to its end even if this task is cancelled."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
