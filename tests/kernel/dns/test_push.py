"""A push to a real server: only the difference, in bounded updates, and nobody else's names."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.name
import dns.query
import dns.rdata
import pytest
from attrs import evolve

from svcnet.errors import ApplyError
from svcnet.executors.dns.push import PrimaryServer, owner, push
from svcnet.executors.dns.transfer import Record, transfer
from tests.kernel.dns.knot import ask, knot
from tests.kernel.ipvs.netlink import own_namespace

pytestmark = pytest.mark.kernel

ORIGIN = dns.name.from_text("cluster.local.")
REVERSE = dns.name.from_text("96.10.in-addr.arpa.")
OWNS = owner(["cluster.local."])
FORWARD_ZONE = """\
$ORIGIN cluster.local.
$TTL 60
@ SOA ns hostmaster 1 7200 1800 86400 5
@ NS ns
ns A 127.0.0.1
www A 192.0.2.1
www TXT "somebody else's"
"""
REVERSE_ZONE = """\
$ORIGIN 96.10.in-addr.arpa.
$TTL 60
@ SOA ns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5
@ NS ns.cluster.local.
1.0 PTR www.cluster.local.
"""


@pytest.fixture(name="server")
def real_server(tmp_path: Path) -> Iterator[PrimaryServer]:
    with own_namespace():
        zones = (("cluster.local.", FORWARD_ZONE), ("96.10.in-addr.arpa.", REVERSE_ZONE))
        with knot(tmp_path, zones) as server:
            yield server


def record(name: str, kind: str, data: str, ttl: int = 5) -> Record:
    return dns.name.from_text(name, ORIGIN), ttl, dns.rdata.from_text("IN", kind, data)


def read(server: PrimaryServer) -> list[Record]:
    return transfer((server.address, server.port), ORIGIN, server.key)


def hosts(count: int, first: int = 0) -> list[Record]:
    return [
        record(f"h{n}.web.shop.svc", "A", f"10.{n // 65536}.{n // 256 % 256}.{n % 256}")
        for n in range(first, first + count)
    ]


def test_records_come_change_and_go(server: PrimaryServer) -> None:
    """The server answers what is wanted, and what others put into the zone all the while."""
    web = record("web.shop.svc", "A", "10.96.0.1")
    alias = record("other.shop.svc", "CNAME", "www.example.org.")
    srv = record("_http._tcp.web.shop.svc", "SRV", "0 100 80 web.shop.svc.cluster.local.")
    push(server, ORIGIN, [web, srv, alias], OWNS)
    assert ask("web.shop.svc.cluster.local", "A") == ["10.96.0.1"]
    assert ask("_http._tcp.web.shop.svc.cluster.local", "SRV") == [
        "0 100 80 web.shop.svc.cluster.local."
    ]
    assert not push(server, ORIGIN, [web, srv, alias], OWNS).updates
    address = record("other.shop.svc", "A", "10.96.0.2")
    push(server, ORIGIN, [web, address], OWNS)
    assert ask("other.shop.svc.cluster.local", "A") == ["10.96.0.2"]
    assert ask("_http._tcp.web.shop.svc.cluster.local", "SRV") == []
    push(server, ORIGIN, [], OWNS)
    assert ask("web.shop.svc.cluster.local", "A") == []
    assert ask("www.cluster.local", "A") == ["192.0.2.1"]
    assert ask("www.cluster.local", "TXT") == ['"somebody else\'s"']


def test_pointers_beside_others(server: PrimaryServer) -> None:
    """In a reverse zone only pointers to Services are ours, even at one name with another's."""
    name = dns.name.from_text("1.0.96.10.in-addr.arpa.")
    ours = (name, 5, dns.rdata.from_text("IN", "PTR", "web.shop.svc.cluster.local."))
    push(server, REVERSE, [ours], OWNS)
    assert ask("1.0.96.10.in-addr.arpa", "PTR") == [
        "web.shop.svc.cluster.local.",
        "www.cluster.local.",
    ]
    push(server, REVERSE, [], OWNS)
    assert ask("1.0.96.10.in-addr.arpa", "PTR") == ["www.cluster.local."]


def test_a_dry_run_changes_nothing(server: PrimaryServer) -> None:
    """A dry run tells the records and sends none."""
    made = push(server, ORIGIN, hosts(3), OWNS, dry_run=True)
    assert made.additions == 3
    assert ask("h1.web.shop.svc.cluster.local", "A") == []


def push_until_killed(server: PrimaryServer, wanted: list[Record]) -> None:
    """Push, and be killed while the server still works on one of the updates."""
    query, sent = dns.query.tcp, 0

    def counted(*arguments: Any) -> dns.message.Message:
        nonlocal sent
        sent += 1
        if sent == 10:
            threading.Timer(0.001, os.kill, (os.getpid(), signal.SIGKILL)).start()
        elif sent > 10:
            signal.pause()
        return query(*arguments)

    dns.query.tcp = counted  # type: ignore[assignment]
    push(server, ORIGIN, wanted, OWNS)


def test_a_push_that_was_killed_is_finished_by_the_next(server: PrimaryServer) -> None:
    """Killed in the middle, a push leaves whole names, and the next one does the rest."""
    wanted = hosts(20_000)
    child = multiprocessing.get_context("fork").Process(
        target=push_until_killed, args=(server, wanted)
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    there = {r for r in read(server) if OWNS(r[0], r[2])}
    assert 0 < len(there) <= len(wanted)
    assert there <= set(wanted)
    made = push(server, ORIGIN, wanted, OWNS)
    assert made.additions == len(wanted) - len(there)
    assert {r for r in read(server) if OWNS(r[0], r[2])} == set(wanted)
    assert ask("www.cluster.local", "A") == ["192.0.2.1"]


def test_refusals_are_errors_with_words(server: PrimaryServer) -> None:
    """No key, a wrong zone and no server are told apart."""
    with pytest.raises(ApplyError, match=r"cannot be read: .*NOTAUTH"):
        push(evolve(server, key=None), ORIGIN, [], OWNS)
    with pytest.raises(ApplyError, match=r"zone example\.org\. cannot be read"):
        push(server, dns.name.from_text("example.org."), [], OWNS)
    with pytest.raises(ApplyError, match="Connection refused"):
        push(evolve(server, port=1), ORIGIN, [], OWNS)
