"""One kind of objects, listed and then watched, for as long as it takes.

The name is client-go's. Source of the rules: the "Efficient detection of changes" and
"Resource versions" of the Kubernetes API concepts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from svcnet.nogc import without_gc
from svcnet.sources.kubernetes.backoff import Backoff
from svcnet.sources.kubernetes.client import Client
from svcnet.sources.kubernetes.narrow import Narrowed, key_of, narrow
from svcnet.sources.kubernetes.news import MAX_OBJECTS, News
from svcnet.sources.kubernetes.problems import Absent, Expired, Nonsense, Problem, Status, one_line
from svcnet.sources.kubernetes.resources import Resource

Told = Callable[[Status], None]

MAX_PAGES = 10_000
"""Pages of a list, which could be empty and go on for ever."""

GRACE_SECONDS = 30.0
"""How long after a watch's own end the server may take to end it."""


@define
class Reflector:
    """Keeps `news` at what the server has of one kind.

    ``_version`` is the resourceVersion up to which all is known, empty before the first list
    and when that cannot be gone on from. ``_lost`` is when a watch was lost that no other has
    followed yet. ``_is_checked`` says that the server has been seen to have that version.
    """

    resource: Resource
    client: Client
    news: News
    backoff: Backoff
    told: Told
    _path: str = field(init=False)
    _version: str = ""
    _lost: float | None = None
    _is_checked: bool = False
    _status: Status | None = None

    async def run(self) -> None:
        """List and watch until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            retry_after = 0.0
            try:
                if await self._turn():
                    continue
            except (Expired, Absent):
                self._version = ""
            except Problem as problem:
                if isinstance(problem, Nonsense):
                    self._version = ""
                self._tell(Status(self.resource.kind, problem.state, problem.why))
                retry_after = problem.retry_after
            self._is_checked = False
            if self._lost is None:
                self._lost = clock()
            await asyncio.sleep(max(retry_after, self.backoff.delay(clock())))

    async def _turn(self) -> bool:
        """List if need be, and watch once; return whether the watch lasted its time."""
        now = asyncio.get_running_loop().time()
        if self._lost is not None and now - self._lost > self.client.patience.trust:
            # Long enough to go back in time and catch up, which nothing would show.
            self._version = ""
        if not self._version:
            await self._list()
        return await self._watch()

    async def _check(self) -> None:
        """Raise Expired if the server that is watched has gone back in time.

        A server that was restored from a backup takes a version that it does not have yet
        without a word, and sends nothing until it has caught up. Asking for its version, without
        the objects, tells, unless it has caught up by now. That is for when the watch has begun:
        a server that is restored later ends it.
        """
        if self._is_checked:
            return
        answer = await self._page({**self.resource.selectors(), "limit": "1"})
        if is_older(version_of(answer), self._version):
            raise Expired
        self._is_checked = True

    async def _list(self) -> None:
        """Make what is known equal to what there is."""
        for path in self.resource.paths:
            self._path = path
            try:
                items, version = await self._pages(self.client.patience.page)
            except Expired:
                # Between two pages too much happened. All at once cannot expire.
                items, version = await self._pages(0)
            except Absent:
                continue
            self.news.listed(self.resource.kind, items)
            self._version = version
            return
        raise Problem("refused", f"404: the server has no {self.resource.paths[0]}")

    async def _pages(self, limit: int) -> tuple[list[Narrowed], str]:
        """Return all objects, asked for `limit` at a time if that is not 0, and their version."""
        items: list[Narrowed] = []
        parameters = self.resource.selectors()
        if limit:
            parameters["limit"] = str(limit)
        for _ in range(MAX_PAGES):
            answer = await self._page(parameters)
            items.extend(self._narrow(answer.get("items") or []))
            if len(items) > MAX_OBJECTS:
                raise Nonsense(f"has more than {MAX_OBJECTS} objects")
            following = _metadata(answer).get("continue")
            if type(following) is not str or not following:
                return items, version_of(answer)
            parameters["continue"] = following
        raise Nonsense(f"sends a list of more than {MAX_PAGES} pages")

    async def _page(self, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """Return a list, or a part of one, once it is sure that it is that.

        Whatever else speaks JSON at this address would look like a cluster without objects.
        """
        answer = await self.client.get(self._path, parameters)
        wanted = f"{self.resource.kind}List"
        if answer.get("kind") != wanted or type(answer.get("items")) not in (list, type(None)):
            raise Nonsense(f"sends what is no {wanted}")
        if not version_of(answer):
            raise Nonsense("sends a list without a resourceVersion")
        return answer

    @without_gc()
    def _narrow(self, found: list[Any]) -> list[Narrowed]:
        return [narrow(self.resource.kind, item, self._path) for item in found]

    async def _watch(self) -> bool:
        """Take in changes until the server ends; return whether it ended when it was to."""
        patience = self.client.patience
        clock = asyncio.get_running_loop().time
        seconds = max(round(patience.watch * self.backoff.random.uniform(1, 2)), 1)
        parameters = {
            **self.resource.selectors(),
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(seconds),
        }
        begun = clock()
        allowed = seconds + GRACE_SECONDS
        async with self.client.lines(self._path, parameters, allowed) as events:
            await self._check()
            self._lost = None
            self._tell(Status(self.resource.kind, "synced"))
            async for event in events:
                self._take(event)
        return clock() - begun > seconds - 1

    def _take(self, event: Mapping[str, Any]) -> None:
        """Take in one event of a watch."""
        item = event.get("object")
        match event.get("type"):
            case "ERROR":
                raise _error(item)
            case "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" as kind:
                version = version_of(item)
                if is_older(version, self._version):
                    # Told again, or the server went back in time. A list is right in either case.
                    raise Expired
                self._change(kind, item)
                self._version = version or self._version
            case _:
                # An error may come without the envelope of an event.
                raise _error(event)

    def _change(self, event: str, item: Any) -> None:
        kind = self.resource.kind
        if event in ("ADDED", "MODIFIED"):
            self.news.came(kind, narrow(kind, item, self._path))
            if self.news.count(kind) > MAX_OBJECTS:
                raise Nonsense(f"has more than {MAX_OBJECTS} objects")
        elif event == "DELETED":
            key = key_of(kind, _metadata(item))
            if key is not None:
                self.news.went(kind, key)

    def _tell(self, status: Status) -> None:
        """Tell a status unless it was the last one told."""
        if status != self._status:
            self._status = status
            self.told(status)


def _metadata(item: Any) -> Mapping[str, Any]:
    metadata = item.get("metadata") if type(item) is dict else None
    return metadata if type(metadata) is dict else {}


def version_of(item: Any) -> str:
    """Return the resourceVersion of an object or a list, empty if it has none."""
    version = _metadata(item).get("resourceVersion")
    return version if type(version) is str else ""


def is_older(one: str, other: str) -> bool:
    """Return whether a resourceVersion is older than another, as far as can be known.

    Those of Kubernetes's own kinds are whole numbers (KEP-5504); of others nothing is known.
    """
    if not (one.isascii() and one.isdigit() and other.isascii() and other.isdigit()):
        return False
    return (len(one.lstrip("0")), one.lstrip("0")) < (len(other.lstrip("0")), other.lstrip("0"))


def _error(status: Any) -> Exception:
    """Return what a Status in a watch means."""
    found = status if type(status) is dict else {}
    if found.get("code") == 410:
        return Expired()
    message = found.get("message")
    why = one_line(message) if type(message) is str and message else "without a reason"
    return Nonsense(f"ended the watch: {why}")
