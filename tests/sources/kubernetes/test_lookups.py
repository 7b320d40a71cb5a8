"""Looking a server's name up, which nothing can end."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from svcnet.sources.kubernetes.lookups import Lookups


def test_a_look_up_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not want to wait any more does not, nor does the end of the loop."""
    hangs, over = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        hangs.set()
        over.wait(60)
        return []

    async def main() -> None:
        task = asyncio.ensure_future(Lookups().resolve("api.example"))
        await asyncio.to_thread(hangs.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    begun = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begun < 20
    over.set()


def test_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name has the addresses that the machine says; one for an interface keeps it."""
    [first, *_] = asyncio.run(Lookups().resolve("localhost", 6443, socket.AF_INET))
    assert (first["host"], first["port"], first["family"]) == ("127.0.0.1", 6443, socket.AF_INET)
    told = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fd00::1", 6443, 0, 0)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 6443, 0, 2)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: told)
    found = asyncio.run(Lookups().resolve("api.example", 6443, socket.AF_UNSPEC))
    assert [each["host"] for each in found] == ["fd00::1", "fe80::1%2"]


def test_no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine says is wrong is said."""

    def fail(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(socket.gaierror, match="not known"):
        asyncio.run(Lookups().resolve("nowhere.invalid"))
    monkeypatch.undo()
    with pytest.raises(UnicodeError):
        asyncio.run(Lookups().resolve("a..b"))
