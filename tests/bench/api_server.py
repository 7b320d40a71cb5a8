"""An API server with a large cluster, in a process of its own, for the benchmark of the loop.

Arguments: how many Services there are, and how many endpoints each has. When it answers it
prints its port. Each line of its input is a command: how many slices are to change, how many
seconds to wait from one to the next, and how: ``count`` has each lose or regain an endpoint, and
``replaced`` has one of its endpoints have another address. When that is done it prints as JSON, in
seconds since 1970, the times when they changed and those when the server came to write the last of
them to its watches: what lies between is the server's own work.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from svcnet.testing.fake_api import FakeAPIServer
from svcnet.testing.fake_http import FakeRequest
from svcnet.testing.fake_store import Object, Selection
from tests.bench import clusters


class PunctualServer(FakeAPIServer):
    """A server that knows when it came to write its last event."""

    wrote = 0.0

    async def _events(
        self, request: FakeRequest, selection: Selection, version: int
    ) -> AsyncIterator[Object]:
        async for event in super()._events(request, selection, version):
            self.wrote = time.time()
            yield event


async def main(services: int, endpoints: int) -> None:
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    server = PunctualServer()
    server.put(*clusters.manifests(services, endpoints))
    server.compact()
    async with server:
        print(urlsplit(server.url).port, flush=True)
        numbers = count()
        while line := await commands.readline():
            wanted, interval, how = line.decode().split()
            begun = loop.time()
            times = []
            for made in range(int(wanted)):
                await asyncio.sleep(begun + made * float(interval) - loop.time())
                turn, number = divmod(next(numbers), services)
                changed = changed_slice(number, endpoints, how, is_back=bool(turn % 2))
                server.put(changed)
                times.append(time.time())
            # The watches are woken behind this one, and write before it goes on.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            print(json.dumps([times, server.wrote]), flush=True)


def changed_slice(number: int, endpoints: int, how: str, *, is_back: bool) -> dict[str, Any]:
    """Return a slice after a change, or as it was at first if it `is_back`."""
    if is_back or how == "replaced":
        made = clusters.endpoint_slice(number, endpoints)
        if not is_back:
            made["endpoints"][-1]["addresses"] = [clusters.address("10", 200, number)]
        return made
    return clusters.endpoint_slice(number, endpoints - 1)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
