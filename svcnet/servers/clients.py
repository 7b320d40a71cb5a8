"""Clients of a listening socket, also greedy, slow and broken ones, a limited number at a time.

Where too many are connected, one more ends the connection of another. It is one of the source
that has most, and of these the one that was silent longest. So a source that takes all it can
get takes it from itself, and who has few connections keeps them. A source is an IPv4 address, 64
bits of an IPv6 address, or the user at the other end of a unix socket.

A few descriptors are kept back: when the process has no other left, one more client can be taken.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from svcnet.servers.descriptors import Spare
from svcnet.servers.doors import OUT_OF_DESCRIPTORS, Shortage, admit
from svcnet.servers.origins import origin
from svcnet.servers.shares import FairShares

PAUSE_SECONDS = 0.5
"""How long no client is taken once descriptors have run out, if none of ours ends before."""

KEPT_BACK = 4
"""How many descriptors are kept back."""

CREDENTIALS = struct.Struct("3i")
"""Who is at the other end of a unix socket: struct ucred, with process, user and group."""

Source: TypeAlias = str | bytes | int


class ClientConnection:
    """A client: its connection, which does not block, and the source that it is of."""

    __slots__ = ("_clients", "connection", "source", "task")

    def __init__(self, clients: Clients, connection: socket.socket, source: Source) -> None:
        self._clients = clients
        self.connection = connection
        self.source = source
        self.task: asyncio.Task[None] | None = None

    def touch(self) -> None:
        """Note that the client has just done what clients are here for.

        To be called for one that may do more than one thing; of a source's clients the one
        that did nothing for the longest time is ended first.
        """
        self._clients.touch(self)


Converse: TypeAlias = Callable[[ClientConnection], Coroutine[Any, Any, None]]
"""Talks with a client, whose connection is closed afterwards. It ends at once when cancelled."""


class Clients:
    """The clients of one or several listeners, at most `limit` at a time.

    Its methods are called in one running event loop. To be closed after the listeners.
    """

    def __init__(self, limit: int) -> None:
        self._shares: FairShares[ClientConnection] = FairShares(limit)
        self._spare = Spare(KEPT_BACK)

    def __len__(self) -> int:
        return len(self._shares)

    def close(self) -> None:
        """Give back the descriptors that were kept."""
        self._spare.close()

    def accept(self, listening: socket.socket) -> tuple[socket.socket, Any]:
        """Accept a connection, with a descriptor that was kept back if there is no other.

        Raises BlockingIOError when nobody waits, and OSError.
        """
        while True:
            try:
                return listening.accept()
            except OSError as error:
                if error.errno not in OUT_OF_DESCRIPTORS or not self._spare.give():
                    raise

    def serve(
        self, connection: socket.socket, address: Any, converse: Converse
    ) -> asyncio.Task[None]:
        """Start to talk with a client; the connection is closed when the task is done."""
        client = ClientConnection(self, connection, source_of(connection, address))
        client.task = asyncio.get_running_loop().create_task(converse(client))
        _end(self._shares.add(client.source, client))

        def finish(_: asyncio.Task[None]) -> None:
            # Not in the task: one that is cancelled before its first step does nothing.
            connection.close()
            self._shares.discard(client)
            self._spare.keep()

        client.task.add_done_callback(finish)
        return client.task

    def touch(self, client: ClientConnection) -> None:
        """Note that a client has just done something."""
        self._shares.touch(client)

    def end_one(self) -> bool:
        """End the connection of a client to make room; return whether there is one."""
        return _end(self._shares.take())


def _end(client: ClientConnection | None) -> bool:
    if client is None:
        return False
    assert client.task is not None
    client.task.cancel()
    return True


class Acceptor:
    """Has `converse` talk with the clients of a listening socket from now on, until closed.

    Made and closed in a running event loop. The socket does not block, and is the listener's.
    """

    def __init__(self, listening: socket.socket, converse: Converse, clients: Clients) -> None:
        self._socket = listening
        self._converse = converse
        self._clients = clients
        self._conversations: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        self._shortage = Shortage(loop.call_later, self._look_away, self._look)
        self._look()

    @property
    def where(self) -> tuple[str, int]:
        """The address and port that is listened on, of an Internet socket."""
        address, port = self._socket.getsockname()[:2]
        return address, port

    def close(self) -> None:
        """Listen no longer, and end the connections that are open."""
        self._shortage.close()
        self._look_away()
        self._socket.close()
        for conversation in self._conversations:
            conversation.cancel()

    def has_room(self) -> bool:
        """Return that there is: of too many, another one has to go."""
        return True

    def take(self) -> tuple[socket.socket, Any]:
        """Return a connection and who it is from. Raises BlockingIOError, and OSError."""
        return self._clients.accept(self._socket)

    def serve(self, client: tuple[socket.socket, Any]) -> None:
        """Begin to talk with a client."""
        connection, address = client
        connection.setblocking(False)
        conversation = self._clients.serve(connection, address, self._converse)
        self._conversations.add(conversation)
        conversation.add_done_callback(self._forget)

    def rest(self) -> None:
        """Look away until descriptors are back, and have a client go to that end."""
        self._clients.end_one()
        self._shortage.begin(PAUSE_SECONDS)

    def _look(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _look_away(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)

    def _accept(self) -> None:
        admit(self)

    def _forget(self, conversation: asyncio.Task[None]) -> None:
        self._conversations.discard(conversation)
        self._shortage.relieve()


def source_of(connection: socket.socket, address: Any) -> Source:
    """Return what a client shares its connections with: an address, a network or a user."""
    if connection.family == socket.AF_UNIX:
        return user_of(connection)
    return origin(address[0])


def user_of(connection: socket.socket) -> int:
    """Return the user who has connected by a unix socket."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    user: int = CREDENTIALS.unpack(data)[1]
    return user
