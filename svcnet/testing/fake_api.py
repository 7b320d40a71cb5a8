"""A fake API server that speaks list and watch over real sockets, and fails when told to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import count
from random import Random
from typing import Any, Self

import orjson
from attrs import define, field

from svcnet.testing.fake_faults import Fault, Faults
from svcnet.testing.fake_http import (
    MAX_HEAD,
    FakeRequest,
    ResponseWriter,
    read_request,
    reset,
    status,
)
from svcnet.testing.fake_store import PATHS, Backup, Object, Selection, SelectorError, Store

NO_ANSWERS = {"garbage": b"{no JSON", "stranger": b'{"metadata": {"resourceVersion": "1"}}'}
LAST_BOOKMARK_SECONDS = 2.0
"""How long before the end of a watch a server sends a bookmark, so that the next begins there."""


@define(eq=False)
class FakeAPIServer:
    """An API server of the kinds that svcnet knows, on a port of 127.0.0.1.

    Use it as an asynchronous context, and call its methods in the same thread. Of a watch it
    has changes, bookmarks every ``bookmark_seconds`` and shortly before the end (none if that is
    infinite), the end after ``timeoutSeconds`` and 410 for what it has forgotten; of a list pages,
    with tokens that expire. Objects are taken as they are: nothing is checked or defaulted.

    With ``tokens`` only requests with one of these are answered, others get 401; kinds in
    ``forbidden`` get 403, kinds in ``unavailable`` 503, and kinds in ``absent``, named like
    ``networking.k8s.io/v1 ServiceCIDR``, 404. ``chaos`` is the probability that a request meets one
    of :data:`svcnet.testing.fake_faults.CHAOS`, drawn from a generator that begins with ``seed``.
    ``requests`` is what has been asked. What goes wrong with connections, and not with requests, is
    a :class:`svcnet.testing.FakeProxy` before it.
    """

    seed: int = 0
    tls: ssl.SSLContext | None = None
    bookmark_seconds: float = 60.0
    tokens: set[str] | None = None
    forbidden: set[str] = field(factory=set)
    unavailable: set[str] = field(factory=set)
    absent: set[str] = field(factory=set)
    chaos: float = 0.0
    requests: list[FakeRequest] = field(factory=list)
    store: Store = field(factory=Store)
    _pages: dict[str, tuple[int, list[Object]]] = field(factory=dict, init=False)
    _numbers: Iterator[int] = field(factory=count, init=False)
    _random: Random = field(init=False)
    _faults: Faults = field(init=False)
    _changed: asyncio.Event = field(factory=asyncio.Event, init=False)
    _server: asyncio.Server | None = field(default=None, init=False)
    _port: int = field(default=0, init=False)
    _open: dict[asyncio.Task[None], asyncio.StreamWriter] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._random = Random(self.seed)  # noqa: S311  (made to be repeated)
        self._faults = Faults(self._random)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The address; it stays over :meth:`stop` and :meth:`start`."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Answer requests."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, ssl=self.tls, limit=MAX_HEAD
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections, and end those there are in the middle of whatever they do."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.disconnect()

    async def disconnect(self) -> None:
        """End all connections in the middle of whatever they do."""
        for writer in self._open.values():
            writer.transport.abort()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def put(self, *manifests: Mapping[str, Any]) -> None:
        """Create or replace objects."""
        for manifest in manifests:
            self.store.put(manifest)
        self._stir()

    def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        """Delete an object, which must be there."""
        self.store.delete(kind, name, namespace)
        self._stir()

    def objects(self) -> list[Object]:
        """Return all objects."""
        return [item for items in self.store.objects.values() for item in items.values()]

    def compact(self, keep: int = 0) -> None:
        """Forget what happened but the last `keep` changes, and the pages of lists.

        Who goes on from there is told 410.
        """
        self.store.compact(keep)
        self._pages.clear()

    def backup(self) -> Backup:
        """Return what there is, for :meth:`restore`."""
        return self.store.backup()

    async def restore(self, backup: Backup) -> None:
        """Go back in time, as a server does whose store was restored: it restarts."""
        await self.stop()
        self.store.restore(backup)
        self._pages.clear()
        await self.start()

    def script(self, *faults: Fault) -> None:
        """Add faults: each befalls the first request that it fits, the earlier one first."""
        self._faults.script.extend(faults)

    def clear_script(self) -> None:
        """Forget the faults that nothing has met yet."""
        self._faults.script.clear()

    def _stir(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            while (request := await read_request(reader)) is not None:
                self.requests.append(request)
                if not await self._answer(request, ResponseWriter(writer)):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            pass  # disconnected; the stream's own task handling would report it
        finally:
            del self._open[task]
            writer.transport.abort() if task.cancelling() else writer.close()

    async def _answer(self, request: FakeRequest, answer: ResponseWriter) -> bool:
        """Answer one request; return whether the connection can be used for another."""
        version, kind = PATHS.get(request.path, ("", ""))
        if (refused := self._refuse(request, version, kind)) is not None:
            await answer.status(refused)
            return True
        fault = self._faults.next(request.verb, kind, self.chaos, look=request.is_look)
        match fault.what:
            case "status":
                given = {"retry_after": fault.retry_after, "location": fault.location}
                await answer.status(fault.code, **given)
                return True
            case "page":
                await answer.page(fault.code)
                return True
            case "hang up":
                return False
            case "reset":
                reset(answer.writer)
                return False
            case "slow":
                await asyncio.sleep(fault.seconds)
            case "type":
                answer.content_type = "text/plain"
            case "drip":
                answer.drip = fault.seconds
        try:
            selection = Selection.of(request.parameters)
        except SelectorError:
            await answer.status(400)
            return True
        if request.verb == "watch":
            return await self._watch(request, selection, answer, fault)
        return await self._list(request, selection, answer, fault)

    def _refuse(self, request: FakeRequest, version: str, kind: str) -> int | None:
        """Return the status for who may not have an answer."""
        if self.tokens is not None:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if token not in self.tokens:
                return 401
        if not kind or f"{version} {kind}" in self.absent:
            return 404
        if kind in self.forbidden:
            return 403
        return 503 if kind in self.unavailable else None

    async def _list(
        self, request: FakeRequest, selection: Selection, answer: ResponseWriter, fault: Fault
    ) -> bool:
        what = fault.what
        if what == "raw":
            await answer.body(200, fault.body)
            return True
        token = request.parameters.get("continue", "")
        if token and token not in self._pages:
            await answer.status(410)
            return True
        if token:
            version, items = self._pages[token]
        else:
            version = self.store.version
            items = self.store.list_objects(request.path, selection)
        limit = int(request.parameters.get("limit", "0")) or len(items)
        metadata: Object = {"resourceVersion": str(version)}
        if len(items) > limit:
            # Never given twice: one that has expired must stay so.
            following = f"{version}.{next(self._numbers)}"
            self._pages[following] = (version, items[limit:])
            metadata["continue"] = following
            metadata["remainingItemCount"] = len(items) - limit
        api_version, kind = PATHS[request.path]
        # As a server has it, members of a list tell neither kind nor version.
        bare = [
            {key: value for key, value in item.items() if key not in ("kind", "apiVersion")}
            for item in items[:limit]
        ]
        document = {
            "kind": f"{kind}List",
            "apiVersion": api_version,
            "metadata": metadata,
            "items": bare,
        }
        body = NO_ANSWERS.get(what) or orjson.dumps(document)
        await answer.body(200, body, cut=what in ("cut", "stall"))
        if what == "stall":
            await asyncio.Event().wait()
        return what != "cut"

    async def _watch(
        self, request: FakeRequest, selection: Selection, answer: ResponseWriter, fault: Fault
    ) -> bool:
        """Tell what happens until the time is over, or until what goes wrong does."""
        what = fault.what
        begin = int(request.parameters.get("resourceVersion") or self.store.version)
        if begin < self.store.oldest:
            await answer.status(410)
            return True
        await answer.begin()
        if what == "stall":
            await asyncio.Event().wait()
        if what == "error":
            await answer.line({"type": "ERROR", "object": status(fault.code)})
            return await answer.end()
        if what == "raw":
            # A piece without bytes would be the end.
            await answer.raw(fault.body or b"\n")
            return await answer.end()
        if what in NO_ANSWERS:
            await answer.raw(NO_ANSWERS[what] + b"\n")
            return await answer.end()
        if what == "replay":
            begin = max(self.store.oldest, begin - self._random.randint(1, 5))
        async for event in self._events(request, selection, begin):
            if what == "cut":
                await answer.cut(event)
                return False
            await answer.line(event)
            if what == "repeat":
                await answer.line(event)
            if what == "end":
                break
        return await answer.end()

    async def _events(
        self, request: FakeRequest, selection: Selection, version: int
    ) -> AsyncIterator[Object]:
        """Yield changes after a version, and bookmarks, until ``timeoutSeconds`` are over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + float(request.parameters.get("timeoutSeconds", "1800"))
        bookmarks = request.parameters.get("allowWatchBookmarks") in ("1", "true")
        every = self.bookmark_seconds if bookmarks else float("inf")
        bookmark = _next_bookmark(loop.time(), every, end)
        while (now := loop.time()) < end:
            if version < self.store.oldest:
                yield {"type": "ERROR", "object": status(410)}
                return
            # More may happen while these are sent; no bookmark may go beyond them.
            changed, told = self._changed, self.store.version
            for change in list(self.store.since(version, request.path)):
                if (event := change.event(selection)) is not None:
                    yield event
            # A version of the future, from before a restore, is waited for without a word.
            version = max(version, told)
            if now >= bookmark:
                bookmark = _next_bookmark(now, every, end)
                yield _bookmark(request.path, told)
            try:
                async with asyncio.timeout_at(min(end, bookmark)):
                    await changed.wait()
            except TimeoutError:
                continue


def _next_bookmark(now: float, every: float, end: float) -> float:
    """Return when a watch that ends at `end` has a bookmark: regularly, and shortly before."""
    last = end - LAST_BOOKMARK_SECONDS
    return last if now < last < now + every < float("inf") else now + every


def _bookmark(path: str, version: int) -> Object:
    api_version, kind = PATHS[path]
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    item = {"kind": kind, "apiVersion": api_version, "metadata": metadata}
    return {"type": "BOOKMARK", "object": item}
