"""For how long each break may hide changes: the table of docs/explanation/api-server.md.

The patience is that of a real run. The loop's clock does not wait, so minutes are moments.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trustme
from attrs import define, evolve

from svcnet.sources.kubernetes import KINDS, APIServer, Patience
from svcnet.testing import FakeAPIServer, FakeProxy, Fault, run_in_fake_time
from svcnet.testing.fake_faults import CHAOS
from tests.sources.kubernetes.following import (
    Following,
    endpoint_slice,
    following,
    node,
    port_of,
    service,
)

SILENCE_SECONDS = 60.0
CUT_SECONDS = 2.0
CUT = "the connection was closed in the middle of the watch"


@define
class Behind:
    """A run that follows a server behind a proxy."""

    server: FakeAPIServer
    proxy: FakeProxy
    found: Following
    port: int = 80

    async def deaf(self) -> float:
        """Return how long it takes until a change has come."""
        begun = asyncio.get_running_loop().time()
        self.port += 1
        self.server.put(service(port=self.port))
        async with asyncio.timeout(900):
            while port_of(self.found.state) != self.port:
                await self.found.stirred()
        return asyncio.get_running_loop().time() - begun

    def watches(self) -> int:
        return sum(request.verb == "watch" for request in self.server.requests)

    def lists(self) -> int:
        return sum(r.verb == "list" and not r.is_look for r in self.server.requests)


@asynccontextmanager
async def behind(random: Random | None = None, **options: Any) -> AsyncIterator[Behind]:
    async with FakeAPIServer(**options) as server, FakeProxy(server.url) as proxy:
        server.put(service(), endpoint_slice(), node())
        asked: dict[str, Any] = {"patience": Patience(), "random": random or Random(1)}
        async with following(APIServer(proxy.url, verify=False), **asked) as found:
            made = Behind(server, proxy, found)
            assert await made.deaf() < 1
            await asyncio.sleep(5)
            yield made


def test_the_times_of_a_real_run() -> None:
    """Silence is noticed in 45 to 60 seconds, a wait has a bound, and so has a held step."""
    patience = Patience()
    assert 45 <= patience.watch + patience.grace < SILENCE_SECONDS
    assert patience.answer + patience.first < SILENCE_SECONDS
    assert patience.lived < CUT_SECONDS
    assert patience.longest <= 15
    assert patience.together <= 10


@pytest.mark.parametrize("wait", [0.0, 13.0, 31.0, 44.0])
def test_connections_that_are_frozen(wait: float) -> None:
    """A proxy that hangs costs a minute at most, and no list; all kinds come back together."""

    async def run() -> None:
        async with behind() as run:
            await asyncio.sleep(wait)
            lists = run.lists()
            run.proxy.freeze()
            run.server.put(endpoint_slice("web-1", "web", "10.244.1.9"))
            before = len(run.found.steps)
            assert await run.deaf() <= SILENCE_SECONDS
            assert run.lists() == lists
            step = run.found.steps[before]
            assert {type(item).__name__ for item in step.changed} == {"Service", "EndpointSlice"}
            assert sum("fell silent" in status for status in run.found.statuses) == 1
            assert await run.deaf() < CUT_SECONDS

    run_in_fake_time(run())


class Even(Random):
    """Has all that is random come out the same."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


def test_kinds_that_fall_silent_at_once_begin_anew_once() -> None:
    """What has just begun is not suspected by the one that begins beside it."""

    async def run() -> None:
        async with behind(Even()) as run:
            await run.server.disconnect()
            await asyncio.sleep(3)
            watches = run.watches()
            run.proxy.freeze()
            assert await run.deaf() <= SILENCE_SECONDS
            await asyncio.sleep(5)
            assert run.watches() == watches + len(KINDS)

    run_in_fake_time(run())


