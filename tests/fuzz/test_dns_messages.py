"""Messages to a DNS server: none breaks it, and each answer is by the book."""

from __future__ import annotations

import dns.flags
import dns.message
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcnet.servers.dns.messages import EDNS_BYTES, TCP_BYTES, UDP_BYTES
from svcnet.servers.dns.responder import Elsewhere, Responder
from tests.fuzz import examples
from tests.fuzz.dns import corpus, hostile
from tests.servers.dns.test_messages import EVERYTHING


def check(wire: bytes, tcp: bool) -> None:
    reply = Responder(EVERYTHING).reply(wire, tcp=tcp)
    if not isinstance(reply, bytes):
        assert reply is None
        assert len(wire) < 12 or wire[2] & 0x80
        return
    found = dns.message.from_wire(reply)
    assert reply[:2] == wire[:2]
    assert found.flags & dns.flags.QR
    limit = UDP_BYTES if found.edns < 0 else EDNS_BYTES
    assert len(reply) <= (TCP_BYTES if tcp else limit)
    if len(wire) < 512 and found.edns < 0 and not found.answer and not found.authority:
        assert len(reply) <= max(len(wire), 12)


@settings(max_examples=examples(800))
@given(hostile, st.booleans())
def test_any_message_is_answered_by_the_book_or_not_at_all(wire: bytes, tcp: bool) -> None:
    """No message is an exception, and no answer is larger than the question allows."""
    check(wire, tcp)


@pytest.mark.parametrize("wire", corpus("message"))
@pytest.mark.parametrize("tcp", [False, True])
def test_messages_that_are_kept(wire: bytes, tcp: bool) -> None:
    """Messages that once broke something, or are as odd, are answered by the book."""
    check(wire, tcp)


@settings(max_examples=examples(300))
@given(hostile)
@example(b"\0\7\1\0\0\1\0\0\0\0\0\0\1x\0\0\1\0\1")
def test_with_another_server_no_more_is_broken(wire: bytes) -> None:
    """What goes to another server has one question, and all else is as without one."""
    reply = Responder(EVERYTHING, recursion=True).reply(wire)
    if isinstance(reply, Elsewhere):
        assert len(reply.query.question) == 1
        assert reply.query.to_wire()
