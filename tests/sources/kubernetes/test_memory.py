"""A server that sends without end, or much in little, costs a bounded amount of memory."""

from __future__ import annotations

import asyncio
import gzip
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, repeat

import pytest

from svcnet.sources.kubernetes import Patience, lists
from svcnet.sources.kubernetes.client import MAX_VALUES
from svcnet.testing import FakeAPIServer
from tests.sources.kubernetes.following import following, service

MEMORY = 2 << 30
"""Bytes of address space that the client has. Without bounds each of these would take more."""

CLIENT = """\
import asyncio, random, sys
from svcnet.sources.kubernetes.client import APIClient
from svcnet.sources.kubernetes.contact import Contact
from svcnet.sources.kubernetes.patience import Patience
from svcnet.sources.kubernetes.problems import Problem
from svcnet.sources.kubernetes.server import APIServer

async def main():
    contact = Contact(APIServer(sys.argv[1]), Patience(whole=20.0), random.Random())
    async with APIClient(contact) as client:
        try:
            if sys.argv[2] == "list":
                await client.get("/", {})
            else:
                async with asyncio.timeout(20), client.lines("/", {}) as lines:
                    async for line in lines:
                        pass
        except Problem as problem:
            print(problem.why)

asyncio.run(main())
"""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
MEGABYTE = b"a" * (1 << 20)
DENSE = b'{"items":[' + b"{}," * (MAX_VALUES // 2 + 1) + b"{}]}"
BOMB = gzip.compress(b'{"items":"' + bytes(200 << 20) + b'"}')


def client_of(pieces: Iterator[bytes], what: str) -> str:
    """Return what a client with little memory says of an answer; AssertionError if it dies."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    for piece in pieces:
                        connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, url, what],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        )
        # A client that died at once has never come: nobody shall wait for it.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    ("what", "pieces", "said"),
    [
        ("list", chain([HEAD + b"\r\n"], repeat(MEGABYTE)), "more than 262144 KiB"),
        ("watch", chain([HEAD + b"\r\n"], repeat(MEGABYTE)), "event of more than 16384 KiB"),
        ("list", chain([HEAD], repeat(b"X-A: b\r\n" * 10_000)), ""),
        ("list", chain([HEAD], [b"X-A: "], repeat(MEGABYTE)), ""),
        ("list", iter([HEAD + b"\r\n", DENSE]), "values at once"),
        ("watch", iter([HEAD + b"\r\n", DENSE[: 15 << 20] + b"\n"]), "values at once"),
        ("list", iter([HEAD + b"\r\n", b"[" * 1_000_000]), "no JSON"),
        ("list", iter([HEAD + b"Content-Encoding: gzip\r\n\r\n", BOMB]), "no JSON"),
    ],
    ids=["body", "line", "headers", "header", "values", "event", "depth", "bomb"],
)
def test_without_end(what: str, pieces: Iterator[bytes], said: str) -> None:
    """The answer is given up at a bound, and the operator is told."""
    told = client_of(pieces, what)
    assert told.strip()
    assert said in told


@pytest.mark.parametrize(
    ("limit", "text"),
    [("MAX_OBJECTS", "has more than 3 objects"), ("MAX_PAGES", "more than 3 pages")],
)
def test_lists_without_end(monkeypatch: pytest.MonkeyPatch, limit: str, text: str) -> None:
    """Neither objects nor pages are taken for ever; what was there before stays."""

    async def main() -> None:
        async with FakeAPIServer() as server:
            for number in range(5):
                server.put(service(f"web-{number}"))
            patience = Patience(first=0.01, longest=0.05, page=1)
            async with following(server, ("Service",), patience=patience) as consumer:
                await consumer.until(lambda: any(text in status for status in consumer.statuses))
                assert consumer.steps == []

    monkeypatch.setattr(lists, limit, 3)
    asyncio.run(main())
