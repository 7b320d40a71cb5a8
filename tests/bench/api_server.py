"""An API server with a large cluster, in a process of its own, for the benchmark of the loop.

Arguments: how many Services there are, and how many endpoints each has. When it answers it
prints its port. Each line of its input is a command: how many slices are to change, how many
seconds to wait from one to the next, and how: ``count`` has each lose or regain an endpoint, and
``replaced`` has one of its endpoints have another address. When that is done it prints the times
when they changed, in seconds since 1970, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from svcnet.testing.fake_api import FakeAPIServer
from tests.bench import clusters


async def main(services: int, endpoints: int) -> None:
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    server = FakeAPIServer()
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
            print(json.dumps(times), flush=True)


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
