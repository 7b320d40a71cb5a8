"""A server for our zones, by UDP and TCP: what ``svcnet dns serve`` runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from svcnet.discovery.dns import Zones
from svcnet.executors.dns.forwarding import Upstream
from svcnet.executors.dns.responder import Elsewhere, Responder
from svcnet.executors.dns.sockets import Ancillary, Where, listen, receive

DATAGRAMS_AT_ONCE = 64
"""How many datagrams are answered before other sockets have their turn."""

CONNECTIONS = 500
"""How many TCP connections are open at most; one more is closed at once."""

IDLE_SECONDS = 10.0
"""How long a connection may say nothing, or take nothing (RFC 7766, 6.2.3)."""

PAUSE_SECONDS = 0.5
"""How long no connection is taken once descriptors have run out."""


class Server:
    """Answers on its addresses from the moment it is made in a running loop, until closed.

    Zones may be replaced at any time: no question is lost, and each is answered from one or
    the other. Raises ApplyError when an address cannot be listened on.
    """

    def __init__(
        self, zones: Zones, where: Iterable[Where], upstream: Upstream | None = None
    ) -> None:
        self._upstream = upstream
        self._responder = Responder(zones, recursion=upstream is not None)
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._datagrams: list[socket.socket] = []
        self._streams: list[socket.socket] = []
        try:
            for address in where:
                datagrams, streams = listen(address)
                self._datagrams.append(datagrams)
                self._streams.append(streams)
        except BaseException:
            self._close_sockets()
            raise
        loop = asyncio.get_running_loop()
        for datagrams in self._datagrams:
            loop.add_reader(datagrams, self._readable, datagrams)
        for streams in self._streams:
            loop.add_reader(streams, self._acceptable, streams)

    @property
    def where(self) -> tuple[Where, ...]:
        """The addresses and ports that are listened on, each by UDP and TCP."""
        return tuple(one.getsockname()[:2] for one in self._datagrams)

    @property
    def zones(self) -> Zones:
        """What is answered."""
        return self._responder.zones

    @zones.setter
    def zones(self, zones: Zones) -> None:
        self._responder = Responder(zones, recursion=self._upstream is not None)

    async def close(self) -> None:
        """Listen no longer, and finish what was asked."""
        loop = asyncio.get_running_loop()
        for datagrams in self._datagrams:
            self._readable(datagrams)
        for one in (*self._datagrams, *self._streams):
            loop.remove_reader(one)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._tasks, *self._connections, return_exceptions=True)
        self._close_sockets()

    def _close_sockets(self) -> None:
        for one in (*self._datagrams, *self._streams):
            one.close()

    def _readable(self, datagrams: socket.socket) -> None:
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                wire, ancillary, client = receive(datagrams)
            except OSError:
                # Nothing is left, or the kernel tells of an answer that found nobody.
                return
            reply = self._responder.reply(wire)
            if isinstance(reply, Elsewhere):
                self._start(self._forward(datagrams, reply, ancillary, client))
            elif reply is not None:
                _send(datagrams, reply, ancillary, client)

    async def _forward(
        self, datagrams: socket.socket, reply: Elsewhere, ancillary: Ancillary, client: Any
    ) -> None:
        _send(datagrams, await self._ask(reply, tcp=False), ancillary, client)

    async def _ask(self, reply: Elsewhere, *, tcp: bool) -> bytes:
        assert self._upstream is not None
        return await self._upstream.ask(reply, tcp=tcp)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _acceptable(self, streams: socket.socket) -> None:
        try:
            connection, _ = streams.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:
            # Descriptors have run out: the connection stays ready, so look away for a while.
            self._pause(streams)
            return
        if len(self._connections) >= CONNECTIONS:
            connection.close()
            return
        task = asyncio.get_running_loop().create_task(self._converse(connection))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    def _pause(self, streams: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(streams)

        def go_on() -> None:
            if streams.fileno() >= 0:
                loop.add_reader(streams, self._acceptable, streams)

        loop.call_later(PAUSE_SECONDS, go_on)

    async def _converse(self, connection: socket.socket) -> None:
        """Answer the questions on a connection, one after the other."""
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    wire = await reader.readexactly(length)
                reply = self._responder.reply(wire, tcp=True)
                if isinstance(reply, Elsewhere):
                    reply = await self._ask(reply, tcp=True)
                if reply is None:
                    return
                writer.write(len(reply).to_bytes(2, "big") + reply)
                async with asyncio.timeout(IDLE_SECONDS):
                    await writer.drain()
        except (OSError, EOFError, TimeoutError):
            return
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def _send(datagrams: socket.socket, wire: bytes, ancillary: Ancillary, client: Any) -> None:
    # A client that is gone, or a full buffer, loses its answer: it will ask again.
    with suppress(OSError):
        datagrams.sendmsg([wire], ancillary, 0, client)
