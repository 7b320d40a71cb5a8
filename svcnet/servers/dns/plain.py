"""Answers that are put together from bytes, for the questions that nearly all clients ask.

A plain question is a name in full with its type and class, and at most EDNS without options. What
comes after the question in its answer depends neither on its number nor on the case of its
letters: pointers lead into the question (RFC 1035, 4.1.4). So it is made once for a name and type.

Two kinds of answers need no more than that: addresses of the name itself, and nothing, with the
zone's SOA record, which is the same for all names of one length. All others, and the first nothing
of each length, are made by :mod:`svcnet.servers.dns.messages`. The bytes are the same either way.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from random import randrange
from socket import AF_INET, AF_INET6, inet_pton
from typing import TypeAlias

import dns.flags
import dns.rdataclass
import dns.rdatatype

from svcnet.discovery.dns import Answer, Zones, entry_in, find, lookup
from svcnet.servers.dns.messages import (
    EDNS_BYTES,
    HEADER_BYTES,
    TRANSFERS,
    TYPE_AND_CLASS_BYTES,
    room,
)

_OPTION = struct.Struct("!xHHIH")
"""EDNS without options: an empty name, the type, the room for an answer, flags, a length."""

AFTER_QUESTION: Mapping[bytes, int] = {
    struct.pack("!4H", 1, 0, 0, 0): 0,
    struct.pack("!4H", 1, 0, 0, 1): _OPTION.size,
}
"""How many bytes come after a plain question, by the numbers of records in a message's header."""

PlainKey: TypeAlias = tuple[bytes, bytes, bytes, bool]
"""A plain question: flags and numbers of records, the name in lower case, the rest, and whether
it came by TCP. Length bytes of a name are no letters, so lower case leaves them as they are."""

_TYPE_AND_CLASS = struct.Struct("!2H")
_POINTER = (0xC000 | HEADER_BYTES).to_bytes(2, "big")
_FAMILIES = {"A": AF_INET, "AAAA": AF_INET6}
_LABEL = re.compile(rb"[a-z0-9_-]+")
_LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789_-"
_DOT = ord(".")
_MAX_LABEL, _MAX_NAME = 63, 255

KINDS = PARENTS = 4096
"""How many answers without records, and names that others were missed below, are kept at a time."""

# Plain numbers: dnspython's flags and types are enumerations, which cost many times the rest.
_KEPT = int(dns.flags.RD | dns.flags.CD)
_ALLOWED = _KEPT | int(dns.flags.AD)
_AUTHORITY = int(dns.flags.QR | dns.flags.AA)
_RECURSION = int(dns.flags.RA)
_DO = int(dns.flags.DO)
_OPT, _IN = int(dns.rdatatype.OPT), int(dns.rdataclass.IN)
_NO_TYPES = frozenset(map(int, TRANSFERS))


