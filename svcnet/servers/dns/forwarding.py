"""Asking another server what is in none of our zones."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
from attrs import define, field

from svcnet.discovery.dns import Answer
from svcnet.servers.dns.exchange import by_tcp, by_udp
from svcnet.servers.dns.loops import Loops
from svcnet.servers.dns.messages import EDNS_BYTES, Query, encode, respond, room
from svcnet.servers.dns.reading import AnswerReader, Response
from svcnet.servers.dns.responder import Elsewhere
from svcnet.servers.dns.sockets import write_address
from svcnet.servers.dns.troubles import Say, Trouble
from svcnet.servers.shares import FairShares

__all__ = ["WAITING", "Upstream"]

WAITING = 1000
"""How many clients' questions wait for the other server.

One more, and one of the source that has most gets SERVFAIL: that which waits longest. An honest
server answers within milliseconds, so what waits long will hardly be answered.
"""

_KNOWN = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)

_Key: TypeAlias = tuple[Hashable, ...]
_Waiting: TypeAlias = "asyncio.Future[Response | None]"


@define(eq=False)
class _Query:
    """A question that is on its way to the other server, and the clients who wait for it."""

    task: asyncio.Task[Response | None]
    waiting: set[_Waiting] = field(factory=set)


class Upstream:
    """Another server, by its address and port.

    Whatever number of clients ask one question, the server is asked once. So one that leads
    back to us is not asked for ever: a question that comes back waits for itself.
    To be made and closed in a running loop. `say` is told, once, that it gives no answers,
    and when it does again.
    """

    def __init__(self, address: str, port: int, say: Say, *, waiting: int = WAITING) -> None:
        self._where = address, port
        self._shown = write_address(self._where)
        self._waiting: FairShares[_Waiting] = FairShares(waiting)
        self._asked: dict[_Key, _Query] = {}
        self._reading = AnswerReader()
        self._silence = Trouble(say)
        self._answers = 0
        self._loops = Loops(self._shown, self._probe, say)
        self._watching = asyncio.get_running_loop().create_task(self._loops.watch())

    async def close(self) -> None:
        """Wait for no answer any more: each question that waits gets SERVFAIL."""
        asked = [each.task for each in self._asked.values()]
        for task in (self._watching, *asked):
            task.cancel()
        await asyncio.gather(self._watching, *asked, return_exceptions=True)

    async def ask(self, elsewhere: Elsewhere, source: Hashable, *, tcp: bool) -> bytes:
        """Return the answer to a client's question, SERVFAIL if the server gives none."""
        if elsewhere.otherwise is None:
            return await self._relay(elsewhere.query, source, tcp)
        return await self._follow(elsewhere, elsewhere.otherwise, source, tcp)

    async def _relay(self, query: Query, source: Hashable, tcp: bool) -> bytes:
        response = await self._exchange(_question(query), source, tcp)
        if response is not None:
            made = respond(query, dns.rcode.Rcode(response.rcode() & 0xF), recursion=True)
            made.flags |= response.flags & (dns.flags.TC | dns.flags.AD)
            made.sections[1:] = response.sections[1:]
            with suppress(dns.exception.DNSException, ValueError):
                return made.to_wire(max_size=room(query.payload, tcp), prefer_truncation=True)
        return encode(query, dns.rcode.SERVFAIL, tcp=tcp, recursion=True)

    async def _follow(
        self, elsewhere: Elsewhere, otherwise: Answer, source: Hashable, tcp: bool
    ) -> bytes:
        """Complete an alias, with whatever the other server knows of its target."""
        query, found = elsewhere.query, elsewhere.found
        target = dns.name.from_text(found.answers[-1].data)
        response = await self._exchange(_question(query, target), source, tcp=True)
        if response is not None and response.rcode() in _KNOWN:
            with suppress(dns.exception.DNSException, ValueError):
                return encode(query, found, tcp=tcp, recursion=True, further=response.answer)
        return encode(query, otherwise, tcp=tcp, recursion=True)

    async def _exchange(self, question: Query, source: Hashable, tcp: bool) -> Response | None:
        if self._loops.closes_with(question.question[0].name) or self._loops.found:
            return None
        response = await self._share(question, source, tcp)
        if tcp and response is not None and response.flags & dns.flags.TC:
            # It is the answer to somebody who asked by UDP.
            return await self._share(question, source, tcp)
        return response

    async def _share(self, question: Query, source: Hashable, tcp: bool) -> Response | None:
        """Return the answer to a question that others may wait for too."""
        key, loop = _key(question), asyncio.get_running_loop()
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = _Query(loop.create_task(self._answer(question, tcp)))
            asked.task.add_done_callback(partial(self._tell, key, asked))
        waiting: _Waiting = loop.create_future()
        asked.waiting.add(waiting)
        gone = self._waiting.add(source, waiting)
        if gone is not None and not gone.done():
            gone.set_result(None)
        try:
            return await waiting
        finally:
            self._waiting.discard(waiting)
            asked.waiting.discard(waiting)
            if not asked.waiting:
                self._forget(key, asked)
                asked.task.cancel()

    def _tell(self, key: _Key, asked: _Query, task: asyncio.Task[Response | None]) -> None:
        """Give all who wait for a question its answer."""
        self._forget(key, asked)
        error = None if task.cancelled() else task.exception()
        for waiting in asked.waiting:
            if waiting.done():
                continue
            if error is not None:
                waiting.set_exception(error)
            else:
                waiting.set_result(None if task.cancelled() else task.result())

    def _forget(self, key: _Key, asked: _Query) -> None:
        # A question that was given up may have been asked again in between.
        if self._asked.get(key) is asked:
            del self._asked[key]

    async def _answer(self, question: Query, tcp: bool) -> Response | None:
        """Return the server's answer; tell of one that gives none to any question."""
        before, reason = self._answers, "no answer comes in time"
        try:
            response = await (by_tcp if tcp else by_udp)(question, self._where, self._reading)
        except OSError as error:
            response, reason = None, error.strerror or str(error)
        if response is not None:
            self._answers += 1
            self._silence.end(f"{self._shown} answers again")
        elif before == self._answers:
            self._loops.suspect()
            if not self._loops.found:
                self._silence.begin(
                    f"{self._shown} gives no answers: {reason}; names outside of the zones are "
                    "answered SERVFAIL until it does"
                )
        return response

    async def _probe(self, question: Query) -> None:
        await self._answer(question, tcp=False)


def _question(query: Query, name: dns.name.Name | None = None) -> Query:
    """Return the same question as our own: another number, and no options of the client's."""
    asked = query.question[0]
    made: Query = dns.message.make_query(
        name or asked.name,
        asked.rdtype,
        asked.rdclass,
        use_edns=0 if query.edns >= 0 else None,
        want_dnssec=bool(query.ednsflags & dns.flags.DO),
        payload=EDNS_BYTES if query.edns >= 0 else None,
    )
    made.flags |= query.flags & (dns.flags.CD | dns.flags.AD)
    return made


def _key(question: Query) -> _Key:
    """Return what equal questions have in common: everything but number, and case of letters."""
    asked = question.question[0]
    return (
        asked.name.canonicalize(),
        asked.rdtype,
        asked.rdclass,
        question.flags,
        question.edns,
        question.ednsflags,
    )
