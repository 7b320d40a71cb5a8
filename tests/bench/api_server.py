"""An API server with a large cluster, in a process of its own, for the benchmark of the loop.

Arguments: how many Services there are, and how many endpoints each has. When it answers it
prints its port. Each line of its input is a command: how many slices are to lose or regain an
endpoint, and how many seconds to wait from one to the next. When that is done it prints the
times when they changed, in seconds since 1970, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import count
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
            wanted, interval = line.split()
            begun = loop.time()
            times = []
            for made in range(int(wanted)):
                await asyncio.sleep(begun + made * float(interval) - loop.time())
                turn, number = divmod(next(numbers), services)
                times.append(time.time())
                server.put(clusters.endpoint_slice(number, endpoints - 1 + turn % 2))
            print(json.dumps(times), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
