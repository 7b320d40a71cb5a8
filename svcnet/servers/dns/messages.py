"""Questions on the wire and their answers, by the rules of DNS and no sockets.

Sources: RFC 1035 section 4; RFC 2181 section 9 (what is left out when there is no room);
RFC 6891 (EDNS); RFC 7873 5.4 (an option that is not understood is passed over); RFC 9619
(one question).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from io import BytesIO

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
from attrs import frozen

from svcnet.discovery.dns import Answer, Record, Zones, lookup
from svcnet.discovery.dns.rdata import Rdatas

HEADER_BYTES = 12
TYPE_AND_CLASS_BYTES = 4
UDP_BYTES = 512
"""What every client takes (RFC 1035, 4.2.1)."""

EDNS_BYTES = 1232
"""The most that is sent in a datagram: no path breaks it up. The client may allow less."""

TCP_BYTES = 65535

LEAST_BYTES: Mapping[str, int] = {"A": 16, "AAAA": 28, "SRV": 19}
"""The least that a record of a type takes: a name that is a pointer, ten bytes, and its data."""

QUESTION_BYTES = 4096
QUESTION_RECORDS = 8
"""What a question may have beside itself, such as EDNS and a signature.

To read a record costs up to milliseconds, if its names are as long as they may be.
"""

TRANSFERS = (dns.rdatatype.AXFR, dns.rdatatype.IXFR)

Query = dns.message.Message


def parse(wire: bytes) -> Query | bytes | None:
    """Return the question in a message.

    What is wrong or of an unknown kind has no question but its answer, as bytes. None is for
    what is not to be answered at all: messages too short to have a header, and answers,
    because two servers that answer each other would never end.
    """
    if len(wire) < HEADER_BYTES:
        return None
    flags = int.from_bytes(wire[2:4], "big")
    if flags & dns.flags.QR:
        return None
    if dns.opcode.from_flags(flags) != dns.opcode.QUERY:
        return refusal(wire, dns.rcode.NOTIMP)
    records = sum(struct.unpack_from("!3H", wire, 6))
    if len(wire) > QUESTION_BYTES or records > QUESTION_RECORDS:
        return refusal(wire, dns.rcode.FORMERR)
    try:
        query: Query = dns.message.from_wire(wire)
    except dns.message.UnknownTSIGKey:
        return refusal(wire, dns.rcode.NOTAUTH)
    except (dns.exception.DNSException, ValueError):
        return refusal(wire, dns.rcode.FORMERR)
    if len(query.question) != 1 or not _is_written(query, wire):
        return refusal(wire, dns.rcode.FORMERR)
    return query


def _is_written(query: Query, wire: bytes) -> bool:
    """Return whether the name of a question is there in full.

    No name is before it that it could point to (RFC 1035, 4.1.4). One that points into the header
    would be longer in the answer.
    """
    name = query.question[0].name.to_wire()
    return name is not None and wire.startswith(name, HEADER_BYTES)


def refusal(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """Return an answer that is a header only, for what could not be read."""
    kept = int.from_bytes(wire[2:4], "big") & (0x7800 | dns.flags.RD)
    flags = dns.flags.QR | kept | rcode
    return wire[:2] + struct.pack("!5H", flags, 0, 0, 0, 0)


def answer(zones: Zones, query: Query) -> Answer | dns.rcode.Rcode:
    """Return what `zones` say to a question, or the code of a question that they cannot have."""
    if query.edns > 0:
        return dns.rcode.BADVERS
    question = query.question[0]
    if question.rdclass != dns.rdataclass.IN or question.rdtype in TRANSFERS:
        return dns.rcode.REFUSED
    rdtype = dns.rdatatype.to_text(question.rdtype)
    return lookup(zones, question.name.to_text(), rdtype)


def room(payload: int, tcp: bool) -> int:
    """Return how many bytes an answer may have.

    `payload` is how many the question allows a datagram by EDNS, 0 without it.
    """
    return TCP_BYTES if tcp else min(max(payload, UDP_BYTES), EDNS_BYTES)


def encode(
    query: Query,
    found: Answer | dns.rcode.Rcode,
    *,
    tcp: bool,
    recursion: bool = False,
    further: Iterable[dns.rrset.RRset] = (),
) -> bytes:
    """Return an answer as bytes, as much of it as there is room for.

    Additional records go first, and nothing is said of it. Where answers go, the bit TC
    tells the client to ask by TCP. `further` are answers that another server gave.
    """
    limit = room(query.payload, tcp)
    if not isinstance(found, Answer):
        return respond(query, found, recursion).to_wire(max_size=limit)
    rest = list(further)
    sections = _Sections(query, found, recursion, rest)
    if sum(LEAST_BYTES.get(record.type, 12) for record in found.answers) > limit:
        return sections.cut(limit)
    for additional in (True, False):
        try:
            return sections.response(len(found.answers), additional).to_wire(max_size=limit)
        except dns.exception.TooBig:
            continue
    return sections.cut(limit)


@frozen
class _Sections:
    query: Query
    found: Answer
    recursion: bool
    further: list[dns.rrset.RRset]

    def response(self, count: int, additional: bool) -> dns.message.Message:
        """Return a response with the first `count` answers."""
        code = dns.rcode.from_text(self.found.rcode)
        made = respond(self.query, code, self.recursion)
        if self.found.rcode != "REFUSED":
            made.flags |= dns.flags.AA
        made.answer = _rrsets(self.found.answers[:count])
        if count == len(self.found.answers):
            made.answer += self.further
        made.authority = _rrsets(self.found.authority)
        if additional:
            made.additional = _rrsets(self.found.additional)
        return made

    def cut(self, limit: int) -> bytes:
        """Return a response that has as many answers as fit, and says that it is cut.

        However many there are, it costs as much as those that fit.
        """
        count = self._fits(limit)
        while True:
            made = self.response(count, additional=False)
            made.flags |= dns.flags.TC
            try:
                return made.to_wire(max_size=limit)
            except dns.exception.TooBig:
                # In another order names may be a few bytes longer.
                if not count:
                    raise
                count -= 1

    def _fits(self, limit: int) -> int:
        """Return how many answers there is room for beside everything else."""
        rest = len(self.response(0, additional=False).to_wire(max_size=limit))
        written, names = BytesIO(), dict[dns.name.Name, int]()
        written.write(bytes(HEADER_BYTES))
        self.query.question[0].name.to_wire(written, names)
        written.write(bytes(TYPE_AND_CLASS_BYTES))
        room, rdatas = limit - (rest - written.tell()), Rdatas()
        for count, record in enumerate(self.found.answers):
            one = dns.rdataset.from_rdata(record.ttl, rdatas.rdata(record))
            one.to_wire(rdatas.name(record.name), written, names)
            if written.tell() > room:
                return count
        return len(self.found.answers)


def respond(query: Query, rcode: dns.rcode.Rcode, recursion: bool) -> dns.message.Message:
    """Return the beginning of an answer: a header, the question, and EDNS if it was used."""
    made: dns.message.Message = dns.message.make_response(
        query, recursion_available=recursion, our_payload=EDNS_BYTES, pad=0
    )
    if query.edns >= 0:
        # RFC 3225, 3: the bit comes back as it was, also from a server without signatures.
        made.ednsflags |= query.ednsflags & dns.flags.DO
    made.flags |= query.flags & dns.flags.CD
    made.set_rcode(rcode)
    return made


def _rrsets(records: Iterable[Record]) -> list[dns.rrset.RRset]:
    """Return records grouped by name and type, as a message has them."""
    rdatas = Rdatas()
    found: dict[tuple[str, str], dns.rrset.RRset] = {}
    for record in records:
        key = record.name, record.type
        if key not in found:
            type = dns.rdatatype.from_text(record.type)
            found[key] = dns.rrset.RRset(rdatas.name(record.name), dns.rdataclass.IN, type)
            found[key].ttl = record.ttl
        found[key].add(rdatas.rdata(record))
    return list(found.values())
