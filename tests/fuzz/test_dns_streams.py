"""Streams of DNS messages, cut anywhere, with lengths that lie, and ended in the middle."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcnet.servers.clients import Clients
from svcnet.servers.dns import streams
from svcnet.servers.dns.framing import Frames, frame
from svcnet.servers.dns.responder import Responder
from tests.fuzz import examples
from tests.fuzz.dns import QUESTIONS, hostile
from tests.servers.dns.test_messages import ZONES

messages = st.lists(st.one_of(st.sampled_from(QUESTIONS), hostile), max_size=6)


@st.composite
def pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Draw pieces that are `data` together."""
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=8)))
    return [data[one:other] for one, other in zip([0, *places], [*places, len(data)], strict=True)]


@settings(max_examples=examples(300))
@given(messages, st.data())
def test_frames_do_not_depend_on_the_cuts(wires: list[bytes], data: st.DataObject) -> None:
    """Whatever comes at once, the messages are those that were framed."""
    frames, found = Frames(), []
    for piece in data.draw(pieces(b"".join(map(frame, wires)))):
        frames.feed(piece)
        while (message := frames.take()) is not None:
            found.append(message)
    assert found == wires


async def talk(parts: list[bytes]) -> bytes:
    """Return all that a client gets who sends `parts` and then the end."""
    responder, turns = Responder(ZONES), streams.Turns()

    async def answer(wire: bytes, source: object) -> bytes | None:
        async with turns.of(source):
            return cast("bytes | None", responder.reply(wire, tcp=True))

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        clients, received = Clients(1), bytearray()
        task = clients.serve(ours, "", lambda client: streams.converse(answer, client))
        loop = asyncio.get_running_loop()

        async def send() -> None:
            for part in parts:
                await loop.sock_sendall(theirs, part)
                await asyncio.sleep(0)
            theirs.shutdown(socket.SHUT_WR)

        async def receive() -> None:
            while data := await loop.sock_recv(theirs, 65536):
                received.extend(data)

        # A client that is answered nothing more may still be sending.
        results = await asyncio.gather(send(), receive(), return_exceptions=True)
        assert all(result is None or isinstance(result, OSError) for result in results)
        await task
        clients.close()
        return bytes(received)


def expected(stream: bytes) -> list[bytes]:
    """Return the numbers of the messages that a stream has answers for."""
    frames, responder, numbers = Frames(), Responder(ZONES), []
    frames.feed(stream)
    while (message := frames.take()) is not None:
        if responder.reply(message, tcp=True) is None:
            break
        numbers.append(message[:2])
    return numbers


@settings(max_examples=examples(200))
@given(messages, st.binary(max_size=40), st.data())
@example([], b"\0", None)
@example([], b"\xff\xff" + bytes(100), None)
@example([b""], b"", None)
@example([b"", QUESTIONS[0]], b"", None)
def test_conversations(wires: list[bytes], rest: bytes, data: st.DataObject | None) -> None:
    """Each whole message is answered in its order up to the first that deserves none."""
    stream = b"".join(map(frame, wires)) + rest
    parts = [stream] if data is None else data.draw(pieces(stream))
    frames, numbers = Frames(), []
    frames.feed(asyncio.run(talk(parts)))
    while (reply := frames.take()) is not None:
        numbers.append(reply[:2])
    assert numbers == expected(stream)
