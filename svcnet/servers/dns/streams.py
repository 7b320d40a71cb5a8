"""Questions by TCP (RFC 7766): many on a connection, answered in their order.

A client may be slow, silent or gone, may send its questions in any pieces and a thousand at
once, and may read no answer. All that costs it its own connection.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import TypeAlias
from weakref import WeakValueDictionary

from svcnet.servers.clients import ClientConnection
from svcnet.servers.dns.framing import Frames, frame

IDLE_SECONDS = 10.0
"""How long a client may take for a question, and to take an answer (RFC 7766, 6.2.3)."""

READ_BYTES = 16384
"""How much is read at a time; more than one message stays in the kernel until it is due."""

SEND_BUFFER_BYTES = 65536
"""How many bytes of answers the kernel keeps for a client that does not read (it doubles this)."""

Answer: TypeAlias = Callable[[bytes, Hashable], Awaitable[bytes | None]]
"""Answers a question of a source; None to what deserves no answer."""


class Turns:
    """Lets each source work on one question at a time, whatever number of connections it has."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    def of(self, source: Hashable) -> asyncio.Lock:
        """Return what is locked while a question of `source` is worked on."""
        found = self._locks.get(source)
        if found is None:
            found = self._locks[source] = asyncio.Lock()
        return found


def prepare(listening: socket.socket) -> None:
    """Give a listening socket the options that its connections inherit."""
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


async def converse(answer: Answer, client: ClientConnection) -> None:
    """Answer the questions on a connection, one after the other."""
    loop, frames = asyncio.get_running_loop(), Frames()
    # The end of a time limit is an OSError as well.
    with suppress(OSError):
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                wire = await _message(client.connection, frames)
            reply = None if wire is None else await answer(wire, client.source)
            if reply is None:
                return
            async with asyncio.timeout(IDLE_SECONDS):
                await loop.sock_sendall(client.connection, frame(reply))
            client.touch()


async def _message(connection: socket.socket, frames: Frames) -> bytes | None:
    """Return the next message, None when the client has ended."""
    loop = asyncio.get_running_loop()
    while (message := frames.take()) is None:
        data = await loop.sock_recv(connection, READ_BYTES)
        if not data:
            return None
        frames.feed(data)
    return message
