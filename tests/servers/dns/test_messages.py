"""Messages that a server may get, and what each is answered."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update
import pytest

from svcnet.discovery.dns import DNSOptions, records
from svcnet.models import ClusterState, Endpoint
from svcnet.servers.dns.messages import EDNS_BYTES, TCP_BYTES
from svcnet.servers.dns.responder import Elsewhere, Responder
from svcnet.testing import make_service, make_slice

SHOP = "shop.svc.cluster.local."
STATE = ClusterState.of(
    [
        make_service("web", cluster_ips=("10.96.0.10", "fd00::10")),
        make_service("db", cluster_ips=("None",)),
        make_slice("db", *(Endpoint((f"10.244.1.{n}",), hostname=f"db-{n}") for n in range(1, 41))),
        make_service("out", type="ExternalName", cluster_ips=(), external_name="example.com"),
    ]
)
ZONES = records(STATE)
EVERYTHING = records(STATE, DNSOptions(pods="insecure", zonal=True))


def ask(
    query: dns.message.Message | bytes, *, tcp: bool = False, responder: Responder | None = None
) -> dns.message.Message:
    wire = query if isinstance(query, bytes) else query.to_wire()
    reply = (responder or Responder(ZONES)).reply(wire, tcp=tcp)
    assert isinstance(reply, bytes)
    return dns.message.from_wire(reply)


def query(
    name: str | dns.name.Name = f"web.{SHOP}", rdtype: str = "A", **options: object
) -> dns.message.Message:
    made: dns.message.Message = dns.message.make_query(name, rdtype, **options)  # type: ignore[arg-type]
    return made


def test_an_answer() -> None:
    """The question comes back to the letter, the answer with authority and nobody's help."""
    asked = query(f"WeB.{SHOP}")
    asked.flags |= dns.flags.CD
    found = ask(asked)
    assert found.id == asked.id
    assert str(found.question[0].name) == f"WeB.{SHOP}"
    assert found.flags == dns.flags.QR | dns.flags.AA | dns.flags.RD | dns.flags.CD
    assert [str(rrset) for rrset in found.answer] == [f"WeB.{SHOP} 5 IN A 10.96.0.10"]
    assert found.edns == -1


def test_nothing_has_the_soa() -> None:
    """A name that is not there and a type that is not there are told apart, with the SOA."""
    for name, code in ((f"no.{SHOP}", "NXDOMAIN"), (f"out.{SHOP}", "NOERROR")):
        found = ask(query(name, "TXT"))
        assert dns.rcode.to_text(found.rcode()) == code
        assert found.flags & dns.flags.AA
        assert [rrset.rdtype for rrset in found.authority] == [dns.rdatatype.SOA]


def test_what_is_not_ours_is_refused() -> None:
    """Names outside the zones, other classes and transfers are refused, without authority."""
    other = query()
    other.question[0].rdclass = dns.rdataclass.CH
    for asked in (query("example.com."), other, query("cluster.local.", "AXFR")):
        found = ask(asked)
        assert found.rcode() == dns.rcode.REFUSED
        assert not found.flags & dns.flags.AA


def test_other_operations_are_not_implemented() -> None:
    """An update is answered NOTIMP, with its number."""
    update = dns.update.UpdateMessage("cluster.local.")
    update.add("a", 5, "A", "192.0.2.1")
    found = Responder(ZONES).reply(update.to_wire())
    assert isinstance(found, bytes)
    assert found[:2] == update.to_wire()[:2]
    assert len(found) == 12
    assert dns.opcode.from_flags(int.from_bytes(found[2:4], "big")) == dns.opcode.UPDATE
    assert found[3] & 0xF == dns.rcode.NOTIMP


def test_an_unknown_key_is_told() -> None:
    """A signed question is answered NOTAUTH: there are no keys here."""
    signed = query()
    signed.use_tsig(dns.tsig.Key("k", b"secret" * 4))
    assert ask(signed.to_wire()).rcode() == dns.rcode.NOTAUTH