class PlainAnswer:
    """An answer but for its number and question: records that change places, and what follows.

    One that ``is_of_many`` names, which are not there, is not to be kept for each of them.
    """

    __slots__ = ("after", "at", "head", "is_of_many", "records", "size", "step")

    def __init__(
        self, head: bytes, records: bytes, step: int, after: bytes, *, is_of_many: bool = False
    ) -> None:
        self.head = head
        self.size = len(records) + len(after)
        self.is_of_many = is_of_many
        self.records = records
        self.step = step
        self.after = after
        # Clients that take the first address are spread also if each answer is made anew.
        self.at = randrange(len(records) // step) * step if step else 0  # noqa: S311

    def to(self, number: bytes, question: bytes) -> bytes:
        """Return the answer to a question; the next one begins with the next record."""
        step = self.step
        if not step:
            return b"".join((number, self.head, question, self.records, self.after))
        at, records = self.at, self.records
        self.at = (at + step) % len(records)
        return b"".join((number, self.head, question, records[at:], records[:at], self.after))


class PlainAnswers:
    """Makes answers from zones. `encode` makes one of a whole message, as bytes."""

    def __init__(
        self, zones: Zones, *, recursion: bool, encode: Callable[[bytes], bytes | None]
    ) -> None:
        self._zones = zones
        self._recursion = recursion
        self._encode = encode
        self._nothing: dict[tuple[object, ...], PlainAnswer] = {}
        # Each as text, with its zone and its label before that, if there is one.
        self._parents: dict[bytes, tuple[str, str, str]] = {}
        # The labels that a zone's SOA record has before the zone. What is below one of them has
        # more in common with the record than the zone.
        self._beside = {zone: _hosts(zones, zone) for zone in zones.options.zones}

    def forget(self) -> None:
        """Keep nothing of what was made."""
        self._nothing.clear()

    def missing(self, key: PlainKey) -> PlainAnswer | None:
        """Return the answer to a question for a name that is not there, where it is at hand.

        That is where such a question was asked before, for a name as long, and a name was missed
        below the same one, which is there. So names that nobody asks for again take no memory.
        """
        head, written, rest, _ = key
        size = written[0] if written else 0
        place = self._parents.get(written[1 + size :])
        if place is None or size > _MAX_LABEL:
            return None
        parent, zone, child = place
        made = self._nothing.get(("NXDOMAIN", zone, len(written), head, rest))
        label = written[1 : 1 + size]
        if made is None or not (label.isalnum() or _LABEL.fullmatch(label)):
            return None
        text = label.decode("ascii")
        name = f"{text}.{parent}"
        if (child or text) in self._beside[zone] or entry_in(self._zones, name, zone) is not None:
            return None
        return made

    def answer(self, wire: bytes, key: PlainKey) -> PlainAnswer | None:
        """Return the answer to the question in a message, None if it is not of these kinds."""
        name = _text(key[1])
        if name is None:
            return None
        zone, entry = find(self._zones, name)
        if zone is None:
            return None if self._recursion else self._without_records(wire, key, "REFUSED")
        if entry is None:
            self._keep_parent(key[1], name, zone)
            return self._without_records(wire, key, "NXDOMAIN", zone, name)
        rdtype = _type_of(key)
        if rdtype is None:
            return None
        found = lookup(self._zones, name, _type_text(rdtype))
        if not found.answers:
            return self._without_records(wire, key, found.rcode, zone, name)
        return self._addresses(key, found)

    def _without_records(
        self, wire: bytes, key: PlainKey, rcode: str, zone: str = "", name: str = ""
    ) -> PlainAnswer | None:
        """Return an answer that has the SOA record of `zone`, or nothing where that is none."""
        if zone and _child(name, zone) in self._beside[zone]:
            return None
        head, written, rest, _ = key
        kind = rcode, zone, len(written), head, rest
        made = self._nothing.get(kind)
        if made is None:
            whole = None if _type_of(key) is None else self._encode(wire)
            if whole is None:
                return None
            after = whole[HEADER_BYTES + len(written) + TYPE_AND_CLASS_BYTES :]
            if len(self._nothing) == KINDS:
                self._nothing.clear()
            made = self._nothing[kind] = PlainAnswer(
                whole[2:HEADER_BYTES], b"", 0, after, is_of_many=rcode == "NXDOMAIN"
            )
        return made

    def _keep_parent(self, written: bytes, name: str, zone: str) -> None:
        """Keep the name that a missing one is below, if it is there: the zone's own, or in it."""
        parent = name.partition(".")[2]
        if parent not in self._zones.entries:
            return
        if len(self._parents) == PARENTS:
            self._parents.clear()
        self._parents[written[1 + written[0] :]] = parent, zone, _child(parent, zone)

    def _addresses(self, key: PlainKey, found: Answer) -> PlainAnswer | None:
        """Return an answer with the addresses of its own name, None if it has others or no room."""
        family = _FAMILIES.get(found.answers[-1].type)
        if family is None or found.answers[0].type == "CNAME":
            return None
        head, name, rest, tcp = key
        edns, payload = rest[TYPE_AND_CLASS_BYTES:], 0
        if edns:
            _, payload, flags, _ = _OPTION.unpack(edns)
            edns = _OPTION.pack(_OPT, EDNS_BYTES, flags, 0)
        packed = [inet_pton(family, record.data) for record in found.answers]
        start = _POINTER + rest[:TYPE_AND_CLASS_BYTES]
        start += struct.pack("!IH", found.answers[0].ttl, len(packed[0]))
        records, step = b"".join([start + data for data in packed]), len(start) + len(packed[0])
        size = HEADER_BYTES + len(name) + TYPE_AND_CLASS_BYTES + len(records) + len(edns)
        if size > room(payload, tcp):
            return None
        asked = int.from_bytes(head[:2], "big")
        said = _AUTHORITY | (asked & _KEPT) | (_RECURSION if self._recursion else 0)
        head = struct.pack("!5H", said, 1, len(packed), 0, 1 if edns else 0)
        return PlainAnswer(head, records, step if len(packed) > 1 else 0, edns)


def _hosts(zones: Zones, zone: str) -> frozenset[str]:
    """Return the labels that the names in a zone's SOA record have before the zone."""
    data = zones.entries[zone].records["SOA"][0].data
    return frozenset(_child(host, zone) for host in data.split()[:2])


def _child(name: str, zone: str) -> str:
    """Return the label before the zone in a name, nothing in the zone's own."""
    return name[: -len(zone) - 1].rpartition(".")[2]


def _type_of(key: PlainKey) -> int | None:
    """Return the type that is asked for, None if the question is not plain after all."""
    head, _, rest, _ = key
    if int.from_bytes(head[:2], "big") & ~_ALLOWED:
        return None
    rdtype, rdclass = _TYPE_AND_CLASS.unpack_from(rest)
    if rdclass != _IN or rdtype in _NO_TYPES:
        return None
    edns = rest[TYPE_AND_CLASS_BYTES:]
    if edns:
        option, _, flags, length = _OPTION.unpack(edns)
        if edns[0] or option != _OPT or flags & ~_DO or length:
            return None
    found: int = rdtype
    return found


def _text(wire: bytes) -> str | None:
    """Return a name of ordinary letters as text, None for any other and for what is none.

    A dot takes the place of each label's length, so that all but letters are as many dots.
    """
    text, at, end, labels = bytearray(wire), 0, len(wire) - 1, 0
    while at < end:
        size = wire[at]
        if not 0 < size <= _MAX_LABEL:
            return None
        text[at] = _DOT
        at += 1 + size
        labels += 1
    if at != end or wire[end] or not 0 < end < _MAX_NAME:
        return None
    text[end] = _DOT
    if text.translate(None, _LETTERS) != b"." * (labels + 1):
        return None
    return text[1:].decode("ascii")


def _type_text(rdtype: int) -> str:
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rdtype))
