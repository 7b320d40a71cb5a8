"""The fake server by itself: what users of ``svcnet.testing`` rely on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from svcnet.testing import FakeAPIServer, Fault
from tests.sources.kubernetes.following import node, service

SERVICES = "/api/v1/services"


async def get(server: FakeAPIServer, **parameters: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(server.url + SERVICES, params=parameters) as answer,
    ):
        return answer.status, await answer.json()


@asynccontextmanager
async def watching(server: FakeAPIServer, **parameters: str) -> AsyncIterator[Any]:
    """Give a function that returns the type and the name of a watch's next event."""
    parameters = {"watch": "1", "resourceVersion": str(server.store.version), **parameters}
    async with (
        aiohttp.ClientSession() as session,
        session.get(server.url + SERVICES, params=parameters) as answer,
    ):

        async def event() -> tuple[str, str | None]:
            async with asyncio.timeout(5):
                found = json.loads(await answer.content.readline())
            return found["type"], found["object"]["metadata"].get("name")

        yield event


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app", {"a", "b"}),
        ("!app", {"c"}),
        ("app=1", {"a"}),
        ("app==1", {"a"}),
        ("app!=1", {"b", "c"}),
        ("app,app!=1", {"b"}),
    ],
)
def test_label_selectors(selector: str, names: set[str]) -> None:
    """Lists have what the selector takes."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service("a", labels={"app": "1"}), service("b", labels={"app": "2"}))
            server.put(service("c"))
            _, found = await get(server, labelSelector=selector)
            assert {item["metadata"]["name"] for item in found["items"]} == names

    asyncio.run(run())


@pytest.mark.parametrize(
    "parameters", [{"labelSelector": "app in (a,b)"}, {"fieldSelector": "spec.type=x"}]
)
def test_selectors_that_it_does_not_know(parameters: dict[str, str]) -> None:
    """It answers 400 rather than too much."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            assert (await get(server, **parameters))[0] == 400

    asyncio.run(run())


def test_a_watch_tells_what_comes_into_its_selection_and_leaves_it() -> None:
    """Labels that change make ADDED and DELETED of what was only modified."""

    async def run() -> None:
        async with (
            FakeAPIServer(bookmark_seconds=0.1) as server,
            watching(server, labelSelector="app", allowWatchBookmarks="true") as event,
        ):
            server.put(service("a"), service("a", labels={"app": "1"}), service("a", 81))
            server.delete("Service", "a", "shop")
            assert await event() == ("ADDED", "a")
            assert await event() == ("DELETED", "a")
            assert await event() == ("BOOKMARK", None)

    asyncio.run(run())


def test_what_was_forgotten_before_it_was_told_is_410() -> None:
    """A watch never skips a change without a word."""

    async def run() -> None:
        async with FakeAPIServer() as server, watching(server) as event:
            server.put(service("a"))
            server.compact()
            assert (await event())[0] == "ERROR"
            assert (await get(server, watch="1", resourceVersion="100"))[0] == 410

    asyncio.run(run())


def test_a_part_can_be_forgotten() -> None:
    """Who is not further behind than what is remembered goes on; others are told 410."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service("a"), service("b"), service("c"))
            server.compact(keep=1)
            for version, code in (("101", 410), ("102", 200)):
                answer = await get(
                    server, watch="1", resourceVersion=version, timeoutSeconds="0.01"
                )
                assert answer[0] == code

    asyncio.run(run())


def test_pages_are_of_one_moment() -> None:
    """A page that follows has what there was when the first one was asked for."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service("a"), service("b"), service("c"))
            _, first = await get(server, limit="2")
            server.put(service("d"))
            _, second = await get(server, limit="2", **{"continue": first["metadata"]["continue"]})
            assert [item["metadata"]["name"] for item in second["items"]] == ["c"]
            assert second["metadata"] == {"resourceVersion": "103"}
            server.compact()
            following = {"continue": first["metadata"]["continue"]}
            assert (await get(server, limit="2", **following))[0] == 410

    asyncio.run(run())


def test_faults_befall_the_first_request_that_they_fit() -> None:
    """A script goes by verb and kind, each fault once."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.script(
                Fault("status", kind="Node", code=500),
                Fault("status", on="watch", code=501),
                Fault("status", code=503),
            )
            assert [(await get(server))[0] for _ in range(2)] == [503, 200]
            assert (await get(server, watch="1"))[0] == 501

    asyncio.run(run())


def test_chaos_is_the_same_for_the_same_seed() -> None:
    """A run with one seed can be repeated."""

    async def statuses(seed: int) -> list[int]:
        async with FakeAPIServer(seed, chaos=0.5) as server:
            server.put(node())
            found = []
            for _ in range(30):
                try:
                    found.append((await get(server))[0])
                except (aiohttp.ClientError, ValueError):
                    found.append(0)
            return found

    first, again, other = (asyncio.run(statuses(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert {0, 200} < set(first)
