"""Reading a server's zone as a whole (AXFR, RFC 5936), whatever the server sends.

A zone is believed whole or not at all: cut, malformed, unsigned where it has to be signed, or
without an end, it is an error. What it may have is bounded, and so is the time.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Thread
from typing import TypeAlias

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdata
import dns.rdatatype
import dns.xfr
import dns.zone

from svcnet.executors.dns.tsig import Key
from svcnet.servers.dns.framing import Frames

TIMEOUT_SECONDS = 10.0
"""How long a connection, and each whole message, may take."""

WHOLE_SECONDS = 600.0
"""How long a whole transfer may take."""

MOST_RECORDS = 1_000_000
MOST_BYTES = 256 * 1024 * 1024
"""What a zone may have. Records of the largest clusters are some hundred thousand."""

READ_BYTES = 65536
MESSAGE_BYTES = 128
"""What a message costs beside its own bytes."""

Record: TypeAlias = tuple[dns.name.Name, int, dns.rdata.Rdata]
"""A record: its name, its TTL in seconds and its data."""

ReceivedMessage: TypeAlias = bytes | Exception


class TransferError(Exception):
    """What a server sent is not taken for a zone; the text says why."""


def transfer(where: tuple[str, int], origin: dns.name.Name, key: Key | None = None) -> list[Record]:
    """Return all records of a zone, with absolute names.

    Raises OSError, EOFError, Refused and dnspython's DNSException for a server that cannot
    be reached, stops in the middle, refuses, or sends what is no zone or too large.
    """
    query = make_query(origin, key)
    with socket.create_connection(where, TIMEOUT_SECONDS) as connection:
        dns.query.send_tcp(connection, query)
        with _messages(connection) as take:
            return read_zone(origin, query, take)


def make_query(origin: dns.name.Name, key: Key | None = None) -> dns.message.Message:
    """Return the question for a whole zone."""
    query: dns.message.Message = dns.message.make_query(origin, dns.rdatatype.AXFR)
    if key is not None:
        query.use_tsig(key.signer)
    return query


def read_zone(
    origin: dns.name.Name, query: dns.message.Message, take: Callable[[], bytes]
) -> list[Record]:
    """Return the records in the messages that `take` returns one after the other.

    Raises what `take` raises, and Refused or DNSException for what is no zone.
    """
    zone = dns.zone.Zone(origin, relativize=False)
    deadline, count = time.monotonic() + WHOLE_SECONDS, 0
    with dns.xfr.Inbound(zone) as inbound:
        first, done, context = True, False, None
        while not done:
            wire = take()
            try:
                message = dns.message.from_wire(
                    wire,
                    keyring=query.keyring,
                    request_mac=query.mac or b"",
                    xfr=True,
                    tsig_ctx=context,
                    multi=True,
                )
                if not _answers(query, message):
                    raise TransferError("what the server sends is no answer to the question for it")
                count += len(message.answer)
                if count > MOST_RECORDS:
                    raise TransferError(f"it has more than {MOST_RECORDS} records")
                done, context = inbound.process_message(message), message.tsig_ctx
            except (ValueError, LookupError) as error:
                # Not all of dnspython's checks have an error of its own.
                raise TransferError(f"it is malformed: {error}") from None
            if query.keyring and (first or done) and not message.had_tsig:
                # RFC 8945, 5.3.1: those in between need no signature of their own.
                raise TransferError("it is not signed with the key")
            if time.monotonic() > deadline:
                raise TransferError(f"it takes longer than {WHOLE_SECONDS:.0f} s")
            first = False
    return [(name, ttl, data) for name, ttl, data in zone.iterate_rdatas()]


def _answers(query: dns.message.Message, message: dns.message.Message) -> bool:
    # Only the first message has to have the question (RFC 5936, 2.2.1).
    return (
        isinstance(message, dns.message.QueryMessage)
        and message.id == query.id
        and bool(message.flags & dns.flags.QR)
    )


@contextmanager
def _messages(connection: socket.socket) -> Iterator[Callable[[], bytes]]:
    """Take messages from a connection as they come, in a thread, while others are read.

    Reading a message takes longer than the server needs to send it, and a server gives a
    client that keeps it waiting up: Knot after half a second.
    """
    received: SimpleQueue[ReceivedMessage] = SimpleQueue()

    def take() -> bytes:
        found = received.get()
        if isinstance(found, bytes):
            return found
        raise found

    thread = Thread(target=_receive, args=(connection, received), daemon=True)
    thread.start()
    try:
        yield take
    except BaseException:
        # A reset: a server that still sends would wait for a window that nobody opens.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise
    finally:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        thread.join()


def _receive(connection: socket.socket, received: SimpleQueue[ReceivedMessage]) -> None:
    frames, left = Frames(), MOST_BYTES
    try:
        while left > 0:
            message = _message(connection, frames)
            left -= len(message) + MESSAGE_BYTES
            received.put(message)
        raise TransferError(f"it has more than {MOST_BYTES // 1024**2} MiB")
    except (OSError, EOFError, TransferError) as error:
        received.put(error)


def _message(connection: socket.socket, frames: Frames) -> bytes:
    """Return the next message; all of it has to come in time, however it comes."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (message := frames.take()) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        connection.settimeout(left)
        data = connection.recv(READ_BYTES)
        if not data:
            raise EOFError("the server ended the connection")
        frames.feed(data)
    return message
