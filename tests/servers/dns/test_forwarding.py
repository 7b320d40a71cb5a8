"""Another server that is silent, slow, forged or our own costs a bounded number of questions."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from svcnet.servers.dns import exchange, loops, troubles
from tests.servers.dns.serving import (
    HONEST,
    LOOPBACK,
    NAME,
    SECONDS,
    Other,
    Served,
    answering,
    query,
    respond,
    serving,
)
from tests.servers.monitoring.serving import free_port

WAITING = 100
SOON = 2.0
"""Seconds in which an honest client is answered, on a busy machine."""


def honest(asked: dns.message.Message) -> list[bytes]:
    """Answer all but what is called silent."""
    return [] if asked.question[0].name[0].startswith(b"silent") else [respond(asked)]


def until(so: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + SECONDS
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def forwarding(answer: object = honest) -> Iterator[tuple[Served, Other]]:
    with answering(answer) as other, serving(other.port, waiting=WAITING) as served:  # type: ignore[arg-type]
        yield served, other


@pytest.mark.parametrize("sources", [1, 7, 250])
def test_questions_without_an_answer_keep_nobody_out(sources: int) -> None:
    """However many wait in vain, an honest client is answered; those too many get SERVFAIL."""
    with forwarding() as (served, other), ExitStack() as stack:
        greedy = []
        for number in range(sources):
            client = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            client.bind((f"127.0.1.{number}", 0))
            client.settimeout(SECONDS)
            greedy.append(client)
        for number in range(3 * WAITING):
            asked = query(f"silent{number}.example.net.").to_wire()
            greedy[number % sources].sendto(asked, (LOOPBACK, served.port))
        until(lambda: len(other.asked) >= WAITING)
        begun = time.monotonic()
        # Some of the greedy ones may still be on their way.
        until(lambda: served.ask(query("first.example.net.")).answer)
        assert time.monotonic() - begun < SOON
        for tcp in (False, True):
            begun = time.monotonic()
            assert served.ask(query("www.example.net."), tcp=tcp).answer
            assert time.monotonic() - begun < SOON
        found = dns.message.from_wire(greedy[0].recv(512))
        assert found.rcode() == dns.rcode.SERVFAIL
        assert str(served.ask().answer[0][0]) == "10.96.0.10"


def test_one_question_of_many_clients_is_asked_once() -> None:
    """Each has the answer to its own question: its number, and its letters."""
    go_on = threading.Event()

    def slow(asked: dns.message.Message) -> list[bytes]:
        go_on.wait(SECONDS)
        return [respond(asked)]

    names = ["www.example.net.", "WWW.example.net.", "www.EXAMPLE.net."]
    with forwarding(slow) as (served, other), ThreadPoolExecutor(30) as pool:
        asked = [query(names[number % 3]) for number in range(30)]
        found = [pool.submit(served.ask, each) for each in asked]
        until(lambda: other.asked)
        time.sleep(0.2)
        go_on.set()
        for question, answer in zip(asked, found, strict=True):
            message = answer.result(SECONDS)
            assert message.id == question.id
            assert str(message.question[0].name) == str(question.question[0].name)
            assert str(message.answer[0][0]) == "192.0.2.1"
        assert len(other.asked) == 1


def test_a_truncated_answer_is_not_enough_by_tcp() -> None:
    """Who asks by TCP while another asks by UDP gets all of it."""

    def cut(asked: dns.message.Message) -> list[bytes]:
        made = dns.message.make_response(asked)
        made.flags |= dns.flags.TC
        return [made.to_wire()] if len(other.asked) == 1 else [respond(asked)]

    with forwarding(cut) as (served, other):
        assert served.ask(query("www.example.net.")).flags & dns.flags.TC
        assert served.ask(query("www.example.net."), tcp=True).answer


def test_a_lost_datagram_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question is asked a second time before it is given up."""
    monkeypatch.setattr(exchange, "TRIES_SECONDS", (0.3, 3.0))

    def second(asked: dns.message.Message) -> list[bytes]:
        return [] if len(other.asked) == 1 else [respond(asked)]

    with forwarding(second) as (served, other):
        assert served.ask(query("www.example.net.")).answer
        assert len(other.asked) == 2


