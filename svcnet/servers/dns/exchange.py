"""One question to another server, by UDP or TCP, from a socket of its own.

A forger has to guess the socket's port, which the kernel chooses at random, and the message's
number. The socket is connected: the kernel passes on nothing from elsewhere, and tells at once
when nobody listens.
"""

from __future__ import annotations

import asyncio
import socket

import dns.message

from svcnet.servers.dns.framing import LENGTH_BYTES, frame
from svcnet.servers.dns.reading import AnswerReader, Response
from svcnet.servers.dns.sockets import MAX_DATAGRAM, Where
from svcnet.servers.sockets import family_of

TRIES_SECONDS = (2.0, 3.0)
"""How long each of the two tries by UDP waits: a datagram may get lost."""

TIMEOUT_SECONDS = sum(TRIES_SECONDS)
"""How long an answer is waited for."""

FORGED = 32
"""How many datagrams that are no answer end a try: somebody guesses the number."""


async def by_udp(
    question: dns.message.Message, where: Where, reading: AnswerReader
) -> Response | None:
    """Return the answer, or None if there is none in time. Raises OSError."""
    wire = question.to_wire()
    for seconds in TRIES_SECONDS:
        try:
            async with asyncio.timeout(seconds):
                found = await _try(question, wire, where, reading)
        except TimeoutError:
            continue
        if found is not None:
            return found
    return None


async def by_tcp(
    question: dns.message.Message, where: Where, reading: AnswerReader
) -> Response | None:
    """Return the answer, or None if there is none in time or it is no answer. Raises OSError."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            incoming, outgoing = await asyncio.open_connection(*where)
            try:
                outgoing.write(frame(question.to_wire()))
                length = int.from_bytes(await incoming.readexactly(LENGTH_BYTES), "big")
                return await reading.answer_in(await incoming.readexactly(length), question)
            finally:
                outgoing.close()
    except (TimeoutError, EOFError):
        return None


async def _try(
    question: dns.message.Message, wire: bytes, where: Where, reading: AnswerReader
) -> Response | None:
    loop = asyncio.get_running_loop()
    with socket.socket(family_of(where[0]), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as asking:
        asking.connect(where)
        await loop.sock_sendall(asking, wire)
        for _ in range(FORGED):
            answer = await loop.sock_recv(asking, MAX_DATAGRAM)
            found = await reading.answer_in(answer, question)
            if found is not None:
                return found
            # Let others have their turn, however fast the next one comes.
            await asyncio.sleep(0)
    return None
