"""What a push would send, and keys, without a server."""

from __future__ import annotations

import time
from pathlib import Path

import dns.name
import dns.rdata
import pytest

from svcnet.errors import UsageError
from svcnet.executors.dns import push as module
from svcnet.executors.dns.push import owner, plan
from svcnet.executors.dns.transfer import Record
from svcnet.executors.dns.tsig import MOST_BYTES, read_key

ZONE = dns.name.from_text("cluster.local.")
OWNS = owner(["cluster.local."])
SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQ="


def record(name: str, kind: str, data: str, ttl: int = 5) -> Record:
    return dns.name.from_text(name, ZONE), ttl, dns.rdata.from_text("IN", kind, data)


WEB = record("web.shop.svc", "A", "10.96.0.1")
SRV = record("_http._tcp.web.shop.svc", "SRV", "0 100 80 web.shop.svc.cluster.local.")


def test_what_is_there_is_not_sent() -> None:
    """Equal records need no update, whatever their order."""
    assert not plan(ZONE, [SRV, WEB], [WEB, SRV], OWNS).updates


def test_a_host_is_there_before_what_names_it() -> None:
    """Addresses come before SRV records that name them, and go after these."""
    (come,) = plan(ZONE, [], [SRV, WEB], OWNS).updates
    assert [change.added for change in come] == [(WEB,), (SRV,)]
    (gone,) = plan(ZONE, [SRV, WEB], [], OWNS).updates
    assert [change.removed for change in gone] == [(SRV,), (WEB,)]


def test_a_name_changes_at_once() -> None:
    """What goes and what comes at a name is one change, with additions before removals."""
    other = record("old.shop.svc", "A", "10.96.0.9")
    new = record("web.shop.svc", "A", "10.96.0.2")
    (update,) = plan(ZONE, [WEB, other], [new], OWNS).updates
    assert [(change.removed, change.added) for change in update] == [
        ((WEB,), (new,)),
        ((other,), ()),
    ]


def test_a_changed_lifetime_is_a_change() -> None:
    """A record whose TTL is another is replaced."""
    longer = record("web.shop.svc", "A", "10.96.0.1", 30)
    assert str(plan(ZONE, [WEB], [longer], OWNS)) == (
        "- web.shop.svc.cluster.local. 5 IN A 10.96.0.1\n"
        "+ web.shop.svc.cluster.local. 30 IN A 10.96.0.1\n"
    )


@pytest.mark.parametrize(
    ("name", "kind", "data", "is_ours"),
    [
        ("web.shop.svc", "A", "10.96.0.1", True),
        ("10-1-2-3.shop.pod", "A", "10.1.2.3", True),
        ("dns-version", "TXT", "1.1.0", True),
        ("www", "A", "192.0.2.1", False),
        ("ns.dns", "A", "192.0.2.1", False),
        ("1.0.96.10.in-addr.arpa.", "PTR", "web.shop.svc.cluster.local.", True),
        ("1.2.0.192.in-addr.arpa.", "PTR", "www.cluster.local.", False),
        ("1.2.0.192.in-addr.arpa.", "PTR", "web.shop.svc.other.local.", False),
    ],
)
def test_whose_a_record_is(name: str, kind: str, data: str, is_ours: bool) -> None:
    """Names below svc and pod are ours, and pointers to those below svc."""
    found = record(name, kind, data)
    assert OWNS(found[0], found[2]) == is_ours
    assert bool(plan(ZONE, [found], [], OWNS).removals) == is_ours


def test_updates_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An update has a bounded number of records; a name is never cut."""
    monkeypatch.setattr(module, "RECORDS_AT_ONCE", 4)
    wanted = [record(f"h{n}.shop.svc", "A", f"10.0.{n}.{m}") for n in range(5) for m in range(3)]
    updates = plan(ZONE, [], wanted, OWNS).updates
    assert [len(update) for update in updates] == [1] * 5
    many = [record("h.shop.svc", "A", f"10.0.0.{m}") for m in range(9)]
    assert [update[0].size for update in plan(ZONE, [], many, OWNS).updates] == [9]


@pytest.mark.parametrize(
    "text",
    [
        f'key "svcnet" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n',
        f"key svcnet {{ secret {SECRET}; algorithm hmac-sha256; }};",
        f"# hmac-sha256:svcnet:{SECRET}\nkey:\n  - id: svcnet\n",
    ],
)
def test_keys(tmp_path: Path, text: str) -> None:
    """A key is read as either server's tool prints it."""
    path = tmp_path / "key"
    path.write_text(text)
    key = read_key(path)
    assert (str(key.name), str(key.algorithm)) == ("svcnet.", "hmac-sha256.")
    assert key.secret == b"secret secret secret"
    assert "secret" not in repr(key)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no key"),
        ("key x { algorithm hmac-sha256; };", "holds no key"),
        ("key x { algorithm hmac-sha256; secret !; };", "not well-formed"),
        (f"key x {{ algorithm rot13; secret {SECRET}; }};", "no algorithm rot13"),
    ],
)
def test_what_is_no_key(tmp_path: Path, text: str, words: str) -> None:
    """A file without a usable key is an error that names the file and tells no secret."""
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        read_key(path)
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("part", ["key x {", "\n", "key ", 'key "x" { secret a; ', "# hmac-a:b:"])
def test_a_hostile_key_file_is_read_soon(tmp_path: Path, part: str) -> None:
    """No file makes the search for a key take long."""
    path = tmp_path / "key"
    path.write_text(part * (MOST_BYTES // len(part)))
    before = time.process_time()
    with pytest.raises(UsageError):
        read_key(path)
    assert time.process_time() - before < 1