@pytest.mark.parametrize("count", [0, 2])
def test_one_question(count: int) -> None:
    """No question and two questions are malformed (RFC 9619)."""
    asked = query()
    asked.question = asked.question * count
    assert ask(asked).rcode() == dns.rcode.FORMERR


@pytest.mark.parametrize("wire", [b"", b"1", bytes(11), b"\0\1\x80\0" + bytes(8)])
def test_silence(wire: bytes) -> None:
    """What has no header, or is an answer itself, gets no answer."""
    assert Responder(ZONES).reply(wire) is None


def test_edns() -> None:
    """EDNS comes back where it was used, with its DO bit; another version is BADVERS."""
    asked = query(use_edns=0, want_dnssec=True, payload=4096)
    asked.use_edns(
        0,
        dns.flags.DO,
        4096,
        options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"cookie12")],
    )
    found = ask(asked)
    assert (found.edns, found.ednsflags, found.payload) == (0, dns.flags.DO, EDNS_BYTES)
    assert found.options == ()
    asked.use_edns(1)
    assert ask(asked).rcode() == dns.rcode.BADVERS
    assert ask(query(use_edns=0, payload=100)).rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize(
    ("payload", "rdtype", "limit"),
    [(None, "A", 512), (512, "A", 512), (800, "SRV", 800), (4096, "SRV", 1232), (0, "SRV", 512)],
)
def test_no_more_than_there_is_room_for(payload: int | None, rdtype: str, limit: int) -> None:
    """What does not fit is cut, which a bit says; by TCP all of it comes."""
    use_edns = None if payload is None else 0
    asked = query(f"db.{SHOP}", rdtype, use_edns=use_edns, payload=payload)
    wire = Responder(ZONES).reply(asked.to_wire())
    assert isinstance(wire, bytes)
    assert limit - 80 < len(wire) <= limit
    found = dns.message.from_wire(wire)
    assert found.flags & dns.flags.TC
    whole = ask(asked, tcp=True)
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 40
    assert 0 < len(found.answer[0]) < 40


def test_what_was_not_asked_for_goes_first() -> None:
    """Additional records are left out without a word, as long as all answers fit."""
    asked = query(f"db-1.db.{SHOP}", "SRV", use_edns=0, payload=1232)
    assert len(ask(asked).additional) == 1
    twelve = ClusterState.of(
        [
            make_service("db", cluster_ips=("None",)),
            make_slice("db", *(Endpoint((f"10.0.0.{n}",), hostname=f"d{n}") for n in range(9))),
        ]
    )
    found = ask(query(f"db.{SHOP}", "SRV"), responder=Responder(records(twelve)))
    assert not found.flags & dns.flags.TC
    assert len(found.answer[0]) == 9
    assert not found.additional


def test_a_tcp_answer_too_large_is_cut() -> None:
    """More answers than a message can hold are cut by TCP too."""
    many = [Endpoint((f"10.{n >> 8}.{n & 255}.1",)) for n in range(5000)]
    state = ClusterState.of([make_service("db", cluster_ips=("None",)), make_slice("db", *many)])
    wire = Responder(records(state)).reply(query(f"db.{SHOP}").to_wire(), tcp=True)
    assert isinstance(wire, bytes)
    assert TCP_BYTES - 20 < len(wire) <= TCP_BYTES


def test_answers_change_places() -> None:
    """Clients that take the first address are not all sent to the same endpoint."""
    responder = Responder(ZONES)
    asked = query(f"db.{SHOP}").to_wire()
    firsts = {ask(asked, tcp=True, responder=responder).answer[0][0] for _ in range(50)}
    assert len(firsts) > 5


def test_odd_letters_come_back() -> None:
    """A name with dots and other bytes inside a label is answered under that name."""
    name = dns.name.Name([b"a.b\\\0", *dns.name.from_text(f"prefer._zone.db.{SHOP}").labels])
    found = ask(query(name), tcp=True, responder=Responder(EVERYTHING))
    assert found.answer[0].name == name
    assert len(found.answer[0]) == 40


