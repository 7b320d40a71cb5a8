"""Clients of a listening socket, also slow, hostile and broken ones, a limited number at a time.

Where too many are connected, one more ends the connection of the one that has been there
longest: an honest client is gone within milliseconds, so many silent ones do not keep it out.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

ACCEPTED_AT_ONCE = 32
"""How many clients of one socket are taken before other sockets have their turn."""

PAUSE_SECONDS = 0.5
"""How long no client is taken once descriptors have run out."""

Converse: TypeAlias = Callable[[socket.socket], Coroutine[Any, Any, None]]
"""Talks with a client, whose connection does not block and is closed afterwards."""


class Clients:
    """The clients of one or several listeners, at most `limit` at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._conversations: dict[asyncio.Task[None], None] = {}

    def serve(self, connection: socket.socket, converse: Converse) -> asyncio.Task[None]:
        """Start to talk with a client; the connection is closed when the task is done."""
        if len(self._conversations) >= self._limit:
            oldest = next(iter(self._conversations))
            del self._conversations[oldest]
            oldest.cancel()
        task = asyncio.get_running_loop().create_task(converse(connection))
        self._conversations[task] = None

        def done(task: asyncio.Task[None]) -> None:
            # Not in the task: one that is cancelled before its first step does nothing.
            connection.close()
            self._conversations.pop(task, None)

        task.add_done_callback(done)
        return task


class Listener:
    """Has `converse` talk with the clients of a listening socket from now on, until closed.

    Made and closed in a running event loop. The socket does not block, and is the listener's.
    """

    def __init__(self, listening: socket.socket, converse: Converse, clients: Clients) -> None:
        self._socket = listening
        self._converse = converse
        self._clients = clients
        self._conversations: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().add_reader(listening, self._accept)

    @property
    def where(self) -> tuple[str, int]:
        """The address and port that is listened on, of an Internet socket."""
        address, port = self._socket.getsockname()[:2]
        return address, port

    def close(self) -> None:
        """Listen no longer, and end the connections that are open."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for conversation in self._conversations:
            conversation.cancel()

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, _ = self._socket.accept()
            except (BlockingIOError, ConnectionError):
                # Nobody is left, or a client has gone already.
                return
            except OSError:
                # Descriptors have run out: the client stays ready, so look away for a while.
                self._pause()
                return
            connection.setblocking(False)
            conversation = self._clients.serve(connection, self._converse)
            self._conversations.add(conversation)
            conversation.add_done_callback(self._conversations.discard)

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)

        def go_on() -> None:
            if self._socket.fileno() >= 0:
                loop.add_reader(self._socket, self._accept)

        loop.call_later(PAUSE_SECONDS, go_on)
