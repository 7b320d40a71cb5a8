"""Sockets that HTTP is answered at: a client has a few seconds, some kilobytes, and one request."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TypeAlias

from svcnet.errors import ApplyError
from svcnet.servers.clients import Acceptor, ClientConnection, Clients
from svcnet.servers.descriptors import affordable
from svcnet.servers.monitoring.http import END, HTTPError, Responder, encode, parse, plain
from svcnet.servers.sockets import family_of, unbound

Where: TypeAlias = tuple[str, int]

CLIENTS = 128
"""How many clients may be connected at a time."""

HEAD_BYTES = 8192
"""How long the head of a request may be."""

HEAD_SECONDS = 5.0
"""How long a client may take to send it."""

ANSWER_SECONDS = 5.0
"""How long it may take to read the answer and close."""

EXCESS_BYTES = 65536
"""How much is read and thrown away of what a client sends beyond its request."""

BACKLOG = 4096
"""How many clients may wait to be taken. With fewer a crowd costs honest ones a second each."""


class HTTPServer:
    """Answers on one address, from the moment it is made in a running loop until closed.

    Port 0 means any free one. Raises ApplyError when the address cannot be listened on.
    """

    def __init__(self, where: Where, respond: Responder) -> None:
        address, port = where
        try:
            listening = listen(where)
        except OSError as error:
            raise ApplyError(
                f"{address} port {port}: cannot be listened on: {error.strerror}"
            ) from None
        self._clients = Clients(affordable(CLIENTS))
        self._listener = Acceptor(listening, partial(converse, respond), self._clients)

    @property
    def where(self) -> Where:
        """The address and port that is listened on."""
        return self._listener.where

    def close(self) -> None:
        """Listen no longer, and end the connections that are open."""
        self._listener.close()
        self._clients.close()


def listen(where: Where) -> socket.socket:
    """Return a socket that listens on an address; all addresses are those of its family alone.

    Raises OSError.
    """
    listening = unbound(family_of(where[0]), socket.SOCK_STREAM)
    try:
        listening.bind(where)
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


async def converse(respond: Responder, client: ClientConnection) -> None:
    """Answer one request. A client that is too slow, or gone, gets no answer."""
    connection = client.connection
    # The end of a time limit is an OSError as well.
    with suppress(OSError):
        async with asyncio.timeout(HEAD_SECONDS):
            head = await _head(connection)
        if not head:
            return
        answer = _answer(head, respond)
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.get_running_loop().sock_sendall(connection, answer)
            connection.shutdown(socket.SHUT_WR)
            await _drain(connection)


async def _head(connection: socket.socket) -> bytes:
    """Return what a client sends up to its empty line or its end, or too much of it."""
    loop = asyncio.get_running_loop()
    head = bytearray()
    while END not in head and len(head) <= HEAD_BYTES:
        data = await loop.sock_recv(connection, HEAD_BYTES)
        if not data:
            break
        head += data
    return bytes(head)


def _answer(received: bytes, respond: Responder) -> bytes:
    head, end, _ = received.partition(END)
    try:
        if len(head) > HEAD_BYTES:
            raise HTTPError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if not end:
            raise HTTPError(HTTPStatus.BAD_REQUEST)
        request = parse(head)
        return encode(respond(request.path), body=request.method != "HEAD")
    except HTTPError as refusal:
        return encode(refusal.answer)
    except Exception as error:
        # Our own mistake: it is told where the loop's owner looks, and to the client.
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a request could not be answered", "exception": error}
        )
        return encode(plain(HTTPStatus.INTERNAL_SERVER_ERROR))


async def _drain(connection: socket.socket) -> None:
    """Read what a client still sends: closed with it unread, the kernel would send a reset.

    A reset can overtake the answer and take it from the client (RFC 9112, 9.6).
    """
    loop = asyncio.get_running_loop()
    left = EXCESS_BYTES
    while left > 0:
        data = await loop.sock_recv(connection, left)
        if not data:
            return
        left -= len(data)
