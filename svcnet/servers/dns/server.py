"""A server for our zones, by UDP and TCP: what ``svcnet dns serve`` runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Hashable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import dns.rcode

from svcnet.discovery.dns import Zones
from svcnet.servers.clients import Acceptor, Clients, source_of
from svcnet.servers.dns import streams
from svcnet.servers.dns.batches import Batch, Sender
from svcnet.servers.dns.forwarding import Upstream
from svcnet.servers.dns.messages import refusal
from svcnet.servers.dns.responder import Elsewhere, Reply, Responder
from svcnet.servers.dns.sockets import EVERY_ADDRESS, Where, listen
from svcnet.servers.dns.troubles import Say, Trouble
from svcnet.servers.sockets import family_of

__all__ = ["CONNECTIONS", "DATAGRAMS_AT_ONCE", "ENDING_SECONDS", "DNSServer"]

DATAGRAMS_AT_ONCE = 32
"""How many datagrams of a socket are answered before others have their turn."""

CONNECTIONS = 500
"""How many TCP connections are open at most, of all addresses together."""

ENDING_SECONDS = 1.0
"""How long what was asked may still wait for the other server when this one ends."""


class DNSServer:
    """Answers on its addresses from the moment it is made in a running loop, until closed.

    Zones may be replaced at any time: no question is lost, and each is answered from one or
    the other. The upstream is the server's to close. `say` is told what an operator has to
    know. Raises ApplyError when an address cannot be listened on.
    """

    def __init__(
        self,
        zones: Zones,
        where: Iterable[Where],
        say: Say,
        upstream: Upstream | None = None,
        *,
        connections: int = CONNECTIONS,
    ) -> None:
        self._upstream = upstream
        self._responder = Responder(zones, recursion=upstream is not None)
        self._mistake = Trouble(say)
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = streams.Turns()
        sockets: list[tuple[list[socket.socket], Batch, socket.socket]] = []
        try:
            sockets.extend(map(_listen, where))
        except BaseException:
            for several, _, listening in sockets:
                for one in (*several, listening):
                    one.close()
            raise
        self._clients = Clients(connections)
        self._receiving = {one: batch for several, batch, _ in sockets for one in several}
        for receiving, batch in self._receiving.items():
            asyncio.get_running_loop().add_reader(receiving, self._readable, receiving, batch)
        talk = partial(streams.converse, self._answer)
        self._listeners: list[Acceptor] = []
        for _, _, listening in sockets:
            streams.prepare(listening)
            self._listeners.append(Acceptor(listening, talk, self._clients))

    @property
    def where(self) -> tuple[Where, ...]:
        """The addresses and ports that are listened on, each by UDP and TCP."""
        return tuple(listener.where for listener in self._listeners)

    @property
    def zones(self) -> Zones:
        """What is answered."""
        return self._responder.zones

    @zones.setter
    def zones(self, zones: Zones) -> None:
        self._responder = Responder(zones, recursion=self._upstream is not None)

    async def close(self) -> None:
        """Listen no longer, and finish what was asked by UDP, within a second."""
        for receiving, batch in self._receiving.items():
            asyncio.get_running_loop().remove_reader(receiving)
            self._readable(receiving, batch)
        for listener in self._listeners:
            listener.close()
        self._clients.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=ENDING_SECONDS)
        if self._upstream is not None:
            await self._upstream.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for receiving in self._receiving:
            receiving.close()

    def _readable(self, receiving: socket.socket, batch: Batch) -> None:
        """Answer the datagrams that wait, now or when the other server has answered."""
        questions = batch.receive(receiving.fileno())
        answers: list[bytes | None] = []
        for number, wire in enumerate(questions):
            reply = self._reply(wire, tcp=False)
            if isinstance(reply, Elsewhere):
                self._start(self._forward(receiving, wire, batch.sender(number), reply))
                reply = None
            answers.append(reply)
        batch.send(receiving.fileno(), answers)

    async def _forward(
        self, receiving: socket.socket, wire: bytes, sender: Sender, reply: Elsewhere
    ) -> None:
        ancillary, client = sender
        made = await self._ask(reply, source_of(receiving, client), wire, tcp=False)
        # A client that is gone, or a full buffer, loses its answer: it will ask again.
        with suppress(OSError):
            receiving.sendmsg([made], ancillary, 0, client)

    async def _answer(self, wire: bytes, source: Hashable) -> bytes | None:
        """Answer a message that came by TCP."""
        async with self._turns.of(source):
            reply = self._reply(wire, tcp=True)
            # Others have their turn, also when this client's next question is there already.
            await asyncio.sleep(0)
        if isinstance(reply, Elsewhere):
            return await self._ask(reply, source, wire, tcp=True)
        return reply

    async def _ask(self, reply: Elsewhere, source: Hashable, wire: bytes, *, tcp: bool) -> bytes:
        assert self._upstream is not None
        try:
            return await self._upstream.ask(reply, source, tcp=tcp)
        except Exception as error:
            return self._excuse(error, wire)

    def _reply(self, wire: bytes, *, tcp: bool) -> Reply:
        try:
            return self._responder.reply(wire, tcp=tcp)
        except Exception as error:
            return self._excuse(error, wire)

    def _excuse(self, error: Exception, wire: bytes) -> bytes:
        """Return an answer where there is none by our own mistake, which is told once."""
        self._mistake.begin(f"a question cannot be answered: {error!r}: {wire[:300].hex()}")
        return refusal(wire, dns.rcode.SERVFAIL)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _listen(where: Where) -> tuple[list[socket.socket], Batch, socket.socket]:
    several, listening = listen(where)
    is_told = where[0] in EVERY_ADDRESS
    return several, Batch(family_of(where[0]), DATAGRAMS_AT_ONCE, is_told=is_told), listening
