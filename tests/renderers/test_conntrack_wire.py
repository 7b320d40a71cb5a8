"""The bytes of ctnetlink, against messages that are written here attribute by attribute.

That a kernel takes and sends such messages is for the kernel tests to say.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.addresses import address_text
from svcnet.netlink import RefusedRequest
from svcnet.renderers.conntrack import Flow, wire

NESTED = 0x8000
NEW, DELETE, ERROR, DONE = 0x100, 0x102, 2, 3
V4 = Flow("10.0.0.9", 40000, "10.96.0.10", 53, "10.244.1.5", 5353, "10.0.0.1", 40001, id=7)
V6 = Flow("fd00::9", 40000, "fd00::96", 53, "fd00::5", 5353, "fd00::1", 1024, id=0xFFFFFFFF)


def attribute(kind: int, *values: bytes) -> bytes:
    value = b"".join(values)
    return pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def ends(
    source: str, source_port: int, destination: str, port: int, *, protocol: int, backwards: bool
) -> list[bytes]:
    """The attributes of a tuple, in the kernel's order or the other way round."""
    family = AF_INET6 if ":" in source else AF_INET
    first = 3 if ":" in source else 1
    order = slice(None, None, -1 if backwards else 1)
    addresses = [
        attribute(first, inet_pton(family, source)),
        attribute(first + 1, inet_pton(family, destination)),
    ][order]
    ports = [
        attribute(1, bytes([protocol])),
        attribute(2, pack("!H", source_port)),
        attribute(3, pack("!H", port)),
    ][order]
    return [attribute(1 | NESTED, *addresses), attribute(2 | NESTED, *ports)][order]


def entry(flow: Flow, *, protocol: int = 17, backwards: bool = False) -> bytes:
    """The message by which a kernel tells of an entry."""
    original = ends(*flow[:4], protocol=protocol, backwards=backwards)
    reply = ends(*flow[4:8], protocol=protocol, backwards=backwards)
    zone = pack("!H", flow.zone)
    if flow.zone_of == "original":
        original.append(attribute(3, zone))
    if flow.zone_of == "reply":
        reply.append(attribute(3, zone))
    parts = [attribute(1 | NESTED, *original), attribute(2 | NESTED, *reply)]
    if flow.zone_of == "both" and flow.zone:
        parts.append(attribute(18, zone))
    parts += [attribute(3, pack("!I", 8)), attribute(12, pack("!I", flow.id))]
    return message(NEW, pack("!BBH", 2, 0, 0) + b"".join(parts[:: -1 if backwards else 1]))


def message(kind: int, body: bytes, sequence: int = 0) -> bytes:
    return pack("=IHHII", 16 + len(body), kind, 2, sequence, 0) + body


def error(errno: int, sequence: int = 0) -> bytes:
    return message(ERROR, pack("=i", -errno) + bytes(16), sequence)


END = message(DONE, pack("=i", 0))

ports = st.integers(0, 65535)
zones = st.tuples(st.integers(1, 65535), st.sampled_from(["both", "original", "reply"]))


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    size = draw(st.sampled_from([4, 16]))
    packed = st.binary(min_size=size, max_size=size)
    found = [address_text(draw(packed)) for _ in range(4)]
    numbers = [draw(ports) for _ in range(4)]
    zone = draw(st.just((0, "both")) | zones)
    pairs = [value for pair in zip(found, numbers, strict=True) for value in pair]
    return Flow._make([*pairs, *zone, draw(st.integers(0, 2**32 - 1))])


@given(st.lists(flows(), max_size=5), st.booleans(), st.booleans())
def test_entries_are_read_whatever_their_order(
    found: list[Flow], backwards: bool, together: bool
) -> None:
    """All that was put into the kernel's messages comes out, in one datagram or in several."""
    sent = [entry(flow, backwards=backwards) for flow in found]
    datagrams = [b"".join(sent) + END] if together else [*sent, END]
    assert list(wire.parse_listing(datagrams)) == found


@given(flows())
def test_a_deletion_names_the_answers(flow: Flow) -> None:
    """The tuple of answers, the zone where the kernel looks for it, and the entry's id."""
    reply = ends(*flow[4:8], protocol=17, backwards=False)
    if flow.zone_of == "reply":
        reply.append(attribute(3, pack("!H", flow.zone)))
    body = pack("!BBH", AF_INET6 if ":" in flow.source else AF_INET, 0, 0)
    body += attribute(2 | NESTED, *reply)
    if flow.zone and flow.zone_of == "both":
        body += attribute(18, pack("!H", flow.zone))
    body += attribute(12, pack("!I", flow.id))
    expected = pack("=IHHII", 16 + len(body), DELETE, 1, 1, 0) + body
    assert wire.encode_deletions([flow]) == expected


def test_other_protocols_are_passed_over() -> None:
    """Kernels that do not filter send TCP as well."""
    datagram = entry(V4, protocol=6) + entry(V4) + entry(V6, protocol=6, backwards=True) + END
    assert list(wire.parse_listing([datagram])) == [V4]


def test_a_listing_says_how_it_ended() -> None:
    """A refusal at the start and one half way are errors, and what follows the end is not read."""
    assert list(wire.parse_listing([entry(V6) + END, entry(V4)])) == [V6]
    for ending in (error(1), message(DONE, pack("=i", -1))):
        with pytest.raises(RefusedRequest) as raised:
            list(wire.parse_listing([entry(V4), ending]))
        assert raised.value.errno == 1


def test_refusals_name_their_message() -> None:
    """Answers without an errno are no refusals."""
    datagrams = [error(2, sequence=3) + error(0, sequence=4), error(1, sequence=5)]
    assert list(wire.parse_refusals(datagrams)) == [
        wire.ErrorMessage(3, 2),
        wire.ErrorMessage(5, 1),
    ]


@given(st.integers(1, len(entry(V4)) - 1))
def test_bytes_that_end_early_are_an_error(length: int) -> None:
    """A part of a message is never taken for an entry."""
    with pytest.raises(ValueError, match="message"):
        list(wire.parse_listing([entry(V4)[:length]]))


@pytest.mark.parametrize("length", range(4, len(entry(V4)) - 16, 4))
def test_an_entry_that_lacks_something_is_an_error(length: int) -> None:
    """A message that is whole but ends between or within its attributes says so."""
    body = entry(V4)[16 : 16 + length]
    with pytest.raises(ValueError, match=r"attribute|incomplete"):
        list(wire.parse_listing([message(NEW, body)]))
