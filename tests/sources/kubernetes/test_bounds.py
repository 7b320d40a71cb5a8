"""Very many objects, or very much that is wrong: bounds come before work, and the loop lives."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from svcnet import checks
from svcnet.errors import MAX_LINES, Diagnostic, InputError
from svcnet.sources import load_bytes
from svcnet.sources.kubernetes import lists, reflector
from svcnet.sources.kubernetes.client import LARGE
from svcnet.sources.kubernetes.narrow import NarrowResult, narrow
from svcnet.sources.kubernetes.news import MAX_TOLD
from svcnet.testing import FakeAPIServer, Fault
from tests.sources.kubernetes.following import Following, following, port_of, service

BAD = b'{"metadata":{"name":"s%d","namespace":"n"},"spec":{"ports":[{"port":99999}]}}'
STALL_SECONDS = 2.0


def listed(items: bytes) -> bytes:
    return b'{"kind":"ServiceList","metadata":{"resourceVersion":"90"},"items":[%b]}' % items


async def longest_stall(found: Following, until: Any) -> float:
    """Return for how long the loop did nothing else, at most, until something holds."""
    longest = 0.0
    while not until():
        before = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - before)
        assert found.task is not None
        if found.task.done():
            found.task.result()
    return longest


def test_a_page_that_leads_to_itself() -> None:
    """Its token is not asked for over and over, and the list that is right then is taken."""
    body = listed(b"").replace(b'"90"', b'"90","continue":"again"')

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            server.script(*[Fault("raw", on="list", body=body)] * 100)
            async with following(server, ("Service",)) as found:
                await found.until(lambda: found.statuses)
                assert "the same page of a list over and over" in found.statuses[0]
                assert len(server.requests) <= 4
                server.clear_script()
                await found.until(found.names)

    asyncio.run(run())


def test_too_many_objects_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two million empty ones cost what it takes to parse them."""
    narrowed = []
    monkeypatch.setattr(lists, "_narrow", lambda *given: narrowed.append(given))

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            body = listed(b"{}," * 1_000_000 + b"{}")
            server.script(*[Fault("raw", on="list", body=body)] * 2)
            async with following(server, ("Service",)) as found:
                stall = await longest_stall(found, lambda: found.statuses)
                assert "has more than 200000 objects" in found.statuses[0]
                assert stall < STALL_SECONDS
                assert not narrowed

    asyncio.run(run())


def test_many_objects_that_cannot_be_used() -> None:
    """Signals would be heard meanwhile, the first are told, and the others are counted."""
    count = 10_000

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            body = listed(b",".join(BAD % number for number in range(count)))
            server.script(Fault("raw", on="list", body=body))
            async with following(server, ("Service",)) as found:
                stall = await longest_stall(found, lambda: found.steps)
                assert stall < STALL_SECONDS
                step = found.steps[0]
                assert len({diagnostic.object for diagnostic in step.diagnostics}) == MAX_TOLD
                assert step.more == count - MAX_TOLD
                server.put(service(port=81))
                await found.until(lambda: port_of(found.state) == 81)
                assert found.steps[-1].more == 0

    asyncio.run(run())


@pytest.mark.parametrize("on", ["list", "watch"])
def test_long_answers_are_read_beside_the_loop(monkeypatch: pytest.MonkeyPatch, on: str) -> None:
    """While objects are made of one the loop goes on: here it is what lets that end."""
    goes_on = threading.Event()

    def wait(*given: Any, **more: Any) -> NarrowResult:
        assert goes_on.wait(20)
        return narrow(*given, **more)

    monkeypatch.setattr(lists if on == "list" else reflector, "narrow", wait)
    large = service(port=81, annotations={"note": ",".join("x" * LARGE)}, resourceVersion="200")
    event = json.dumps({"type": "MODIFIED", "object": large}).encode() + b"\n"
    body = listed(json.dumps(large).encode()) if on == "list" else event

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            server.script(Fault("raw", on=on, body=body))  # type: ignore[arg-type]
            async with following(server, ("Service",)) as found:
                await found.until(lambda: server.requests)
                await asyncio.sleep(0.2)
                goes_on.set()
                await found.until(lambda: port_of(found.state) == 81)

    asyncio.run(run())


def test_an_object_of_very_many_values() -> None:
    """It is read beside the loop, and what is wrong with it is told in a few lines."""
    ports = b",".join([b'{"port":99999}'] * 100_000)

    async def run() -> None:
        event = b'{"type":"MODIFIED","object":{"metadata":{"name":"web","namespace":"shop",'
        event += b'"resourceVersion":"200"},"spec":{"ports":[%b]}}}\n' % ports
        async with FakeAPIServer() as server:
            server.put(service())
            server.script(Fault("raw", on="watch", body=event))
            async with following(server, ("Service",)) as found:
                await found.until(lambda: found.steps)
                stall = await longest_stall(found, lambda: found.diagnostics)
                assert stall < STALL_SECONDS
                assert len(found.diagnostics) <= 10

    asyncio.run(run())


def test_what_is_wrong_a_million_times_is_told_a_hundred_times() -> None:
    """A manifest with very many bad objects is one refusal of bounded length."""
    body = listed(b",".join(BAD % number for number in range(20_000)))
    with pytest.raises(InputError) as raised:
        load_bytes(
            body.replace(b'"metadata":{"resource', b'"apiVersion":"v1","metadata":{"resource')
        )
    lines = str(raised.value).splitlines()
    assert len(lines) == MAX_LINES + 1
    assert lines[-1].startswith("and ")
    assert lines[-1].endswith(" more")
    assert raised.value.exit_code == 2


def test_few_findings_are_all_told() -> None:
    """Up to the bound nothing is left out, and no number is added."""
    found = [Diagnostic("f", line, "", "", "no", check=checks.TYPE) for line in range(MAX_LINES)]
    assert len(str(InputError(found)).splitlines()) == MAX_LINES
