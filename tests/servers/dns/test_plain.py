"""Answers that are put together from bytes: they are those that dnspython writes."""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Iterator

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest

from svcnet.discovery.dns import DNSOptions, Zones, records
from svcnet.models import ClusterState, Endpoint, EndpointPort
from svcnet.servers.dns.plain import PlainAnswer, PlainAnswers, PlainKey
from svcnet.servers.dns.responder import REMEMBERED, Reply, Responder
from svcnet.testing import make_service, make_slice

QUESTIONS = 400
STATE = ClusterState.of(
    [
        make_service("web", cluster_ips=("10.96.0.10", "fd00::10")),
        make_service("kube-dns", namespace="kube-system", cluster_ips=("10.96.0.2",)),
        make_service("db", cluster_ips=("None",)),
        make_slice(
            "db",
            *(Endpoint((f"10.244.1.{n}",), hostname=f"db-{n}", zone="a") for n in range(1, 9)),
            ports=(EndpointPort(5432, "sql"),),
        ),
        make_service("many", cluster_ips=("None",)),
        make_slice("many", *(Endpoint((f"10.9.{n >> 8}.{n & 255}",)) for n in range(300))),
        make_service("out", type="ExternalName", cluster_ips=(), external_name="example.com"),
        make_service(
            "in",
            type="ExternalName",
            cluster_ips=(),
            external_name="web.shop.svc.cluster.local",
        ),
    ]
)
NAMES = (
    *("web", "db", "many", "out", "in", "db-3.db", "no", "no.db", "_sql._tcp.db", "sql.tcp.db"),
    *("on", "no", "on.db", "n\\000", "x.on"),
    *("_http._tcp.web", "a.pin._zone.db", "b.prefer._zone.db", "x" * 63, ".".join("a" * 114)),
)
WHOLE = (
    *(f"{name}.shop.svc.cluster.local." for name in NAMES),
    *("cluster.local.", "ns.dns.cluster.local.", "x.dns.cluster.local.", "dns.cluster.local."),
    *("hostmaster.cluster.local.", "x.hostmaster.cluster.local.", "x.ns.dns.cluster.local."),
    *("svc.cluster.local.", "shop.svc.cluster.local.", "dns-version.cluster.local.", "local."),
    *("10-1-2-3.shop.pod.cluster.local.", "10.0.96.10.in-addr.arpa.", "10.0.96.11.in-addr.arpa."),
    *("in-addr.arpa.", "ns.dns.in-addr.arpa.", "ip6.arpa.", "example.com.", "."),
    *(
        r"a\.b.shop.svc.cluster.local.",
        r"a\000.svc.cluster.local.",
        r"x\.cluster.local.",
        "xcluster.local.",
    ),
)
TYPES = (
    *("A", "A", "AAAA", "SRV", "TXT", "SOA", "NS", "PTR", "CNAME", "ANY", "AXFR", "OPT"),
    *("HTTPS", "TYPE97", "TYPE0", "TYPE65280"),
)


def question(dice: random.Random) -> bytes:
    """Return a question as clients may ask, or something like one."""
    name = dns.name.from_text(dice.choice(WHOLE))
    if dice.random() < 0.3:
        name = dns.name.Name(label.upper() for label in name.labels)
    made = dns.message.make_query(name, "A", id=dice.randrange(1 << 16))
    made.question[0].rdtype = dns.rdatatype.from_text(dice.choice(TYPES))
    made.flags = dns.flags.Flag(0)
    for flag in ("RD", "AD", "CD"):
        made.flags |= dns.flags.Flag[flag] if dice.random() < 0.5 else 0
    if dice.random() < 0.5:
        cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"cookie12")
        made.use_edns(
            dice.choice((0, 0, 0, 0, 1)),
            dice.choice((0, dns.flags.DO, 0x4000)),
            dice.choice((0, 512, 700, 1232, 4096)),
            options=[cookie] * (dice.random() < 0.1),
        )
    wire = bytearray(made.to_wire())
    if dice.random() < 0.2:
        wire[dice.randrange(2, len(wire))] = dice.choice((0, 1, 3, 46, 64, 192, 255))
    if dice.random() < 0.1:
        del wire[dice.randrange(len(wire)) :]
    return bytes(wire)


def other_case(wire: bytes) -> bytes:
    """Return a plain question with its letters in another case, whatever else as it is."""
    try:
        name, end = dns.name.from_wire(wire, 12)
    except dns.exception.DNSException:
        return wire
    swapped = b"".join(bytes([len(label)]) + label.swapcase() for label in name.labels)
    return wire[:12] + swapped + wire[12 + end :] if len(swapped) == end else wire


