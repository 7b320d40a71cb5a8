"""An event loop in a thread, as a program with servers has it, and clients for tests."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from attrs import define, field

T = TypeVar("T")
LOOPBACK = "127.0.0.1"


@define
class Running:
    """A running loop; ``troubles`` is what reached its exception handler."""

    loop: asyncio.AbstractEventLoop
    troubles: list[dict[str, Any]] = field(factory=list)

    def call(self, work: Callable[[], T]) -> T:
        """Call `work` in the loop and return what it returns."""

        async def inside() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(inside(), self.loop).result(30)


@contextmanager
def running() -> Iterator[Running]:
    """Run an event loop in a thread; at the end nothing may have reached its handler."""
    loop = asyncio.new_event_loop()
    made = Running(loop)
    loop.set_exception_handler(lambda _, context: made.troubles.append(context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(_end(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert made.troubles == []


async def _end() -> None:
    """Wait until the tasks of servers that were closed have ended."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*rest, return_exceptions=True)


def get(
    port: int, path: str = "/", *, method: str = "GET", address: str = LOOPBACK
) -> tuple[int, dict[str, str], bytes]:
    """Return the status, the headers and the body that a client gets."""
    client = http.client.HTTPConnection(address, port, timeout=10)
    try:
        client.request(method, path)
        response = client.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        client.close()


def get_json(port: int, path: str = "/", *, address: str = LOOPBACK) -> tuple[int, Any]:
    status, _, body = get(port, path, address=address)
    return status, json.loads(body)


def say(port: int, *parts: bytes) -> bytes:
    """Send bytes, in parts, then the end; return all that comes back."""
    with socket.create_connection((LOOPBACK, port), timeout=10) as client:
        try:
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The server may have closed before everything was sent.
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    found = b""
    try:
        while data := client.recv(65536):
            found += data
    except ConnectionError:
        pass
    return found


def free_port() -> int:
    """Return a port that is free, and that the kernel gives no client by itself."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as sock:
            if sock.connect_ex((LOOPBACK, port)):
                return port