def forgeries(asked: dns.message.Message) -> list[bytes]:
    """Return what is not the answer, of all kinds."""
    wire = respond(asked, "192.0.2.66")
    other = query("other.example.net.", id=asked.id)
    return [
        b"",
        wire[:1],
        wire[:2],
        wire[:20],
        bytes([wire[0] ^ 1]) + wire[1:],
        asked.to_wire(),
        respond(other, "192.0.2.66"),
        wire + b"junk",
        wire[:-3],
        wire[:2] + b"\xff" * 40,
    ]


def test_what_is_no_answer_is_not_believed() -> None:
    """Forged, cut and other messages are passed over; the answer is believed."""

    def hostile(asked: dns.message.Message) -> list[bytes]:
        return [*forgeries(asked), respond(asked)]

    with forwarding(hostile) as (served, _):
        found = served.ask(query("www.example.net."))
        assert [str(each) for each in found.answer[0]] == ["192.0.2.1"]


@pytest.mark.parametrize("kind", range(len(forgeries(query()))))
def test_no_answer_by_tcp(kind: int) -> None:
    """By TCP whatever is no answer is SERVFAIL, and soon."""
    with forwarding(lambda asked: [forgeries(asked)[kind]]) as (served, _):
        begun = time.monotonic()
        found = served.ask(query("www.example.net."), tcp=True)
        assert found.rcode() == dns.rcode.SERVFAIL
        assert not found.answer
        assert time.monotonic() - begun < SOON


def test_somebody_who_guesses_ends_the_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many wrong answers another port and number are used."""
    monkeypatch.setattr(exchange, "TRIES_SECONDS", (20.0, 20.0))
    seen: list[int] = []

    def guesses(asked: dns.message.Message) -> list[bytes]:
        seen.append(asked.id)
        return [bytes(2) + bytes(20)] * 2 * exchange.FORGED if len(seen) == 1 else [respond(asked)]

    with forwarding(guesses) as (served, _):
        assert served.ask(query("www.example.net.")).answer
        assert len(seen) == 2


def test_aliases_of_a_hostile_server_end() -> None:
    """A ring of aliases, and an alias of ours that leads into one, are passed on as they are."""

    def ring(asked: dns.message.Message) -> list[bytes]:
        made = dns.message.make_response(asked)
        name = asked.question[0].name
        for one, two in ((name, "b.example."), ("b.example.", name)):
            made.answer.append(dns.rrset.from_text(one, 60, "IN", "CNAME", str(two)))
        return [made.to_wire()]

    with forwarding(ring) as (served, other):
        assert len(served.ask(query("a.example.net.")).answer) == 2
        assert len(served.ask(query("out.shop.svc.cluster.local.")).answer) == 3
        assert len(other.asked) == 2


def test_silence_is_told_once_and_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away costs one line, however many questions, and one when it is back."""
    monkeypatch.setattr(exchange, "TRIES_SECONDS", (0.1, 0.1))
    port = free_port()
    with serving(port) as served:
        for number in range(50):
            found = served.ask(query(f"n{number}.example.net."))
            assert found.rcode() == dns.rcode.SERVFAIL
        (told,) = served.told
        assert told == (
            f"127.0.0.1:{port} gives no answers: Connection refused; names outside of the zones "
            "are answered SERVFAIL until it does"
        )
        with socket.socket(type=socket.SOCK_DGRAM) as other:
            other.bind((LOOPBACK, port))
            thread = threading.Thread(target=lambda: served.ask(query("www.example.net.")))
            thread.start()
            wire, client = other.recvfrom(512)
            other.sendto(respond(dns.message.from_wire(wire)), client)
            thread.join()
        assert served.told[1:] == [f"127.0.0.1:{port} answers again"]
        served.ask(query("www.example.net."))
        assert len(served.told) == 2


def test_an_end_while_questions_wait() -> None:
    """Questions that wait when the server ends are answered SERVFAIL, and it ends."""
    with forwarding() as (served, other), ThreadPoolExecutor(5) as pool:
        found = [pool.submit(served.ask, query(f"silent{n}.example.net.")) for n in range(5)]
        until(lambda: len(other.asked) == 5)
        begun = time.monotonic()
        served.close()
        assert time.monotonic() - begun < SOON
        for each in found:
            assert each.result(SECONDS).rcode() == dns.rcode.SERVFAIL