def test_encrypted_connections_that_are_frozen() -> None:
    """To close one that is dead does not wait for it, and a handshake that hangs is given up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    async def run() -> None:
        async with behind(tls=context) as run:
            run.proxy.freeze()
            assert await run.deaf() <= SILENCE_SECONDS
            run.proxy.freeze(new=True)
            await asyncio.sleep(120)
            assert "no connection can be made in time" in run.found.last("Service")
            run.proxy.thaw(new_only=True)
            assert await run.deaf() <= Patience().longest + Patience().connect

    run_in_fake_time(run())


def test_connections_that_are_frozen_and_new_ones_too() -> None:
    """Once the proxy serves new connections again, changes come within the longest wait."""

    async def run() -> None:
        async with behind() as run:
            run.proxy.freeze(new=True)
            await asyncio.sleep(300)
            assert all("unreachable" in run.found.last(kind) for kind in KINDS)
            run.proxy.thaw(new_only=True)
            assert await run.deaf() <= Patience().longest + Patience().answer
            await asyncio.sleep(5)
            assert [run.found.last(kind) for kind in KINDS] == [f"{k}: synced" for k in KINDS]

    run_in_fake_time(run())


@pytest.mark.parametrize("idle", [30.0, 35.0, 45.0, 60.0])
def test_idle_connections_that_are_closed(idle: float) -> None:
    """After two cuts watches end before the limit: nobody is deaf, and no list is needed."""

    async def run() -> None:
        async with behind(bookmark_seconds=60.0) as run:
            run.proxy.close_idle(idle)
            await asyncio.sleep(4 * idle)
            said, lists = len(run.found.statuses), run.lists()
            for _ in range(20):
                # What other kinds do makes versions old.
                run.server.put(*(node(f"other-{number}") for number in range(50)))
                run.server.compact(keep=2000)
                assert await run.deaf() < CUT_SECONDS
                await asyncio.sleep(idle + 1.7)
            assert run.found.statuses[said:] == []
            assert run.lists() == lists

    run_in_fake_time(run())


@pytest.mark.parametrize("cut", ["close", "reset", "disconnect"])
def test_good_watches_that_are_cut(cut: str) -> None:
    """The next begins at once, however often that happens."""

    async def run() -> None:
        async with behind() as run:
            for _ in range(12):
                if cut == "disconnect":
                    await run.server.disconnect()
                else:
                    getattr(run.proxy, cut)()
                assert await run.deaf() < CUT_SECONDS
                await asyncio.sleep(25)
            assert run.found.last("Service") == "Service: synced"
            assert len(run.found.statuses) <= 2 * 12 * len(KINDS) + len(KINDS)
            assert any(CUT in status or "reset" in status for status in run.found.statuses)

    run_in_fake_time(run())


def test_the_first_try_after_a_cut_is_at_once() -> None:
    """Neither the wait nor its jitter is for a watch that was good."""

    async def run() -> None:
        async with behind() as run:
            for _ in range(5):
                before = run.watches()
                run.proxy.close()
                await asyncio.sleep(0.05)
                assert run.watches() == before + len(KINDS)
                await asyncio.sleep(10)

    run_in_fake_time(run())


@pytest.mark.parametrize("every", [0.05, 0.2, 0.4])
def test_a_busy_server_is_not_waited_for(every: float) -> None:
    """Where events never cease, a kind has caught up after a second."""

    async def run() -> None:
        async with behind() as run:

            async def work() -> None:
                while True:
                    await asyncio.sleep(every)
                    run.server.put(service("busy", port=1 + run.server.store.version % 65535))

            working = asyncio.create_task(work())
            run.proxy.close()
            assert await run.deaf() < CUT_SECONDS
            working.cancel()

    run_in_fake_time(run())


def test_watches_that_are_cut_over_and_over() -> None:
    """A proxy that cuts all the time is asked twice a second and kind at most."""

    async def run() -> None:
        async with behind() as run:
            before = run.watches()
            for _ in range(600):
                run.proxy.close()
                await asyncio.sleep(0.1)
            assert run.watches() - before <= 60 * 2 * len(KINDS)
            assert await run.deaf() < CUT_SECONDS

    run_in_fake_time(run())


@pytest.mark.parametrize("seconds", [3.0, 8.0, 40.0, 200.0])
def test_an_outage_is_one_step(seconds: float) -> None:
    """Kinds come back together, and what changed in several of them is one step."""

    async def run() -> None:
        async with behind() as run:
            await run.server.stop()
            await asyncio.sleep(seconds)
            run.server.put(service(port=4711), endpoint_slice("web-1", "web", "10.244.1.9"))
            await run.server.start()
            begun, before = asyncio.get_running_loop().time(), len(run.found.steps)
            await run.found.until(lambda: len(run.found.steps) > before)
            # What it has waited so far, once more, is what an outage may cost at most.
            assert asyncio.get_running_loop().time() - begun <= min(Patience().longest, seconds) + 2
            changed = run.found.steps[before].changed
            assert {type(item).__name__ for item in changed} == {"Service", "EndpointSlice"}
            assert len(run.found.steps) == before + 1

    run_in_fake_time(run())


@pytest.mark.parametrize("late", [0.5, 4.0, 8.0])
def test_kinds_that_come_back_apart_are_one_step(late: float) -> None:
    """A kind that the server has later is waited for, and other kinds with it."""

    async def run() -> None:
        async with behind() as run:
            run.server.unavailable |= {"EndpointSlice"}
            await run.server.stop()
            run.server.put(service(port=4711), endpoint_slice("web-1", "web", "10.244.1.9"))
            await asyncio.sleep(2)
            await run.server.start()
            before = len(run.found.steps)
            await asyncio.sleep(late)
            run.server.unavailable.clear()
            await run.found.until(lambda: len(run.found.steps) > before)
            changed = run.found.steps[before].changed
            assert {type(item).__name__ for item in changed} == {"Service", "EndpointSlice"}

    run_in_fake_time(run())


def test_a_kind_that_stays_away_is_not_waited_for_long() -> None:
    """Changes of other kinds come ten seconds later once, and then at once."""

    async def run() -> None:
        async with behind() as run:
            run.server.unavailable |= {"EndpointSlice"}
            run.proxy.reset()
            await asyncio.sleep(1)
            assert await run.deaf() <= Patience().together + 1
            assert await run.deaf() < CUT_SECONDS
            run.server.unavailable.clear()
            await run.found.until(lambda: run.found.last("EndpointSlice").endswith("synced"))
            assert await run.deaf() < CUT_SECONDS

    run_in_fake_time(run())


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", on="look", code=429, retry_after="7"),
        Fault("status", on="look", code=503),
        Fault("status", on="look", code=404),
        Fault("page", on="look", code=502),
        Fault("stall", on="look"),
        Fault("hang up", on="look"),
        Fault("garbage", on="look"),
    ],
    ids=lambda fault: f"{fault.what} {fault.code}",
)
def test_a_look_that_is_not_answered(fault: Fault) -> None:
    """The watch stays, and the question is put again, after the time that the server names."""

    async def run() -> None:
        async with behind() as run:
            for _ in range(2 * len(KINDS)):
                run.server.script(fault)
            lists = run.lists()
            run.proxy.close()
            assert await run.deaf() < CUT_SECONDS
            watches, asked = run.watches(), looks(run)
            await asyncio.sleep(30)
            assert looks(run) > asked
            assert run.lists() == lists
            assert run.watches() == watches

    run_in_fake_time(run())


def test_a_look_that_finds_an_older_version_ends_the_watch() -> None:
    """Also where the first question was refused."""

    async def run() -> None:
        async with behind() as run:
            backup = run.server.backup()
            for port in range(200, 230):
                run.server.put(service(port=port))
            await asyncio.sleep(1)
            run.server.script(*[Fault("status", on="look", code=429, retry_after="3")] * 3)
            await run.server.restore(backup)
            await asyncio.sleep(9)
            assert port_of(run.found.state) == 81

    run_in_fake_time(run())


def test_a_server_one_of_whose_replicas_lags() -> None:
    """Each look finds an older version than the watch: all is listed again, but seldom."""

    async def run() -> None:
        async with behind() as run:
            lists, watches = run.lists(), run.watches()
            old = b'{"kind": "ServiceList", "metadata": {"resourceVersion": "1"}, "items": []}'
            run.server.script(*[Fault("raw", on="look", kind="Service", body=old)] * 10_000)
            run.proxy.close()
            await asyncio.sleep(120)
            assert 5 < run.lists() - lists <= 25
            assert run.watches() - watches <= 60
            run.server.clear_script()
            await asyncio.sleep(Patience().longest + CUT_SECONDS)
            assert await run.deaf() < CUT_SECONDS

    run_in_fake_time(run())


@pytest.mark.parametrize(
    "fault",
    [
        Fault("cut", on="watch"),
        Fault("garbage", on="watch"),
        Fault("hang up", on="watch"),
        Fault("reset", on="watch"),
        Fault("status", on="watch", code=410),
        Fault("status", on="watch", code=429, retry_after="5"),
        Fault("status", on="watch", code=307, location="https://login.example/"),
        Fault("page", on="watch", code=502),
        Fault("page", on="watch", code=200),
        Fault("type", on="watch"),
        Fault("stall", on="watch"),
        Fault("slow", on="watch", seconds=600.0),
        Fault("drip", on="watch", seconds=0.01),
        Fault("error", on="watch", code=410),
        Fault("error", on="watch", code=500),
    ],
    ids=lambda fault: f"{fault.what} {fault.code}",
)
def test_a_break_of_one_request_is_over_in_a_minute(fault: Fault) -> None:
    """Whatever becomes of the next watch, changes come within the bound for silence."""

    async def run() -> None:
        async with behind() as run:
            run.server.script(fault)
            run.proxy.close()
            assert await run.deaf() <= SILENCE_SECONDS
            await asyncio.sleep(60)
            assert await run.deaf() < CUT_SECONDS
            assert run.found.last("Service") == "Service: synced"

    run_in_fake_time(run())


OLD = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1"}}}\n'
OTHER = b'{"type":"DELETED","object":{"kind":"Pod","metadata":{"name":"web","namespace":"shop"}}}\n'
NAMELESS = b'{"type":"DELETED","object":{"metadata":{"resourceVersion":"999999"}}}\n'


@pytest.mark.parametrize(
    "fault",
    [
        *(fault for fault in CHAOS if fault.what not in ("slow", "cut")),
        Fault("error", code=500),
        Fault("page", code=200),
        Fault("raw"),
        Fault("raw", body=OLD),
        Fault("raw", body=OTHER),
        Fault("raw", body=NAMELESS),
        Fault("raw", body=b'{"type":"ERROR"}\n'),
        Fault("raw", body=b"[]\n"),
    ],
    ids=lambda fault: f"{fault.what} {fault.code} {fault.body.decode().strip()}",
)
def test_watches_that_break_over_and_over(fault: Fault) -> None:
    """Each kind is listed seldom, few words are lost on it, and nothing that is there goes."""

    async def run() -> None:
        async with behind() as run:
            lists, watches = run.lists(), run.watches()
            statuses = len(run.found.statuses)
            run.server.script(*[evolve(fault, on="watch")] * 1000)
            run.proxy.close()
            await asyncio.sleep(120)
            assert run.lists() - lists <= 25 * len(KINDS)
            assert run.watches() - watches <= 120 * 2 * len(KINDS)
            assert len(run.found.statuses) - statuses <= 5 * len(KINDS)
            assert not any(step.removed for step in run.found.steps)
            run.server.clear_script()
            run.proxy.close()
            await asyncio.sleep(Patience().longest + CUT_SECONDS)
            assert [run.found.last(kind) for kind in KINDS] == [f"{k}: synced" for k in KINDS]
            assert await run.deaf() < CUT_SECONDS

    run_in_fake_time(run())


def test_a_server_that_ends_each_watch_at_once_is_told() -> None:
    """Nothing comes of such watches, so it does not stand as if all were well."""

    async def run() -> None:
        async with behind() as run:
            run.server.script(*[Fault("raw", on="watch", kind="Service")] * 1000)
            run.proxy.close()
            await asyncio.sleep(120)
            told = "Service: unreachable: the watch was ended as soon as it had begun"
            assert run.found.last("Service") == told
            assert run.found.last("Node") == "Node: synced"

    run_in_fake_time(run())


def test_a_server_without_bookmarks_is_followed_without_lists() -> None:
    """Watches are short, but each goes on from the last event."""

    async def run() -> None:
        async with behind(bookmark_seconds=float("inf")) as run:
            lists = run.lists()
            for _ in range(20):
                assert await run.deaf() < CUT_SECONDS
                await asyncio.sleep(97)
            assert run.lists() == lists

    run_in_fake_time(run())


def test_what_a_quiet_hour_costs_a_server() -> None:
    """A request for a watch in 36 to 45 seconds a kind, and nothing else."""

    async def run() -> None:
        async with behind() as run:
            run.server.requests.clear()
            await asyncio.sleep(3600)
            assert 3600 / 45 - 1 <= run.watches() / len(KINDS) <= 3600 / 35
            assert run.watches() == len(run.server.requests)
            assert run.proxy.connections <= 2 * len(KINDS)

    run_in_fake_time(run())


def test_another_server_takes_over() -> None:
    """What differs on it is one step; nothing else is told."""

    async def run() -> None:
        moves: asyncio.Queue[APIServer] = asyncio.Queue()
        async with FakeAPIServer() as old, FakeAPIServer() as new:
            old.put(service(), service("gone"), endpoint_slice(), node())
            new.put(service(port=81), endpoint_slice(), node())
            async with following(old, patience=Patience(), moves=moves) as found:
                await found.until(lambda: found.steps)
                moves.put_nowait(APIServer(new.url))
                await found.until(lambda: len(found.steps) > 1)
                step = found.steps[1]
                assert [item.name for item in step.removed] == ["gone"]
                assert [item.name for item in step.changed] == ["web"]
                await old.stop()
                new.put(service(port=82))
                await found.until(lambda: port_of(found.state) == 82)

    run_in_fake_time(run())


def test_another_server_while_the_first_is_away() -> None:
    """The wait for the one that is away is over."""

    async def run() -> None:
        moves: asyncio.Queue[APIServer] = asyncio.Queue()
        async with FakeAPIServer() as old, FakeAPIServer() as new:
            old.put(service(), endpoint_slice(), node())
            new.put(service(port=81), endpoint_slice(), node())
            async with following(old, patience=Patience(), moves=moves) as found:
                await found.until(lambda: found.steps)
                await old.stop()
                await asyncio.sleep(100)
                begun = asyncio.get_running_loop().time()
                moves.put_nowait(APIServer(new.url))
                await found.until(lambda: port_of(found.state) == 81)
                assert asyncio.get_running_loop().time() - begun < CUT_SECONDS

    run_in_fake_time(run())


def looks(run: Behind) -> int:
    return sum(request.is_look for request in run.server.requests)