def test_a_question_again_has_its_own_number() -> None:
    """What is answered from memory has the number of this question."""
    responder = Responder(ZONES)
    for _ in range(2):
        asked = query()
        assert ask(asked, responder=responder).id == asked.id


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many and however long the questions, few answers are kept, and none is wrong."""
    monkeypatch.setattr("svcnet.servers.dns.responder.REMEMBERED", 10)
    responder = Responder(ZONES)
    for number in range(25):
        asked = query(f"n{number}.example.com.")
        assert ask(asked, responder=responder).rcode() == dns.rcode.REFUSED
    assert len(responder._known) == 5
    padded = query()
    padded.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(3000))])
    wire = padded.to_wire(max_size=TCP_BYTES)
    assert ask(wire, tcp=True, responder=responder).rcode() == dns.rcode.NOERROR
    assert len(responder._known) == 5


def test_what_is_kept_of_missing_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many names they are below, which are there or not, and of however many types."""
    monkeypatch.setattr("svcnet.servers.dns.plain.PARENTS", 10)
    monkeypatch.setattr("svcnet.servers.dns.plain.KINDS", 10)
    responder = Responder(ZONES)
    for number in range(25):
        for parent in (f"n{number:02}", f"db-{number + 1}.db"):
            asked = query(f"a.{parent}.{SHOP}", f"TYPE{1000 + number}")
            for _ in range(2):
                assert ask(asked, responder=responder).rcode() == dns.rcode.NXDOMAIN
    assert len(responder._plain._parents) == 5
    assert len(responder._plain._nothing) == 10


def test_elsewhere() -> None:
    """With another server, names and aliases that lead out of the zones go there."""
    responder = Responder(ZONES, recursion=True)
    for name in ("example.com.", f"out.{SHOP}"):
        assert isinstance(responder.reply(query(name).to_wire()), Elsewhere)
    found = ask(query(), responder=responder)
    assert found.flags & dns.flags.RA
    assert ask(query(f"out.{SHOP}", "CNAME"), responder=responder).answer


@pytest.mark.parametrize("rdtype", ["A", "SRV"])
def test_an_answer_that_is_cut_costs_what_fits(rdtype: str) -> None:
    """By UDP thousands of endpoints cost no more than the few that are in the answer."""
    many = [Endpoint((f"10.{n >> 8}.{n & 255}.1",)) for n in range(5000)]
    state = ClusterState.of([make_service("db", cluster_ips=("None",)), make_slice("db", *many)])
    responder, costs = Responder(records(state)), []
    for _ in range(5):
        begun = time.process_time()
        found = ask(query(f"db.{SHOP}", rdtype), responder=responder)
        costs.append(time.process_time() - begun)
        assert found.flags & dns.flags.TC
    assert min(costs) < 0.05


def costly() -> Iterator[bytes]:
    """Yield questions with as much in them as is costly to read."""
    name = b"\1a" * 120 + b"\0"
    pointer = b"\xc0\x0c"
    for counts in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        for many in (8, 3000):
            for owner in (pointer, b"\1b" + pointer):
                record = owner + struct.pack("!2HIH", 12, 1, 0, 2) + pointer
                header = struct.pack("!6H", 7, 0x100, 1, *(many * count for count in counts))
                yield header + name + struct.pack("!2H", 1, 1) + record * many
    for size in (900, 16000):
        options = b"\0\xff\0\0" * size
        opt = b"\0" + struct.pack("!HHIH", 41, 4096, 0, len(options)) + options
        yield struct.pack("!6H", 7, 0x100, 1, 0, 0, 1) + b"\1a\0" + struct.pack("!2H", 1, 1) + opt


def test_no_question_is_costly() -> None:
    """A question that is made to be costly to read costs no more than many others do."""
    for wire in costly():
        responder, costs = Responder(ZONES), []
        for tcp in (True, False, True):
            begun = time.process_time()
            ask(wire, tcp=tcp, responder=responder)
            costs.append(time.process_time() - begun)
        assert min(costs) < 0.05
