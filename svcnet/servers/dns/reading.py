"""Reading an answer of another server, also one that is made to be slow to read.

To read a record can cost milliseconds, if its names are as long as they may be, and a message has
room for thousands: half a minute in which nobody else is answered. So it is read a few records at
a time, one long answer after the other, and no longer than a bound.
"""

from __future__ import annotations

import asyncio
import struct
from itertools import islice
from time import thread_time

import dns.exception
import dns.message
import dns.rdata
import dns.rdatatype
import dns.wire

from svcnet.servers.dns.messages import HEADER_BYTES, TYPE_AND_CLASS_BYTES

Response = dns.message.Message

FEW = 8
"""So many records are read before others have their turn."""

SHORT = 64
"""An answer of so many records waits for no other that is read."""

MOST_SECONDS = 1.0
"""How much time of the processor the records of an answer may take. Honest ones take a quarter."""

MOST_TTL = 2**31 - 1
"""What is larger means 0 (RFC 2181, 8)."""


class AnswerReader:
    """Reads answers, in one event loop."""

    def __init__(self) -> None:
        self._long = asyncio.Lock()

    async def answer_in(self, wire: bytes, question: dns.message.Message) -> Response | None:
        """Return the message if it is an answer to `question`, and None whatever else it is.

        It has no records of EDNS. None is also for one that takes too long to read.
        """
        if len(wire) < HEADER_BYTES or wire[:2] != question.id.to_bytes(2, "big"):
            return None
        questions, *counts = struct.unpack_from("!4H", wire, 4)
        if questions > 1:
            return None
        try:
            found: Response = dns.message.from_wire(wire, question_only=True)
            if not question.is_response(found):
                return None
            if sum(counts) <= SHORT:
                return await _read(found, wire)
            async with self._long:
                return await _read(found, wire)
        except (dns.exception.DNSException, ValueError):
            return None


async def _read(found: Response, wire: bytes) -> Response | None:
    """Add the records to a message that has its question; return None if it is not to be used."""
    parser = dns.wire.Parser(wire)
    questions, *counts = parser.get_struct("!4x4H")
    for _ in range(questions):
        parser.get_name(decompress=True)
        parser.get_bytes(TYPE_AND_CLASS_BYTES)
    sections = (section for section, count in enumerate(counts, 1) for _ in range(count))
    left = MOST_SECONDS
    while batch := tuple(islice(sections, FEW)):
        begun = thread_time()
        for section in batch:
            if not _read_record(found, section, parser):
                return None
        left -= thread_time() - begun
        if left < 0:
            return None
        await asyncio.sleep(0)
    return None if parser.remaining() else found


def _read_record(found: Response, section: int, parser: dns.wire.Parser) -> bool:
    """Add the next record; return False if the message cannot be used for what it says."""
    name = parser.get_name(decompress=True)
    rdtype, rdclass, ttl, length = parser.get_struct("!HHIH")
    with parser.restrict_to(length):
        rdata = dns.rdata.from_wire_parser(rdclass, rdtype, parser)
    if rdtype == dns.rdatatype.OPT:
        # What is above are bits of an error code, and we asked for nothing that it could be about.
        return section == dns.message.MessageSection.ADDITIONAL and bool(ttl < 1 << 24)
    if rdtype == dns.rdatatype.TSIG:
        return False
    at = found.section_from_number(section)
    rrset = found.find_rrset(at, name, rdclass, rdtype, rdata.covers(), None, True)
    rrset.add(rdata, ttl if ttl <= MOST_TTL else 0)
    return True
