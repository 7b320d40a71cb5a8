"""What the server and the network do wrong, and that nothing that was known is lost by it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from random import Random
from typing import Any
from unittest.mock import MagicMock

import pytest
from attrs import evolve

from svcnet.models import ClusterState, Service
from svcnet.sources.kubernetes import APIServer, client, watch
from svcnet.sources.kubernetes.client import _retry_after
from svcnet.sources.kubernetes.contact import Contact
from svcnet.sources.kubernetes.patience import Backoff
from svcnet.testing import FakeAPIServer, Fault
from tests.sources.kubernetes.following import (
    PATIENCE,
    Following,
    endpoint_slice,
    following,
    node,
    port_of,
    service,
    state_of,
)

ONE = ("Service",)


def removed(found: Following) -> list[Any]:
    return [item for step in found.steps for item in step.removed]


def looks(server: FakeAPIServer) -> int:
    return sum(request.is_look for request in server.requests)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("cut", on="watch"),
        Fault("garbage", on="watch"),
        Fault("stranger", on="watch"),
        Fault("error", on="watch", code=410),
        Fault("repeat", on="watch"),
        Fault("replay", on="watch"),
        Fault("end", on="watch"),
        Fault("hang up", on="watch"),
        Fault("slow", on="watch", seconds=0.2),
        Fault("status", on="watch", code=410),
        Fault("status", on="watch", code=500),
        Fault("status", on="watch", code=429, retry_after="0"),
        Fault("status", on="watch", code=401),
        Fault("status", on="watch", code=302),
        Fault("cut", on="list"),
        Fault("garbage", on="list"),
        Fault("status", on="list", code=410),
        Fault("hang up", on="list"),
        Fault("slow", on="list"),
        Fault("status", on="list", code=503),
    ],
    ids=lambda fault: f"{fault.on} {fault.what} {fault.code if fault.what == 'status' else ''}",
)
def test_a_fault(fault: Fault) -> None:
    """Changes that were made around a fault arrive all the same, and nothing else does."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service(), service("mail"), service("gone"))
            server.script(fault)
            async with following(server, ONE) as found:
                await found.until(lambda: found.steps)
                server.put(service(port=81))
                server.delete("Service", "gone", "shop")
                server.put(service(port=82))
                await found.until(lambda: port_of(found.state) == 82)
                await found.until(lambda: found.names() == {"web", "mail"})
                assert found.state == state_of(server)
                assert [item.name for item in removed(found)] == ["gone"]

    asyncio.run(run())


def test_the_objects_stay_while_the_server_is_away() -> None:
    """A server that is gone takes nothing with it; what changed meanwhile comes with it."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service(), service("gone"))
            async with following(server, ONE) as found:
                await found.until(lambda: found.steps)
                await server.stop()
                await found.until(
                    lambda: "Service: unreachable: Connection refused" in found.statuses
                )
                assert len(found.steps) == 1
                server.put(service(port=81))
                server.delete("Service", "gone", "shop")
                server.compact()
                await server.start()
                await found.until(lambda: found.names() == {"web"})
                assert port_of(found.state) == 81
                await found.until(lambda: found.statuses[-1] == "Service: synced")

    asyncio.run(run())


def test_a_server_that_comes_back_as_it_was_is_no_step() -> None:
    """After a restart nothing is listed again, and what did not change is not told."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service(), service("mail"))
            async with following(server, ONE) as found:
                await found.until(lambda: looks(server) == 1)
                await server.stop()
                await found.until(lambda: "unreachable" in found.statuses[-1])
                await server.start()
                await found.until(lambda: found.statuses[-1] == "Service: synced")
                await found.until(lambda: looks(server) == 2)
                await asyncio.sleep(0.05)
                assert len(found.steps) == 1
            # Each of the two watches is checked.
            lists = [request for request in server.requests if request.verb == "list"]
            assert [request.parameters["limit"] for request in lists[1:]] == ["1", "1"]

    asyncio.run(run())


def test_a_server_that_goes_back_in_time() -> None:
    """A restored server has smaller versions: what is known becomes what it has."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service(), service("old"))
            backup = server.backup()
            async with following(server, ONE) as found:
                await found.until(lambda: found.steps)
                server.delete("Service", "old", "shop")
                server.put(*(service(port=port) for port in range(81, 90)), service("new"))
                await found.until(lambda: found.names() == {"web", "new"})
                await server.restore(backup)
                await found.until(lambda: found.names() == {"web", "old"})
                assert port_of(found.state) == 80
                server.put(service(port=90))
                await found.until(lambda: port_of(found.state) == 90)

    asyncio.run(run())


def test_a_server_that_goes_back_in_time_between_two_requests() -> None:
    """One that is restored after a list or a look, and before the watch, is found out as well."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service(), service("old"))
            backup = server.backup()
            server.put(service("new"), *(service(port=port) for port in range(81, 90)))
            # The list is of the server before; the watch is asked of the one after.
            server.script(Fault("slow", on="watch", seconds=0.2))
            async with following(server, ONE) as found:
                await found.until(lambda: found.names() == {"web", "old", "new"})
                await found.until(lambda: "watch" in [r.verb for r in server.requests])
                server.store.restore(backup)
                server.delete("Service", "old", "shop")
                server.put(service(port=90))
                await found.until(lambda: found.names() == {"web"})
                assert port_of(found.state) == 90

    asyncio.run(run())


