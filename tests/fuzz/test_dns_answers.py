"""What another server sends: an answer to our question is relayed, and nothing else is one."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.servers.dns import forwarding
from svcnet.servers.dns.forwarding import Upstream
from svcnet.servers.dns.messages import room
from svcnet.servers.dns.reading import AnswerReader
from svcnet.servers.dns.responder import Elsewhere, Responder
from tests.fuzz import examples
from tests.fuzz.dns import SHOP, broken, corpus, hostile, query, records
from tests.servers.dns.test_messages import ZONES

NAME = "www.example.org."


def _answers() -> list[bytes]:
    """Return answers of all kinds to a question of number 7."""
    asked = query(NAME, use_edns=0)
    made = []
    for rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL, dns.rcode.BADVERS):
        answer = dns.message.make_response(asked)
        answer.set_rcode(rcode)
        made.append(answer)
    for lines in (
        ["A 192.0.2.1", "A 192.0.2.2"],
        ["CNAME www.example.org."],
        ["CNAME b.example.org.", "A 192.0.2.1"],
        ["TXT " + " ".join(['"' + "x" * 200 + '"'] * 30)],
    ):
        answer = dns.message.make_response(asked)
        for line in lines:
            rdtype, _, data = line.partition(" ")
            answer.answer.append(dns.rrset.from_text(NAME, 60, "IN", rdtype, data))
        made.append(answer)
    cut = dns.message.make_response(asked)
    cut.flags |= dns.flags.TC
    other = dns.message.make_response(query("other.example.org."))
    return [each.to_wire(max_size=65535) for each in (*made, cut, other, asked)]


answers = st.one_of(
    broken(st.sampled_from(_answers())),
    st.lists(records(), min_size=1, max_size=5).map(
        lambda found: (
            b"\0\7\x81\x80\0\1"
            + len(found).to_bytes(2, "big")
            + bytes(4)
            + (query(NAME).question[0].name.to_wire() or b"")
            + b"\0\1\0\1"
            + b"".join(found)
        )
    ),
    hostile,
)


def check_question(wire: bytes) -> None:
    asked = query(NAME, use_edns=0)
    found = asyncio.run(AnswerReader().answer_in(wire, asked))
    if found is None:
        return
    assert found.id == asked.id
    assert found.flags & dns.flags.QR
    assert found.question == asked.question or (not found.question and found.rcode())
    assert found.sections == dns.message.from_wire(wire).sections


@settings(max_examples=examples(400))
@given(answers)
def test_only_an_answer_to_the_question_is_one(wire: bytes) -> None:
    """Whatever comes, it is an answer to what was asked or it is none."""
    check_question(wire)


async def relay(wire: bytes, asked: dns.message.Message, tcp: bool) -> bytes:
    """Return what a client gets when the other server sends `wire`."""

    async def exchange(
        question: dns.message.Message, _: object, reading: AnswerReader
    ) -> dns.message.Message | None:
        question.id = 7
        return await reading.answer_in(wire, question)

    elsewhere = Responder(ZONES, recursion=True).reply(asked.to_wire(), tcp=tcp)
    assert isinstance(elsewhere, Elsewhere)
    with mock.patch.multiple(forwarding, by_udp=exchange, by_tcp=exchange):
        upstream = Upstream("127.0.0.1", 9, lambda _: None)
        try:
            return await upstream.ask(elsewhere, "source", tcp=tcp)
        finally:
            await upstream.close()


def check_reply(wire: bytes, asked: dns.message.Message, tcp: bool) -> None:
    reply = asyncio.run(relay(wire, asked, tcp))
    found = dns.message.from_wire(reply)
    assert asked.is_response(found)
    assert found.question == asked.question
    assert len(reply) <= room(asked.payload, tcp)


questions = st.sampled_from([(NAME, {}), (NAME, {"use_edns": 0}), (f"out.{SHOP}", {})])


@settings(max_examples=examples(200))
@given(answers, questions, st.booleans())
def test_whatever_comes_the_client_gets_an_answer(
    wire: bytes, asked: tuple[str, dict[str, Any]], tcp: bool
) -> None:
    """It is one to its own question, and no larger than it allows."""
    name, options = asked
    check_reply(wire, query(name, **options), tcp)


@pytest.mark.parametrize("wire", corpus("answer"))
def test_answers_that_are_kept(wire: bytes) -> None:
    """Answers that once broke something, or are as odd, break nothing."""
    check_question(wire)
    for tcp in (False, True):
        check_reply(wire, query(NAME), tcp)
