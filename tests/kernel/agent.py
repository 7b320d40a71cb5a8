"""A program that runs inside one network namespace and sends and answers traffic.

One JSON command a line on standard input, one JSON answer a line on standard output.
It uses the standard library only and ends with its input.

Every server answers who it is and whom it sees: ``name port peer``.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import cycle
from typing import Any

REFUSED, UNREACHABLE, TIMEOUT = ["refused"], ["unreachable"], ["timeout"]
KINDS = {
    "TCP": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "UDP": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "SCTP": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
TOGETHER = 100

# Each try has a source port of its own: conntrack must not take it for an earlier one of the same
# test, and forgets those of others.
source_ports = cycle(range(10_000, 60_000))


class Agent:
    def __init__(self) -> None:
        self.name = ""
        self.held: dict[int, socket.socket] = {}
        self.servers: list[Any] = []

    async def serve(self, name: str, addresses: list[str], listen: list[tuple[str, int]]) -> None:
        """Answer on each (protocol, port) of each address."""
        self.name = name
        loop = asyncio.get_running_loop()
        for protocol, port in listen:
            for address in addresses:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                listener = socket.socket(family, *KINDS[protocol])
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listener.bind((address, port))
                listener.setblocking(False)
                if protocol != "UDP":
                    server = await asyncio.start_server(self._answer, sock=listener, backlog=512)
                    self.servers.append(server)
                else:
                    self.servers.append(
                        await loop.create_datagram_endpoint(
                            partial(Datagrams, self, port), sock=listener
                        )
                    )

    def greeting(self, port: int, peer: tuple[Any, ...]) -> bytes:
        return f"{self.name} {port} {peer[0]}".encode()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        writer.write(self.greeting(port, writer.get_extra_info("peername")))
        try:
            while data := await reader.read(4096):
                writer.write(data)
        except ConnectionError:
            pass
        writer.close()

    async def attempt(self, count: int, sequential: bool = False, **to: Any) -> list[list[Any]]:
        """Ask `count` times for an answer, many at once unless `sequential`."""
        results: list[list[Any]] = []
        batch = 1 if sequential else TOGETHER
        while len(results) < count:
            sockets: list[socket.socket] = []
            tries = min(batch, count - len(results))
            results += await asyncio.gather(*(self._ask(sockets, **to) for _ in range(tries)))
            for held in sockets:
                held.close()
        return results

    async def _ask(
        self,
        sockets: list[socket.socket],
        source: str,
        destination: str,
        port: int,
        protocol: str,
        timeout: float,
        source_port: int | None = None,
    ) -> list[Any]:
        loop = asyncio.get_running_loop()
        sock = bound(source, protocol, source_port)
        sockets.append(sock)
        try:
            async with asyncio.timeout(timeout):
                await loop.sock_connect(sock, (destination, port))
                if protocol == "UDP":
                    # "Not permitted" is how a sender learns that this machine's own rules
                    # stopped a datagram. A refusal is reported too, by what follows.
                    with suppress(PermissionError):
                        await loop.sock_sendall(sock, b"?")
                name, own_port, peer = (await loop.sock_recv(sock, 200)).decode().split()
                return ["reply", name, int(own_port), peer]
        except TimeoutError:
            return TIMEOUT
        except ConnectionRefusedError:
            return REFUSED
        except OSError as error:
            return [*UNREACHABLE, str(error)]

    async def flood(self, source: str, destination: str, port: int, count: int) -> None:
        """Send datagrams from one port, and wait for no answer."""
        sock = bound(source, "UDP")
        sock.connect((destination, port))
        for _ in range(count):
            with suppress(OSError):
                sock.send(b"?")
        sock.close()

    async def open(self, hold: int, **to: Any) -> list[Any]:
        """Open a connection, get its first answer, and hold it under the number `hold`."""
        sockets: list[socket.socket] = []
        answer = await self._ask(sockets, protocol="TCP", **to)
        self.held[hold] = sockets[0]
        return answer

    async def exchange(self, hold: int, timeout: float) -> bool:
        """Whether a held connection still carries bytes in both directions."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                await loop.sock_sendall(self.held[hold], b"ping")
                return await loop.sock_recv(self.held[hold], 200) == b"ping"
        except OSError:
            return False

    async def close(self, holds: list[int] | None = None, abort: bool = False) -> None:
        """Close held connections: those with the numbers `holds`, or every one.

        With `abort` by a reset, which ends a connection at once.
        """
        for hold in list(self.held) if holds is None else holds:
            sock = self.held.pop(hold)
            if abort:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, agent: Agent, port: int) -> None:
        self.agent = agent
        self.port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        assert data == b"?"
        self.transport.sendto(self.agent.greeting(self.port, addr), addr)


def bound(source: str, protocol: str, port: int | None = None) -> socket.socket:
    """Return a socket with the address `source`, and `port` or one that no earlier try had."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    sock = socket.socket(family, *KINDS[protocol])
    sock.setblocking(False)
    if port is not None:
        sock.bind((source, port))
        return sock
    while True:
        try:
            sock.bind((source, next(source_ports)))
        except OSError as error:
            if error.errno != 98:  # EADDRINUSE: a server of this namespace has that port
                raise
        else:
            return sock


async def main() -> None:
    loop = asyncio.get_running_loop()
    agent = Agent()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        action: Callable[..., Awaitable[Any]] = getattr(agent, command.pop("do"))
        print(json.dumps(await action(**command)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
