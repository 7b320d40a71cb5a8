"""Servers that send a zone without end, in drops, cut, or nothing: each is an error in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.exception
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import pytest

from svcnet.errors import ApplyError
from svcnet.executors.dns import push as pushing
from svcnet.executors.dns import transfer as module
from svcnet.executors.dns.push import PrimaryServer, owner, push
from svcnet.executors.dns.transfer import Record, transfer
from svcnet.executors.dns.tsig import Key

ORIGIN = dns.name.from_text("cluster.local.")
SOA = dns.rrset.from_text(ORIGIN, 5, "IN", "SOA", "ns. a. 1 7200 1800 86400 5")
SECONDS = 20
KEY = Key(dns.name.from_text("k"), dns.tsig.HMAC_SHA256, b"secret" * 5)

Stream = Callable[[dns.message.Message], "Iterator[bytes]"]


def hosts(first: int, count: int) -> list[dns.rrset.RRset]:
    return [
        dns.rrset.from_text(f"h{n}.web.shop.svc.cluster.local.", 5, "IN", "A", "10.0.0.1")
        for n in range(first, first + count)
    ]


def message(asked: dns.message.Message, *rrsets: dns.rrset.RRset, signed: bool = True) -> bytes:
    """Return a message of a transfer as it is in the stream, signed if the question was."""
    made = dns.message.make_response(asked)
    made.answer = list(rrsets)
    if not signed:
        made.tsig = None
    wire = made.to_wire(max_size=65535)
    return len(wire).to_bytes(2, "big") + wire


@contextmanager
def sending(stream: Stream) -> Iterator[tuple[str, int]]:
    """Run a server that sends to each client what `stream` yields, and then the end."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as received:
                length = int.from_bytes(received.read(2), "big")
                if not length:
                    continue
                keyring = {KEY.name: KEY.signer}
                asked = dns.message.from_wire(received.read(length), keyring=keyring)
                try:
                    for part in stream(asked):
                        connection.sendall(part)
                        if over.is_set():
                            break
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listening.getsockname()
        finally:
            over.set()
            socket.create_connection(listening.getsockname()).close()
            thread.join(SECONDS)


def endless(asked: dns.message.Message) -> Iterator[bytes]:
    yield message(asked, SOA)
    again = message(asked, *hosts(0, 500))
    while True:
        yield again


def empty(asked: dns.message.Message) -> Iterator[bytes]:
    yield message(asked, SOA)
    again = message(asked)
    while True:
        yield again


def drops(asked: dns.message.Message) -> Iterator[bytes]:
    wire = message(asked, SOA, *hosts(0, 500), SOA)
    for place in range(len(wire)):
        yield wire[place : place + 1]
        time.sleep(0.1)


def silent(asked: dns.message.Message) -> Iterator[bytes]:
    yield message(asked, SOA)[:20]
    time.sleep(1)


def cut(asked: dns.message.Message) -> Iterator[bytes]:
    yield message(asked, SOA, *hosts(0, 500))
    yield message(asked, SOA)[:-1]


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (endless, "it has more than 5000 records"),
        (empty, "it has more than 1 MiB"),
        (drops, "timed out"),
        (silent, "timed out"),
        (cut, "the server ended the connection"),
    ],
)
def test_what_is_no_zone(monkeypatch: pytest.MonkeyPatch, stream: Stream, words: str) -> None:
    """It is an error in time, with the server and the zone, and nothing is changed."""
    monkeypatch.setattr(module, "MOST_RECORDS", 5000)
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    if words == "timed out":
        monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.5)
    sent: list[object] = []
    monkeypatch.setattr(pushing, "_send", lambda *arguments: sent.append(arguments))
    with sending(stream) as where:
        begun = time.monotonic()
        with pytest.raises(ApplyError, match=words) as caught:
            push(PrimaryServer(*where), ORIGIN, [], owner(["cluster.local."]))
        assert time.monotonic() - begun < SECONDS
        assert f"127.0.0.1:{where[1]}: zone cluster.local. cannot be read" in str(caught.value)
    assert sent == []


def whole(asked: dns.message.Message) -> Iterator[bytes]:
    yield message(asked, SOA, *hosts(0, 3), SOA)


def unsigned(asked: dns.message.Message) -> Iterator[bytes]:
    yield message(asked, SOA, *hosts(0, 3), SOA, signed=False)


def read(stream: Stream, key: Key | None) -> list[Record]:
    with sending(stream) as where:
        return transfer(where, ORIGIN, key)


def test_a_zone_that_has_to_be_signed() -> None:
    """With a key only a zone that is signed with it is believed."""
    assert len(read(whole, None)) == 4
    assert len(read(whole, KEY)) == 4
    with pytest.raises(
        (dns.exception.DNSException, module.TransferError), match=r"TSIG|not signed"
    ):
        read(unsigned, KEY)


def test_an_answer_to_a_change_that_has_to_be_signed() -> None:
    """With a key an answer without a signature does not say that anything was changed."""

    def answers(asked: dns.message.Message) -> Iterator[bytes]:
        if isinstance(asked, dns.message.QueryMessage):
            yield from whole(asked)
        else:
            yield message(asked, signed=False)

    with sending(answers) as where, pytest.raises(ApplyError, match=r"TSIG|not signed"):
        push(PrimaryServer(*where, KEY), ORIGIN, [], owner(["cluster.local."]))


def test_a_zone_too_slow_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many messages, each in time, may together take too long."""
    monkeypatch.setattr(module, "WHOLE_SECONDS", 0.3)
    with pytest.raises(module.TransferError, match="takes longer"):
        read(endless, None)
