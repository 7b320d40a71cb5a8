"""One question to another server, by UDP or TCP, from a socket of its own.

A forger has to guess the socket's port, which the kernel chooses at random, and the message's
number. The socket is connected: the kernel passes on nothing from elsewhere, and tells at once
when nobody listens.
"""

from __future__ import annotations

import asyncio
import socket

import dns.asyncquery
import dns.exception
import dns.message

from svcnet.executors.dns.sockets import MAX_DATAGRAM, Where

Response = dns.message.Message

TRIES_SECONDS = (2.0, 3.0)
"""How long each of the two tries by UDP waits: a datagram may get lost."""

TIMEOUT_SECONDS = sum(TRIES_SECONDS)
"""How long an answer is waited for."""

FORGED = 32
"""How many datagrams that are no answer end a try: somebody guesses the number."""


async def by_udp(question: dns.message.Message, where: Where) -> Response | None:
    """Return the answer, or None if there is none in time. Raises OSError."""
    wire = question.to_wire()
    for seconds in TRIES_SECONDS:
        try:
            async with asyncio.timeout(seconds):
                found = await _try(question, wire, where)
        except TimeoutError:
            continue
        if found is not None:
            return found
    return None


async def by_tcp(question: dns.message.Message, where: Where) -> Response | None:
    """Return the answer, or None if there is none in time or it is no answer. Raises OSError."""
    address, port = where
    try:
        return await dns.asyncquery.tcp(question, address, timeout=TIMEOUT_SECONDS, port=port)
    except dns.exception.Timeout:
        return None
    except (dns.exception.DNSException, ValueError, EOFError):
        return None


async def _try(question: dns.message.Message, wire: bytes, where: Where) -> Response | None:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as asking:
        asking.connect(where)
        await loop.sock_sendall(asking, wire)
        for _ in range(FORGED):
            found = answer_in(await loop.sock_recv(asking, MAX_DATAGRAM), question)
            if found is not None:
                return found
            # Let others have their turn, however fast the next one comes.
            await asyncio.sleep(0)
    return None


def answer_in(wire: bytes, question: dns.message.Message) -> Response | None:
    """Return the message if it is an answer to `question`, and None whatever else it is."""
    if wire[:2] != question.id.to_bytes(2, "big"):
        return None
    try:
        found: Response = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError):
        return None
    return found if question.is_response(found) else None
