"""Reading a server's zone as a whole (AXFR, RFC 5936)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Thread
from typing import TypeAlias

import dns.message
import dns.name
import dns.query
import dns.rdata
import dns.rdatatype
import dns.xfr
import dns.zone

from svcnet.executors.dns.tsig import Key

TIMEOUT_SECONDS = 10.0

Record: TypeAlias = tuple[dns.name.Name, int, dns.rdata.Rdata]
"""A record: its name, its TTL in seconds and its data."""

Received: TypeAlias = bytes | OSError | EOFError


def transfer(where: tuple[str, int], origin: dns.name.Name, key: Key | None = None) -> list[Record]:
    """Return all records of a zone, with absolute names.

    Raises OSError, EOFError and dnspython's DNSException for a server that cannot be
    reached, stops in the middle, or refuses.
    """
    zone = dns.zone.Zone(origin, relativize=False)
    query, _ = dns.xfr.make_query(zone, keyring=key.signer if key else None)
    with socket.create_connection(where, TIMEOUT_SECONDS) as connection:
        dns.query.send_tcp(connection, query)
        with _messages(connection) as received, dns.xfr.Inbound(zone) as inbound:
            done, context = False, None
            while not done:
                message = dns.message.from_wire(
                    _taken(received),
                    keyring=query.keyring,
                    request_mac=query.mac or b"",
                    xfr=True,
                    origin=zone.from_wire_origin(),
                    tsig_ctx=context,
                    multi=True,
                )
                if message.id != query.id:
                    raise dns.query.BadResponse
                done, context = inbound.process_message(message), message.tsig_ctx
    return [(name, ttl, data) for name, ttl, data in zone.iterate_rdatas()]


@contextmanager
def _messages(connection: socket.socket) -> Iterator[SimpleQueue[Received]]:
    """Take messages from a connection as they come, in a thread, while others are read.

    Reading a message takes longer than the server needs to send it, and a server gives a
    client that keeps it waiting up: Knot after half a second.
    """
    received: SimpleQueue[Received] = SimpleQueue()
    thread = Thread(target=_receive, args=(connection, received), daemon=True)
    thread.start()
    try:
        yield received
    finally:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        thread.join()


def _receive(connection: socket.socket, received: SimpleQueue[Received]) -> None:
    try:
        with connection.makefile("rb") as stream:
            while True:
                length = int.from_bytes(_exactly(stream.read(2), 2), "big")
                received.put(_exactly(stream.read(length), length))
    except (OSError, EOFError) as error:
        received.put(error)


def _exactly(data: bytes, length: int) -> bytes:
    if len(data) < length:
        raise EOFError("the server ended the connection")
    return data


def _taken(received: SimpleQueue[Received]) -> bytes:
    found = received.get()
    if isinstance(found, bytes):
        return found
    raise found