def test_versions_that_go_back_within_a_watch() -> None:
    """Where a balancer hides the restart, a smaller version in the watch is enough."""

    async def run() -> None:
        async with FakeAPIServer(bookmark_seconds=0.05) as server:
            server.put(service(), service("old"))
            async with following(server, ONE) as found:
                await found.until(lambda: found.steps)
                server.store.version = 7
                del server.store.objects["/api/v1/services"]["shop", "old"]
                await found.until(lambda: found.names() == {"web"})

    asyncio.run(run())


def test_bookmarks_keep_the_version_new() -> None:
    """After a bookmark a watch goes on from there, though its own kind did not change."""

    async def run() -> None:
        async with FakeAPIServer(bookmark_seconds=0.05) as server:
            server.put(service())
            async with following(server, ONE) as found:
                await found.until(lambda: found.steps)
                server.put(*(node(f"node-{number}") for number in range(5)))
                await asyncio.sleep(0.2)
                server.compact()
                await server.disconnect()
                server.put(service(port=81))
                await found.until(lambda: port_of(found.state) == 81)
            versions = [
                r.parameters["resourceVersion"] for r in server.requests if r.verb == "watch"
            ]
            assert versions == ["101", "106"]

    asyncio.run(run())


def test_a_watch_that_lasted_its_time_goes_on_at_once() -> None:
    """The regular end of a watch is no fault: there is neither a wait nor a question."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            patience = evolve(PATIENCE, watch=0.5, first=60.0)
            async with following(server, ONE, patience=patience) as found:
                await found.until(lambda: sum(r.verb == "watch" for r in server.requests) > 2)
                assert found.statuses == ["Service: synced"]
            # The list, and the check of the first watch.
            assert sum(request.verb == "list" for request in server.requests) == 2

    asyncio.run(run())


def test_a_server_that_accepts_and_never_answers() -> None:
    """Silence is noticed, and told."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            server.script(Fault("slow", on="list", seconds=60.0))
            patience = evolve(PATIENCE, answer=0.1)
            async with following(server, ONE, patience=patience) as found:
                await found.until(lambda: found.steps)
                assert found.statuses[0] == "Service: unreachable: does not answer in time"

    asyncio.run(run())


def test_an_event_larger_than_any_object_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for to its end; the list has the object all the same."""
    monkeypatch.setattr(client, "MAX_EVENT", 100_000)

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            async with following(server, ONE) as found:
                await found.until(lambda: found.steps)
                server.put({**service(port=81), "status": {"note": "x" * 1_000_000}})
                await found.until(lambda: port_of(found.state) == 81)
                assert "Service: unreachable: sent an event of more than 97 KiB" in found.statuses

    asyncio.run(run())


def test_an_error_in_a_watch() -> None:
    """An error other than 410 is told in the server's words, and all is listed again."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            server.script(Fault("error", on="watch", code=500))
            async with following(server, ONE) as found:
                await found.until(lambda: found.statuses[2:])
                ended = "Service: unreachable: ended the watch: the fake says 500"
                assert found.statuses == ["Service: synced", ended, "Service: synced"]

    asyncio.run(run())


def test_a_stranger_at_the_address() -> None:
    """JSON that is no list of the API does not pass for a cluster without objects."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            async with following(server, ONE) as found:
                await found.until(lambda: found.steps)
                await found.until(lambda: looks(server))
                server.script(Fault("stranger", on="list"), Fault("stranger", on="list"))
                await server.stop()
                server.put(service(port=81))
                server.compact()
                await server.start()
                await found.until(lambda: port_of(found.state) == 81)
                assert "Service: unreachable: sends what is no ServiceList" in found.statuses
                assert not removed(found)

    asyncio.run(run())


def test_retry_after_is_kept() -> None:
    """A server that names a time is not asked earlier."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            server.script(Fault("status", on="list", code=429, retry_after="1"))
            begun = asyncio.get_running_loop().time()
            async with following(server, ONE) as found:
                await found.until(lambda: found.steps)
                assert asyncio.get_running_loop().time() - begun >= 1
                assert found.statuses[0].startswith("Service: unreachable: 429")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), ("0", 0), ("10000000", 60), ("9" * 400, 60), ("", 0), ("abc", 0), ("-1", 0)],
)
def test_times_to_wait_that_a_server_may_name(text: str, seconds: float) -> None:
    """A minute is the longest, and what is no number of seconds is none."""
    answer = MagicMock(headers={"Retry-After": text})
    assert _retry_after(answer) == seconds


