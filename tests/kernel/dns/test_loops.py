"""Servers that lead to each other: one question costs a few datagrams, and somebody is told."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from tests.kernel.dns.test_serve import NAME, serving
from tests.kernel.ipvs.netlink import own_namespace

pytestmark = pytest.mark.kernel

FEW = 40
"""Datagrams that a question and the probes of three servers may cost."""


def datagrams() -> int:
    """Return how many datagrams were sent in this network namespace so far."""
    lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    return int(values[names.index("OutDatagrams")])


@pytest.mark.parametrize(
    "ring",
    [
        [("127.0.0.1", "127.0.0.2")],
        [("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.2")],
        [("127.0.0.1",) * 2, ("127.0.0.2",) * 2, ("127.0.0.3",) * 2],
    ],
    ids=["itself by another address", "two", "three"],
)
def test_a_ring_of_servers(tmp_path: Path, ring: list[tuple[str, str]]) -> None:
    """A name outside is SERVFAIL for a few datagrams, one line is told, and our names answered."""
    with ExitStack() as stack:
        stack.enter_context(own_namespace())
        servers = []
        for number, (address, _) in enumerate(ring):
            after = ring[(number + 1) % len(ring)][1]
            listen = "0.0.0.0" if len(ring) == 1 else address
            options = ("--listen", f"{listen}:5353", "--forward", f"{after}:5353")
            servers.append(stack.enter_context(serving(tmp_path, *options)))
        before, begun = datagrams(), time.monotonic()
        for name, rcode in (("www.example.org.", "SERVFAIL"), (NAME, "NOERROR")):
            found = dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", 20, 5353)
            assert dns.rcode.to_text(found.rcode()) == rcode
        assert datagrams() - before < FEW
        deadline = begun + 30
        while not any("come back to this server" in line for s in servers for line in s.lines):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        before = datagrams()
        for number in range(20):
            asked = dns.message.make_query(f"n{number}.example.org.", "A")
            assert dns.query.udp(asked, "127.0.0.1", 20, 5353).rcode() == dns.rcode.SERVFAIL
        assert datagrams() - before < 20 * 2 * len(ring) + FEW
        for server in servers:
            assert sum("come back" in line for line in server.lines) <= 1
