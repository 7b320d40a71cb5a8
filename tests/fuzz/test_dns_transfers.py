"""Zone transfers of hostile servers: a zone is read whole, or it is an error of the known kinds."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

import dns.exception
import dns.message
import dns.name
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.executors.dns.push import owner, plan
from svcnet.executors.dns.transfer import Record, TransferError, make_query, read_zone
from svcnet.executors.dns.tsig import Key
from tests.fuzz import examples
from tests.fuzz.dns import KEY, broken, corpus, labels, names, records

ORIGIN = dns.name.from_text("cluster.local.")
WIRE_ORIGIN = ORIGIN.to_wire() or b""
SOA_DATA = b"\2ns\0\1a\0" + struct.pack("!5I", 1, 7200, 1800, 86400, 5)
SOA = WIRE_ORIGIN + struct.pack("!2HIH", 6, 1, 5, len(SOA_DATA)) + SOA_DATA
OWNS = owner(["cluster.local."])
FAILURES = (dns.exception.DNSException, OSError, EOFError, TransferError)


def number(query: dns.message.Message) -> bytes:
    return query.id.to_bytes(2, "big")


def framed(found: list[bytes]) -> bytes:
    """Return a message with records, without its number."""
    question = WIRE_ORIGIN + struct.pack("!2H", 252, 1)
    return b"\x84\0\0\1" + len(found).to_bytes(2, "big") + bytes(4) + question + b"".join(found)


inside = st.one_of(
    st.just(WIRE_ORIGIN),
    labels.map(lambda label: label + WIRE_ORIGIN),
    st.just(b"\xc0\x0c"),
    names,
)
HOST = b"\1h" + WIRE_ORIGIN
sound = st.tuples(
    st.one_of(labels.map(lambda label: label + WIRE_ORIGIN), st.sampled_from([WIRE_ORIGIN, HOST])),
    st.sampled_from([(1, b"\x0a\0\0\1"), (16, b"\1x"), (33, bytes(6) + HOST), (5, HOST)]),
    st.integers(0, 2**32 - 1),
).map(
    lambda parts: (
        parts[0] + struct.pack("!2HIH", parts[1][0], 1, parts[2], len(parts[1][1])) + parts[1][1]
    )
)
any_records = st.lists(st.one_of(st.just(SOA), records(inside), records()), max_size=6)
zones = st.lists(st.lists(sound, max_size=4), max_size=4).map(
    lambda parts: [framed([SOA]), *map(framed, parts), framed([SOA])]
)
streams = st.one_of(
    zones,
    st.lists(any_records, max_size=3).map(
        lambda parts: [framed([SOA]), *map(framed, parts), framed([SOA])]
    ),
    st.lists(any_records.map(framed), max_size=4),
    st.lists(broken(any_records.map(framed)), max_size=4),
)


def taking(wires: list[bytes]) -> Iterator[bytes]:
    yield from wires
    raise EOFError("the server ended the connection")


def read(wires: list[bytes]) -> list[Record] | None:
    """Return the records of a zone, None if it is refused."""
    query = make_query(ORIGIN)
    messages = taking([number(query) + wire for wire in wires])
    try:
        return read_zone(ORIGIN, query, partial(next, messages))
    except FAILURES:
        return None


def check(wires: list[bytes]) -> None:
    found = read(wires)
    if found is None:
        return
    assert all(name.is_subdomain(ORIGIN) for name, _, _ in found)
    assert any(name == ORIGIN and data.rdtype == 6 for name, _, data in found)
    made = plan(ORIGIN, found, [], OWNS)
    assert str(made).isprintable() or "\n" in str(made)
    assert all(line.isprintable() for line in str(made).split("\n"))
    # Whatever the server sent, what would be removed is in its zone and ours to keep.
    for update in made.updates:
        for change in update:
            assert all(OWNS(name, data) for name, _, data in change.removed)


@settings(max_examples=examples(300))
@given(streams)
def test_a_zone_is_read_whole_or_refused(wires: list[bytes]) -> None:
    """Nothing is believed of what has no end, and nothing outside of the zone."""
    check(wires)


@settings(max_examples=examples(200))
@given(zones, st.data())
def test_a_zone_without_its_end_is_refused(wires: list[bytes], data: st.DataObject) -> None:
    """However a transfer is cut, what came before the cut is not believed."""
    assert read(wires) is not None
    assert read(wires[: data.draw(st.integers(0, len(wires) - 1))]) is None


@pytest.mark.parametrize("wire", corpus("zone"))
def test_zones_that_are_kept(wire: bytes) -> None:
    """Messages that once broke something, or are as odd, break nothing."""
    check([framed([SOA]), wire[2:], framed([SOA])])
    check([wire[2:]])


def signed(query: dns.message.Message, key: Key, count: int) -> list[bytes]:
    """Return a transfer of several messages that a key signs."""
    wires, context = [], None
    soa = dns.rrset.from_text(ORIGIN, 5, "IN", "SOA", "ns. a. 1 7200 1800 86400 5")
    for place in range(count):
        made = dns.message.make_response(query)
        made.tsig = None
        host = dns.rrset.from_text(f"h{place}.cluster.local.", 5, "IN", "A", "10.0.0.1")
        made.answer = [*([soa] if place == 0 else []), host, *([soa] if place == count - 1 else [])]
        made.use_tsig(key.signer)
        made.request_mac = query.mac or b""
        wires.append(made.to_wire(multi=True, tsig_ctx=context))
        context = made.tsig_ctx
    return wires


@settings(max_examples=examples(300))
@given(st.integers(1, 3), st.data())
def test_a_signed_zone_is_read_as_it_was_signed(count: int, data: st.DataObject) -> None:
    """With a key, whoever changes, leaves out or adds anything gets no other zone believed."""
    query = make_query(ORIGIN, KEY)
    query.to_wire()
    wires = signed(query, KEY, count)

    def outcome(wires: list[bytes]) -> list[str] | None:
        try:
            return sorted(map(str, read_zone(ORIGIN, query, partial(next, taking(wires)))))
        except FAILURES:
            return None

    true = outcome(wires)
    assert true is not None
    assert len(true) == count + 1
    place = data.draw(st.integers(0, count - 1))
    kind = data.draw(st.sampled_from(["broken", "gone", "twice", "unsigned", "other key"]))
    if kind == "broken":
        wires[place] = data.draw(broken(st.just(wires[place])))
    elif kind == "gone":
        del wires[place]
    elif kind == "twice":
        wires.insert(place, wires[place])
    elif kind == "unsigned":
        plain = dns.message.from_wire(wires[place], xfr=True, keyring=False, multi=True)
        plain.tsig = None
        wires[place] = plain.to_wire()
    else:
        wires = signed(query, Key(KEY.name, KEY.algorithm, b"another secret" * 3), count)
    assert outcome(wires) in (None, true)
