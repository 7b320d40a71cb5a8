"""DNS messages of all kinds: right ones, such as nobody would send, and such as somebody broke."""

from __future__ import annotations

import struct
from pathlib import Path

import dns.message
import dns.name
import dns.rdatatype
import dns.tsig
import dns.update
from hypothesis import strategies as st

from svcnet.executors.dns.tsig import Key

CORPUS = Path(__file__).parent / "corpus/dns"
SHOP = "shop.svc.cluster.local."
KEY = Key(dns.name.from_text("k."), dns.tsig.HMAC_SHA256, b"secret" * 5)


def corpus(kind: str) -> list[bytes]:
    """Return the messages that are kept of a kind: a file each, of hexadecimal digits."""
    return [bytes.fromhex(file.read_text()) for file in sorted(CORPUS.glob(f"{kind}-*.hex"))]


def query(name: str = f"web.{SHOP}", rdtype: str = "A", **options: object) -> dns.message.Message:
    made: dns.message.Message = dns.message.make_query(name, rdtype, id=7, **options)  # type: ignore[arg-type]
    return made


def _questions() -> list[bytes]:
    """Return a message of each kind that somebody may send to a server."""
    update = dns.update.UpdateMessage("cluster.local.", id=7)
    update.add("a", 5, "A", "192.0.2.1")
    signed = query()
    signed.use_tsig(KEY.signer)
    made = [
        query(),
        query(f"db.{SHOP}", "SRV", use_edns=0, payload=4096, want_dnssec=True),
        query("cluster.local.", "AXFR"),
        query(f"out.{SHOP}", "ANY"),
        update,
        signed,
        dns.message.make_response(query()),
    ]
    return [each.to_wire() for each in made]


QUESTIONS = _questions()

labels = st.binary(min_size=1, max_size=63).map(lambda raw: bytes([len(raw)]) + raw)
pointers = st.integers(0, 0x3FFF).map(lambda place: struct.pack("!H", 0xC000 | place))
names = st.one_of(
    st.lists(labels, max_size=4).map(lambda parts: b"".join(parts) + b"\0"),
    st.sampled_from(["web", "db", "out", "_http._tcp.db", "db-1.db"]).map(
        lambda text: dns.name.from_text(f"{text}.{SHOP}").to_wire() or b""
    ),
    st.tuples(labels, st.sampled_from(["pin._zone.db", "prefer._zone.db", "_tcp.web"])).map(
        lambda parts: parts[0] + (dns.name.from_text(f"{parts[1]}.{SHOP}").to_wire() or b"")
    ),
    st.tuples(labels, pointers).map(b"".join),
    pointers,
    st.just(b"\xc0\x0c"),
    st.binary(max_size=20),
)
questions = st.tuples(names, st.integers(0, 65535), st.sampled_from([1, 1, 3, 255])).map(
    lambda parts: parts[0] + struct.pack("!2H", parts[1], parts[2])
)
opts = st.tuples(st.integers(0, 65535), st.integers(0, 2**32 - 1), st.binary(max_size=30)).map(
    lambda parts: b"\0" + struct.pack("!HHIH", 41, parts[0], parts[1], len(parts[2])) + parts[2]
)
headers = st.tuples(
    st.integers(0, 65535),
    st.one_of(st.just(0x0100), st.integers(0, 65535)),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
).map(lambda fields: struct.pack("!6H", *fields))


def records(
    owners: st.SearchStrategy[bytes] = names, kinds: st.SearchStrategy[int] | None = None
) -> st.SearchStrategy[bytes]:
    """Return records on the wire, with data that fits their type, or any."""
    kinds = kinds or st.one_of(st.sampled_from([1, 2, 5, 6, 12, 16, 28, 33]), st.integers(0, 65535))
    data = st.one_of(st.binary(min_size=4, max_size=4), names, st.binary(max_size=40))

    def made(parts: tuple[bytes, int, int, int, bytes]) -> bytes:
        owner, kind, group, ttl, data = parts
        return owner + struct.pack("!2HIH", kind, group, ttl, len(data)) + data

    groups = st.sampled_from([1, 1, 1, 3, 254, 255])
    return st.tuples(owners, kinds, groups, st.integers(0, 2**32 - 1), data).map(made)


@st.composite
def broken(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Draw a message in which some bytes are others, are gone, or are more."""
    wire = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(wire)))
        more = draw(st.binary(max_size=3))
        gone = draw(st.integers(0, 3))
        wire[place : place + gone] = more
    return bytes(wire)


hostile = st.one_of(
    st.binary(max_size=600),
    st.tuples(headers, st.lists(questions, max_size=2), st.lists(opts, max_size=2)).map(
        lambda parts: parts[0] + b"".join(parts[1]) + b"".join(parts[2])
    ),
    st.tuples(headers, questions, st.lists(records(), max_size=3)).map(
        lambda parts: parts[0] + parts[1] + b"".join(parts[2])
    ),
    st.tuples(st.just(b"\0\7\1\0\0\1\0\0\0\0\0\1"), questions, opts).map(b"".join),
    broken(st.sampled_from(QUESTIONS)),
)
