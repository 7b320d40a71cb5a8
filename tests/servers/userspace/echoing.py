"""An echo server for many connections, in a process of its own: its port is printed."""

from __future__ import annotations

import asyncio

from svcnet.servers.userspace import raise_file_limit


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    raise_file_limit()
    asyncio.run(main())