def test_changes_add_up_while_nobody_takes_them() -> None:
    """An object that changed often is told in its last version, one that came and went is not."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            to, random = APIServer(server.url), Random()
            async with aclosing(watch(to, ONE, random=random, tell=lambda _: None)) as steps:
                await anext(steps)
                server.put(*(service(port=port) for port in range(81, 99)), service("brief"))
                server.delete("Service", "brief", "shop")
                await asyncio.sleep(0.3)
                step = await anext(steps)
            (changed,) = step.changed
            assert isinstance(changed, Service)
            assert changed.ports[0].port == 98
            assert not step.removed

    asyncio.run(run())


def test_waits_grow_and_differ() -> None:
    """Waits double up to a bound, are spread by the caller's generator, and end with a success."""
    patience = evolve(PATIENCE, first=1.0, longest=8.0)

    def waits(seed: int) -> list[float]:
        backoff, now, found = Backoff(patience, Random(seed)), 0.0, []
        for _ in range(6):
            until = backoff.until(now, now)
            found.append(until - now)
            now = until
        backoff.end()
        assert backoff.until(now, now) <= now + 1.0
        return found

    for wait, longest in zip(waits(1), (1, 2, 4, 8, 8, 8), strict=True):
        assert longest / 2 <= wait <= longest
    assert waits(1) != waits(2)


def test_kinds_that_fail_together_wait_together() -> None:
    """A wait grows once for all tries that began before it was over."""
    backoff = Backoff(evolve(PATIENCE, first=1.0, longest=8.0), Random(1))
    first = backoff.until(0.0, 0.1)
    assert [backoff.until(0.0, 0.2), backoff.until(0.05, 0.3)] == [first, first]
    assert backoff.until(first, first) > first + 0.9


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("restored", [True, False], ids=["restored", "never restored"])
def test_chaos(seed: int, restored: bool) -> None:
    """After random changes and faults, the state that steps made is that of the server."""
    random = Random(seed)
    kinds = ("Service", "EndpointSlice", "Node", "Endpoints")

    def endpoints(name: str) -> dict[str, Any]:
        subsets = [
            {"addresses": [{"ip": f"10.0.0.{random.randint(1, 9)}"}], "ports": [{"port": 1}]}
        ]
        metadata = {"name": name, "namespace": "shop"}
        return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}

    def change(server: FakeAPIServer) -> None:
        number = random.randint(1, 8)
        made = [
            service(f"web-{number}", random.randint(1, 99)),
            endpoint_slice(f"web-{number}", f"web-{random.randint(1, 3)}", f"10.1.1.{number}"),
            node(f"node-{number}"),
            endpoints(f"web-{number}"),
        ]
        chosen = random.choice(made)
        there = [i for i in server.objects() if i["metadata"]["name"] == chosen["metadata"]["name"]]
        same = [i for i in there if i["kind"] == chosen["kind"]]
        if same and random.random() < 0.4:
            server.delete(chosen["kind"], chosen["metadata"]["name"], "shop")
        else:
            server.put(chosen)

    async def run() -> None:
        async with FakeAPIServer(seed, chaos=0.4, bookmark_seconds=0.02) as server:
            backup = server.backup()
            # Only a list tells of a server that went back and has caught up again.
            patience = evolve(PATIENCE, page=3, trust=0.0 if restored else 10.0)
            async with following(server, kinds, patience=patience) as found:
                for _ in range(80):
                    change(server)
                    event = random.random()
                    if event < 0.1:
                        await server.disconnect()
                    elif event < 0.15:
                        server.compact()
                    elif event < 0.18:
                        backup = server.backup()
                    elif restored and event < 0.2:
                        await server.restore(backup)
                    await asyncio.sleep(random.choice((0, 0.001, 0.02)))
                server.chaos = 0.0
                await found.until(lambda: found.steps and found.state == state_of(server))
                await asyncio.sleep(0.1)
                assert found.state == state_of(server)
                assert found.state != ClusterState()

    asyncio.run(run())


def test_a_connection_that_does_not_close_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever keeps it open, the next request has another one, and the end comes."""

    async def forever() -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        contact = Contact(APIServer("http://127.0.0.1:1"), PATIENCE, Random())
        async with asyncio.timeout(5), client.APIClient(contact) as made:
            await made.renew()

    stuck = [MagicMock(close=forever) for _ in range(2)]
    monkeypatch.setattr(client, "CLOSE_SECONDS", 0.01)
    monkeypatch.setattr(client, "_session", stuck.pop)
    asyncio.run(run())
    assert not stuck
