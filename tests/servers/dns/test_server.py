"""A server that greedy, slow and silent clients take all they can of; an honest one is answered."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dns.exception
import dns.message
import dns.rcode
import pytest

from tests.kernel.told import Told
from tests.servers.dns.serving import LARGE, NAME, Served, query, serving

LIMIT = 40
MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
"""
SOON = 3.0
"""Seconds in which an honest client is answered, on a busy machine."""


@pytest.fixture(name="served")
def a_server() -> Iterator[Served]:
    with serving(connections=LIMIT) as served:
        yield served


def framed(wire: bytes) -> bytes:
    return len(wire).to_bytes(2, "big") + wire


def answered_soon(served: Served) -> None:
    """An honest client is answered by TCP and UDP."""
    for tcp in (True, False):
        begun = time.monotonic()
        assert str(served.ask(tcp=tcp).answer[0][0]) == "10.96.0.10"
        assert time.monotonic() - begun < SOON


@pytest.mark.parametrize("sources", [1, 3, 200])
@pytest.mark.parametrize("said", [b"", b"\0", b"\0\x40half"])
def test_held_connections_keep_nobody_out(served: Served, sources: int, said: bytes) -> None:
    """Silent clients, and such as promise more than they send, make room for an honest one."""
    with ExitStack() as stack:
        slow = stack.enter_context(served.connected("127.0.0.3"))
        wire = framed(query().to_wire())
        slow.sendall(wire[:9])
        for number in range(3 * LIMIT):
            greedy = stack.enter_context(served.connected(f"127.0.1.{number % sources}"))
            greedy.sendall(said)
        answered_soon(served)
        if sources < LIMIT:
            # Whoever has one connection only keeps it, even if it is the oldest.
            slow.sendall(wire[9:])
            assert slow.recv(2)


def test_clients_that_read_no_answer(served: Served) -> None:
    """Answers that nobody reads hold up neither others nor the end of the server."""
    wires = framed(query(LARGE).to_wire()) * 200
    with ExitStack() as stack:
        for _ in range(LIMIT):
            greedy = stack.enter_context(served.connected("127.0.1.1"))
            greedy.setblocking(False)
            greedy.send(wires)
        answered_soon(served)
        begun = time.monotonic()
        served.close()
        assert time.monotonic() - begun < SOON


def test_thousands_of_questions_on_a_connection(served: Served) -> None:
    """They are all answered in their order, and others are meanwhile."""
    asked = [query(f"n{number}.{NAME}", id=number) for number in range(3000)]
    with served.connected("127.0.1.1") as client:
        data = b"".join(framed(each.to_wire()) for each in asked)
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        for _ in range(3):
            answered_soon(served)
        with client.makefile("rb") as stream:
            for each in asked:
                wire = stream.read(int.from_bytes(stream.read(2), "big"))
                assert dns.message.from_wire(wire).id == each.id
        sender.join()


def test_large_answers_for_many_connections(served: Served) -> None:
    """One source that asks for the largest answers on all connections is one of many."""
    wires = framed(query(LARGE).to_wire()) * 100
    with ExitStack() as stack:
        for _ in range(LIMIT - 1):
            stack.enter_context(served.connected("127.0.1.1")).sendall(wires)
        answered_soon(served)


FLOOD = """
import random, socket, sys
import dns.message
with socket.socket(type=socket.SOCK_DGRAM) as client:
    client.bind(("127.0.1.1", 0))
    client.connect(("127.0.0.1", int(sys.argv[1])))
    wire = dns.message.make_query("n1234567.shop.svc.cluster.local.", "A").to_wire()
    print("begun", flush=True)
    for number in range(10**8):
        # Another name each time, so that no answer is at hand.
        client.send(b"%b%07d%b" % (wire[:14], number % 10**7, wire[21:]))
"""


def test_a_flood_of_datagrams(tmp_path: Path) -> None:
    """One source that sends more than can be answered leaves others their answers."""
    manifest = tmp_path / "cluster.yaml"
    manifest.write_text(MANIFEST)
    with Told("dns", "serve", manifest, "--listen", "127.0.0.1:0") as process:
        process.wait("listening on")
        served = Served(int(process.lines[-1].rpartition(":")[2]), process.lines, process.end)
        command = [sys.executable, "-c", FLOOD, str(served.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as flood:
            assert flood.stdout is not None
            flood.stdout.readline()
            try:
                lost = sum(not answered(served, f"127.0.0.{n % 16 + 2}") for n in range(32))
            finally:
                flood.kill()
    # By chance some share a socket with the flood, one of sixteen.
    assert lost < 12


def answered(served: Served, source: str) -> bool:
    try:
        return bool(served.ask(source=source, seconds=1).answer)
    except dns.exception.Timeout:
        return False


def test_an_end_with_all_connections_open(served: Served) -> None:
    """The server ends at once, whatever its clients do."""
    with ExitStack() as stack:
        for number in range(LIMIT):
            client = stack.enter_context(served.connected())
            client.sendall(framed(query(LARGE).to_wire())[: number * 3])
        begun = time.monotonic()
        served.close()
        assert time.monotonic() - begun < SOON
    assert served.told == []


def test_a_mistake_of_ours_is_told_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks an answer is told in one line, however often it comes; others are answered."""

    def broken(*_: object, **__: object) -> None:
        raise KeyError("something")

    with monkeypatch.context() as patch:
        patch.setattr("svcnet.servers.dns.responder.parse", broken)
        for tcp in (False, True) * 10:
            assert served.ask(query(f"x.{NAME}"), tcp=tcp).rcode() == dns.rcode.SERVFAIL
    assert len(served.told) == 1
    assert "KeyError('something')" in served.told[0]
    assert served.ask().rcode() == dns.rcode.NOERROR
