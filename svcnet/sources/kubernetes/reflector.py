"""One kind of objects, listed and then watched, for as long as it takes.

The name is client-go's. Source of the rules: the "Efficient detection of changes" and
"Resource versions" of the Kubernetes API concepts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from attrs import define, field, frozen

from svcnet.sources.kubernetes.apart import apart
from svcnet.sources.kubernetes.client import LARGE, APIClient, JSONObject
from svcnet.sources.kubernetes.contact import Contact, Turn
from svcnet.sources.kubernetes.lists import List, pages
from svcnet.sources.kubernetes.narrow import key_of, narrow
from svcnet.sources.kubernetes.news import MAX_OBJECTS, News
from svcnet.sources.kubernetes.patience import Backoff, Lengths
from svcnet.sources.kubernetes.problems import (
    AbsentResource,
    ExpiredVersion,
    Nonsense,
    Problem,
    State,
    Status,
    one_line,
)
from svcnet.sources.kubernetes.resources import Resource
from svcnet.sources.kubernetes.versions import is_older, metadata_of, version_of


@frozen
class Observer:
    """Who is told of a server: how it stands, and that it has confirmed what is known of a kind."""

    tell: Callable[[Status], None]
    confirm: Callable[[str], None]


@define(eq=False)
class Reflector:
    """Keeps `news` at what the server has of one kind.

    ``_version`` is the resourceVersion up to which all is known, empty before the first list
    and when that cannot be gone on from. ``_lost`` is since when a watch is lost that no other has
    followed yet. ``_unanswered`` is since when an answer has been missed, of a watch that fell
    silent or a request. ``_is_checked`` says that the server has been seen to have that version.
    ``_was_short`` says that the last watch had hardly begun when it ended: the next has to last
    before it counts as ``synced``.
    """

    resource: Resource
    contact: Contact
    client: APIClient
    news: News
    listener: Observer
    _refusals: Backoff = field(init=False)
    _lists: Backoff = field(init=False)
    _lengths: Lengths = field(init=False)
    _path: str = field(init=False)
    _version: str = ""
    _lost: float | None = None
    _unanswered: float | None = None
    _is_checked: bool = False
    _was_short: bool = False
    _status: Status | None = None
    _settling: asyncio.TimerHandle | None = None
    _lasting: asyncio.TimerHandle | None = None
    _moves: int = 0

    def __attrs_post_init__(self) -> None:
        self._refusals = Backoff(self.contact.patience, self.contact.random)
        self._lists = Backoff(self.contact.patience, self.contact.random)
        self._lengths = Lengths(self.contact.patience, self.contact.random)

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            problem: Problem | None = None
            try:
                async with self.contact.turn(self.resource.kind, self._lose) as turn:
                    if await self._turn(turn):
                        continue
            except (ExpiredVersion, AbsentResource):
                self._version = ""
            except Problem as found:
                problem = found
            except TimeoutError:
                turn.why = turn.why or "silent"
            await self._recover(turn, problem)

    async def _turn(self, turn: Turn) -> bool:
        """List if need be, and watch once; return whether the watch lasted its time."""
        if self._moves != self.contact.moves:
            self._moves, self._version = self.contact.moves, ""
            await self.client.renew()
        now, trust = _now(), self.contact.patience.trust
        if self._lost is not None and now - self._lost > trust:
            # Long enough to go back in time and catch up, which nothing would show.
            self._version = ""
        if not self._version:
            await self._list()
        return await self._watch(turn)

    async def _recover(self, turn: Turn, problem: Problem | None) -> None:
        """Wait as long as is right after a turn that ended as it should not."""
        self._lose()
        self._is_checked = False
        await self.client.renew()
        match turn.why:
            case "older":
                # A server that was restored is older once; one of whose replicas lags, each time.
                self._version = ""
            case "moved" | "suspect":
                return
            case "silent":
                self._unanswered = turn.due
                problem = Problem("unreachable", "the watch fell silent, and did not end in time")
        if isinstance(problem, Nonsense):
            self._version = ""
        self._was_short = turn.accepted is not None and not self._is_good(turn)
        if self._was_short and self._version and problem is None:
            problem = Problem("unreachable", "the watch was ended as soon as it had begun")
        if problem is not None:
            self._tell(problem.state, problem.why)
            if problem.state == "refused":
                self.news.refuse(self.resource.kind)
        until, wakes = self._again(turn, problem)
        await self.contact.pause(until, wakes=wakes)

    def _again(self, turn: Turn, problem: Problem | None) -> tuple[float, bool]:
        """Return when to try again, and whether earlier if another kind reaches the server."""
        now, patience = _now(), self.contact.patience
        if turn.why == "silent":
            return now, False
        if turn.accepted is not None and not self._version:
            # Whatever the server is asked next, it may end the watch again: lists are dear.
            if now - turn.accepted >= patience.longest:
                self._lists.end()
            return self._lists.until(turn.begun, now), False
        if turn.accepted is not None:
            self._lengths.cut(now - (turn.heard or turn.accepted))
            if self._is_good(turn):
                return turn.accepted + patience.lived, False
        if problem is not None and problem.is_silence:
            self._unanswered = turn.begun
        if problem is not None and problem.state == "refused":
            return max(self._refusals.until(turn.begun, now), now + problem.retry_after), False
        until = self.contact.backoff.until(turn.begun, now)
        if problem is not None and problem.retry_after:
            return max(until, now + problem.retry_after), False
        return until, True

    def _is_good(self, turn: Turn) -> bool:
        """Return whether a watch has lasted, or brought an event, as it is now."""
        if turn.accepted is None:
            return False
        return turn.events > 0 or _now() - turn.accepted >= self.contact.patience.lived

    def _lose(self) -> None:
        """Take it that changes do not come."""
        self._settle(None)
        if self._lasting is not None:
            self._lasting.cancel()
            self._lasting = None
        if self._lost is None:
            self._lost = _now()
        self.news.lose(self.resource.kind)

    async def _list(self) -> None:
        """Make what is known equal to what there is."""
        for path in self.resource.paths:
            self._path = path
            asked = List(self.client, self.resource, path)
            try:
                items, version = await pages(asked, self.contact.patience.page)
            except ExpiredVersion:
                # Between two pages too much happened. All at once cannot expire.
                items, version = await pages(asked, 0)
            except AbsentResource:
                continue
            self.news.replace_all(self.resource.kind, items)
            self._version = version
            self._reach()
            self.news.recover(self.resource.kind)
            return
        raise Problem("refused", f"404: the server has no {self.resource.paths[0]}")

    async def _watch(self, turn: Turn) -> bool:
        """Take in changes until the server ends; return whether it ended when it was to."""
        seconds = self._lengths.next()
        parameters = {
            **self.resource.selectors(),
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(seconds),
        }
        begun = _now()
        async with self.client.lines(self._path, parameters) as events, self._looking(turn):
            turn.accepted = _now()
            turn.expect(begun + seconds, self.contact.patience.grace)
            self._begin(turn.accepted)
            async for event in events:
                turn.heard = _now()
                await self._take(event)
                turn.events += 1
                self._hear(turn, event.data)
        turn.rest()
        has_lasted = _now() - begun > seconds - 1
        if has_lasted:
            self.listener.confirm(self.resource.kind)
        return has_lasted

    def _begin(self, now: float) -> None:
        """Take it that a watch has been accepted `now`: from here on changes come."""
        if self._unanswered is not None:
            self.contact.suspect(self.resource.kind, self._unanswered)
        self._reach()
        self._unanswered = None
        self.contact.backoff.end()
        if self.news.is_lost(self.resource.kind):
            self._settle(now + self.contact.patience.settle)
        self._refusals.end()
        if not self._was_short:
            self._tell("synced")
            return
        lasts = asyncio.get_running_loop().call_at
        self._lasting = lasts(now + self.contact.patience.lived, self._last)

    def _last(self) -> None:
        """Take it that a watch lasts, after one that did not."""
        self._was_short = False
        self._tell("synced")

    def _reach(self) -> None:
        """Take it that the server has answered: what is known is confirmed, nothing is lost."""
        self.listener.confirm(self.resource.kind)
        if self._lost is not None:
            self._lost = None
            self.contact.note_answer()

    def _settle(self, until: float | None) -> None:
        """Take it then that changes of an outage are all there; None is for not to.

        A server sends them at once, one after the other, and no mark after the last.
        """
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        if until is not None:
            found, kind = self.news.recover, self.resource.kind
            self._settling = asyncio.get_running_loop().call_at(until, found, kind)

    def _hear(self, turn: Turn, event: Mapping[str, Any]) -> None:
        """Take it that an event has been taken in."""
        self.listener.confirm(self.resource.kind)
        if self._was_short:
            self._last()
        if self._settling is not None and turn.accepted is not None:
            patience, now = self.contact.patience, _now()
            # A bookmark comes after all that is older, and a busy server never rests.
            last = now if event.get("type") == "BOOKMARK" else turn.accepted + patience.lived
            self._settle(min(now + patience.settle, last))

    @asynccontextmanager
    async def _looking(self, turn: Turn) -> AsyncIterator[None]:
        """Look in the course of the block whether the server has gone back in time."""
        if self._is_checked:
            yield
            return
        looking = asyncio.create_task(self._look(turn))
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait((looking,))
            if not looking.cancelled():
                looking.result()

    async def _look(self, turn: Turn) -> None:
        """Stop the turn if the server that is watched has gone back in time.

        A server that was restored from a backup takes a version that it does not have yet
        without a word, and sends nothing until it has caught up. Asking for its version, without
        the objects, tells, unless it has caught up by now. That is for when the watch has begun:
        a server that is restored later ends the watch. A server that does not answer this
        question is asked again; the watch is as good as it was.
        """
        backoff = Backoff(self.contact.patience, self.contact.random)
        asked = List(self.client, self.resource, self._path)
        while True:
            begun, known = _now(), self._version
            try:
                answer = await asked.page({**self.resource.selectors(), "limit": "1"})
            except (Problem, ExpiredVersion, AbsentResource) as error:
                until = backoff.until(begun, _now())
                wait = getattr(error, "retry_after", 0.0)
                await asyncio.sleep(max(until - _now(), wait))
                continue
            if is_older(version_of(answer.data), known):
                turn.stop("older")
            self._is_checked = True
            return

    async def _take(self, document: JSONObject) -> None:
        """Take in one event of a watch."""
        event = document.data
        item = event.get("object")
        match event.get("type"):
            case "ERROR":
                raise _error(item)
            case "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" as kind:
                self._see(item)
                version = version_of(item)
                if is_older(version, self._version):
                    # Told again, or the server went back in time. A list is right in either case.
                    raise ExpiredVersion
                await self._change(kind, item, document.values)
                self._version = version or self._version
            case _:
                # An error may come without the envelope of an event.
                raise _error(event)

    def _see(self, item: Any) -> None:
        """Be sure that an event is about an object of this kind; members of a list do not say."""
        kind = item.get("kind", self.resource.kind) if type(item) is dict else self.resource.kind
        if kind != self.resource.kind:
            raise Nonsense(f"sends an event of what is no {self.resource.kind}")

    async def _change(self, event: str, item: Any, values: int) -> None:
        kind, path = self.resource.kind, self._path
        if event in ("ADDED", "MODIFIED"):
            keep = partial(narrow, kind, item, path, labelled=self.resource.labelled)
            made = keep() if values <= LARGE else await apart(keep)
            self.news.came(kind, made)
            if self.news.count(kind) > MAX_OBJECTS:
                raise Nonsense(f"has more than {MAX_OBJECTS} objects")
        elif event == "DELETED":
            key = key_of(kind, metadata_of(item))
            if key is None:
                raise Nonsense("sends the end of an object without its name")
            self.news.went(kind, key)

    def _tell(self, state: State, why: str = "") -> None:
        """Tell how it stands unless that was the last word."""
        status = Status(self.resource.kind, state, why, self.resource.needed)
        if status != self._status:
            self._status = status
            self.listener.tell(status)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _error(status: Any) -> Exception:
    """Return what a Status in a watch means."""
    found = status if type(status) is dict else {}
    if found.get("code") == 410:
        return ExpiredVersion()
    message = found.get("message")
    why = one_line(message) if type(message) is str and message else "without a reason"
    return Nonsense(f"ended the watch: {why}")