class Relay:
    """Passes datagrams on to a port that may change, and counts the questions."""

    def __init__(self, to: int) -> None:
        self.to = to
        self.count = 0
        self._in = socket.socket(type=socket.SOCK_DGRAM)
        self._in.bind((LOOPBACK, 0))
        self.port = self._in.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while (found := self._in.recvfrom(65535))[0]:
            self.count += 1
            threading.Thread(target=self._pass, args=found, daemon=True).start()

    def _pass(self, wire: bytes, client: tuple[str, int]) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as out:
            out.settimeout(SECONDS)
            out.connect((LOOPBACK, self.to))
            try:
                out.send(wire)
                self._in.sendto(out.recv(65535), client)
            except OSError:
                return


def test_a_loop_that_arises_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs a few datagrams a question, is told once, and when it is over that is told."""
    monkeypatch.setattr(exchange, "TRIES_SECONDS", (0.2, 0.2))
    monkeypatch.setattr(loops, "AGAIN_SECONDS", 0.2)
    monkeypatch.setattr(troubles, "QUIET_SECONDS", 0.0)
    with answering(honest) as other:
        relay = Relay(other.port)
        with serving(relay.port) as served:
            assert served.ask(query("a.example.net.")).answer
            relay.to, before, vain = served.port, relay.count, 0
            # An answer to the probe of the start may still come: then nothing is suspected yet.
            while not any("come back to this server" in line for line in served.told):
                assert vain < 5
                assert served.ask(query("b.example.net.")).rcode() == dns.rcode.SERVFAIL
                vain += 1
            assert relay.count - before <= 6 * vain
            for number in range(20):
                asked = query(f"n{number}.example.net.")
                assert served.ask(asked, source=HONEST).rcode() == dns.rcode.SERVFAIL
            assert str(served.ask(query(NAME)).answer[0][0]) == "10.96.0.10"
            assert sum("come back to this server" in line for line in served.told) == 1
            relay.to = other.port
            until(lambda: any("come back no more" in line for line in served.told))
            assert served.ask(query("c.example.net.")).answer


def slow_to_read(asked: dns.message.Message) -> bytes:
    """Return an answer of which each record takes milliseconds: all its names are the longest."""
    name = b"\1a" * 126 + b"\0"
    count = 4000
    header = struct.pack("!6H", asked.id, 0x8180, 1, count, 0, 0)
    records = (
        struct.pack("!3HIHH", 0xC00C, dns.rdatatype.MX, 1, 60, 4, number) + b"\xc0\x0c"
        for number in range(count)
    )
    return header + name + struct.pack("!2H", 1, 1) + b"".join(records)


def test_an_answer_that_is_slow_to_read_keeps_nobody_waiting() -> None:
    """It is given up, and all others are answered meanwhile."""
    longest = "a." * 126

    def answer(asked: dns.message.Message) -> list[bytes]:
        is_longest = len(asked.question[0].name) > 100
        return [slow_to_read(asked) if is_longest else respond(asked)]

    with forwarding(answer) as (served, other), ThreadPoolExecutor(1) as pool:
        found = pool.submit(served.ask, query(longest), tcp=True)
        until(lambda: other.asked)
        for asked in (query(), query("www.example.net.")):
            begun = time.monotonic()
            assert served.ask(asked).answer
            assert time.monotonic() - begun < SOON
        assert found.result(SECONDS).rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("count", [64, 65, 4000])
def test_a_long_answer_is_relayed_whole(count: int) -> None:
    """An honest answer may have as many records as there is room for."""

    def answer(asked: dns.message.Message) -> list[bytes]:
        made = dns.message.make_response(asked)
        addresses = (f"192.0.{number // 256}.{number % 256}" for number in range(count))
        made.answer = [dns.rrset.from_text(asked.question[0].name, 60, "IN", "A", *addresses)]
        return [made.to_wire(max_size=65535)]

    with forwarding(answer) as (served, _):
        assert len(served.ask(query("www.example.net."), tcp=True).answer[0]) == count
