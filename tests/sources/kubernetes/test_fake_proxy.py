"""The fake proxy, and what a fake server does to a request, as a client sees them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import trustme

from svcnet.testing import FakeAPIServer, FakeProxy, Fault
from tests.sources.kubernetes.following import service

SERVICES = "/api/v1/services"
WATCH = {"watch": "1", "resourceVersion": "100"}
QUICK = aiohttp.ClientTimeout(total=0.3)


@asynccontextmanager
async def before(server: FakeAPIServer) -> AsyncIterator[tuple[FakeProxy, aiohttp.ClientSession]]:
    async with FakeProxy(server.url) as proxy, aiohttp.ClientSession() as session:
        yield proxy, session


def test_frozen_connections_stay_open_and_bring_nothing() -> None:
    """New ones are served, unless they are frozen too; after a thaw what was held back comes."""

    async def run() -> None:
        async with (
            FakeAPIServer() as server,
            before(server) as (proxy, session),
            session.get(proxy.url + SERVICES, params=WATCH) as answer,
        ):
            proxy.freeze()
            server.put(service())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(answer.content.readline(), 0.2)
            assert proxy.connections == 1
            async with session.get(proxy.url + SERVICES) as other:
                assert other.status == 200
            proxy.freeze(new=True)
            with pytest.raises(TimeoutError):
                await session.get(proxy.url + SERVICES, timeout=QUICK)
            proxy.thaw()
            assert b"ADDED" in await asyncio.wait_for(answer.content.readline(), 5)

    asyncio.run(run())


def test_a_handshake_through_a_frozen_proxy_hangs() -> None:
    """The connection is there, and TLS never."""

    async def run() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        async with FakeAPIServer(tls=context) as server, before(server) as (proxy, session):
            async with session.get(proxy.url + SERVICES, ssl=False) as answer:
                assert answer.status == 200
            session.connector._cleanup()  # type: ignore[union-attr]
            proxy.freeze(new=True)
            with pytest.raises(TimeoutError):
                await session.get(proxy.url + SERVICES, ssl=False, timeout=QUICK)

    asyncio.run(run())


def test_connections_without_a_byte_are_closed() -> None:
    """A limit on idle connections ends a watch that is quiet, and none that is not."""

    async def run() -> None:
        async with FakeAPIServer() as server, before(server) as (proxy, session):
            proxy.close_idle(0.4)
            async with session.get(proxy.url + SERVICES, params=WATCH) as answer:
                for _ in range(3):
                    await asyncio.sleep(0.2)
                    server.put(service())
                    assert await answer.content.readline()
                with pytest.raises(aiohttp.ClientPayloadError):
                    await asyncio.wait_for(answer.content.readline(), 5)

    asyncio.run(run())


def test_connections_are_torn_down_or_closed() -> None:
    """A reset is an error of the system, a close an answer that is not whole."""

    async def run() -> None:
        async with FakeAPIServer() as server, before(server) as (proxy, session):
            for act in (proxy.reset, proxy.close):
                async with session.get(proxy.url + SERVICES, params=WATCH) as answer:
                    act()
                    with pytest.raises(aiohttp.ClientError):
                        await asyncio.wait_for(answer.content.readline(), 5)

    asyncio.run(run())


def test_answers_drip() -> None:
    """A byte at a time is an answer all the same."""

    async def run() -> None:
        async with FakeAPIServer() as server, before(server) as (proxy, session):
            proxy.drip_seconds = 0.0005
            async with session.get(proxy.url + SERVICES) as answer:
                assert (await answer.json())["kind"] == "ServiceList"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "body"),
    [
        (Fault("page", code=502), 502, "text/html", b"502 Bad Gateway"),
        (Fault("type"), 200, "text/plain", b"ServiceList"),
        (Fault("status", code=307, location="/x"), 307, "application/json", b"the fake says 307"),
        (Fault("drip", seconds=0.001), 200, "application/json", b"ServiceList"),
    ],
    ids=lambda value: value.what if isinstance(value, Fault) else "",
)
def test_answers_that_are_odd(fault: Fault, status: int, content_type: str, body: bytes) -> None:
    """They are whole answers of HTTP."""

    async def run() -> None:
        async with FakeAPIServer() as server, aiohttp.ClientSession() as session:
            server.script(fault)
            where = server.url + SERVICES
            async with session.get(where, allow_redirects=False) as answer:
                assert (answer.status, answer.content_type) == (status, content_type)
                assert answer.headers.get("Location", "") == fault.location
                assert body in await answer.read()

    asyncio.run(run())


def test_answers_that_stall_or_are_torn_down() -> None:
    """A stalled one begins and never ends; a reset one does not begin."""

    async def run() -> None:
        async with FakeAPIServer() as server, aiohttp.ClientSession() as session:
            server.put(service())
            # aiohttp asks once more by itself.
            server.script(Fault("stall"), Fault("reset"), Fault("reset"))
            async with session.get(server.url + SERVICES, timeout=QUICK) as answer:
                assert answer.status == 200
                with pytest.raises(TimeoutError):
                    await answer.read()
            with pytest.raises(aiohttp.ClientOSError, match="reset"):
                await session.get(server.url + SERVICES)

    asyncio.run(run())


def test_a_kind_that_is_unavailable() -> None:
    """Other kinds are answered, so kinds can be had to come back one by one."""

    async def run() -> None:
        async with FakeAPIServer(unavailable={"Service"}) as server, aiohttp.ClientSession() as one:
            statuses = []
            for path in (SERVICES, "/api/v1/nodes"):
                async with one.get(server.url + path) as answer:
                    statuses.append(answer.status)
            assert statuses == [503, 200]

    asyncio.run(run())


def test_a_look_is_a_list_of_one_object() -> None:
    """A fault for looks passes over lists and watches."""

    async def run() -> None:
        async with FakeAPIServer() as server, aiohttp.ClientSession() as session:
            server.script(Fault("status", on="look", code=429))
            statuses = []
            for parameters in ({}, {"limit": "2"}, {"limit": "1"}):
                async with session.get(server.url + SERVICES, params=parameters) as answer:
                    statuses.append(answer.status)
            assert statuses == [200, 200, 429]

    asyncio.run(run())