def asked(zones: Zones, *, recursion: bool) -> Iterator[tuple[bytes, bool, Reply]]:
    """Yield questions, each with whether it came by TCP and what it was answered."""
    dice, responder = random.Random(1), Responder(zones, recursion=recursion)
    for _ in range(QUESTIONS):
        wire, tcp = question(dice), dice.random() < 0.3
        for each in (wire, other_case(wire)):
            yield each, tcp, responder.reply(each, tcp=tcp)


@pytest.mark.parametrize("recursion", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        DNSOptions(),
        DNSOptions(("cluster.local", "shop.svc.cluster.local"), pods="insecure", zonal=True),
    ],
)
def test_the_bytes_are_those_of_dnspython(
    options: DNSOptions, recursion: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every question has the answer, to the byte, that is made of a whole message."""
    monkeypatch.setattr("random.shuffle", lambda _: None)
    zones, plain = records(STATE, options), 0
    replies = list(asked(zones, recursion=recursion))
    with monkeypatch.context() as patch:
        patch.setattr(PlainAnswers, "answer", lambda *_: None)
        for wire, tcp, reply in replies:
            whole = Responder(zones, recursion=recursion).reply(wire, tcp=tcp)
            if not isinstance(whole, bytes):
                assert type(reply) is type(whole), wire.hex()
                continue
            assert isinstance(reply, bytes), wire.hex()
            assert in_order(reply) == in_order(whole), (wire.hex(), reply.hex(), whole.hex())
            plain += len(reply) > len(wire)
    assert plain > QUESTIONS // 2


def in_order(wire: bytes) -> bytes:
    """Return an answer with its addresses in the order of their bytes, if that is all it has."""
    count, authority = struct.unpack_from("!2H", wire, 6)
    at = wire.find(b"\xc0\x0c\0")
    if count < 2 or authority or at < 0 or wire[at + 3] not in {1, 28}:
        return wire
    size = 12 + int.from_bytes(wire[at + 10 : at + 12], "big")
    ends = range(at + size, at + size * count + 1, size)
    return wire[:at] + b"".join(sorted(wire[end - size : end] for end in ends)) + wire[ends[-1] :]


@pytest.mark.parametrize("below", ["dns", "x.dns", "ns.dns", "hostmaster", "x.hostmaster"])
def test_names_like_those_of_the_soa_record(below: str) -> None:
    """A name that shares more with the record than its zone is not answered as others are."""
    zones = records(STATE)
    other = below.replace("dns", "svc").replace("master", "mister")
    responder = Responder(zones)
    for name in (other, below):
        wire = dns.message.make_query(f"{name}.cluster.local.", "TXT", id=7).to_wire()
        reply = responder.reply(wire)
        assert reply == Responder(zones).reply(wire)
        assert isinstance(reply, bytes)
        dns.message.from_wire(reply)


def test_every_address_comes_first() -> None:
    """In as many answers as there are addresses each has been the first once."""
    responder, firsts = Responder(records(STATE)), set()
    wire = dns.message.make_query("db.shop.svc.cluster.local.", "A").to_wire()
    for _ in range(8):
        reply = responder.reply(wire)
        assert isinstance(reply, bytes)
        found = dns.message.from_wire(reply).answer[0]
        assert len(found) == 8
        firsts.add(found[0].address)
    assert len(firsts) == 8


def test_names_that_are_not_there_push_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for random names has none of them kept, nor an answer of others forgotten."""
    responder, made = Responder(records(STATE)), Counter[bytes]()
    make = PlainAnswers.answer

    def count(self: PlainAnswers, wire: bytes, key: PlainKey) -> PlainAnswer | None:
        made[wire[12:16]] += 1
        return make(self, wire, key)

    monkeypatch.setattr(PlainAnswers, "answer", count)
    web = dns.message.make_query("web.shop.svc.cluster.local.", "A").to_wire()
    first = responder.reply(web)
    for number in range(REMEMBERED + 10):
        label = b"%07d" % number
        reply = responder.reply(web[:12] + b"\7" + label + web[16:])
        assert isinstance(reply, bytes)
        assert reply[3] & 15 == dns.rcode.NXDOMAIN
    assert responder.reply(web) == first
    assert sum(made.values()) == 2


def test_a_new_zone_is_answered_at_once() -> None:
    """What was made for zones is not used for others."""
    wire = dns.message.make_query("web.shop.svc.cluster.local.", "A").to_wire()
    for address in ("10.96.0.10", "10.96.0.11"):
        state = ClusterState.of([make_service("web", cluster_ips=(address,))])
        reply = Responder(records(state)).reply(wire)
        assert isinstance(reply, bytes)
        assert str(dns.message.from_wire(reply).answer[0][0]) == address
