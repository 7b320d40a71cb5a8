"""Which endpoints in maps are not as wanted, without a list of all of them.

The kernel lists a large set in pieces, and for each it counts from the begin: of half a million
elements that is seconds. So all that is wanted is asked for by its key, some hundreds together, and
the kernel's answers are compared as bytes. How many elements a map has tells whether there are
others; only then it is listed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from errno import ENOENT

from attrs import field, frozen

from svcnet import netlink
from svcnet.errors import ApplyError
from svcnet.executors.machine import Machine, Netlink
from svcnet.executors.netlink import list_whole, reason
from svcnet.netfilter.nft import ElementState, NFTElement, NFTSet, NFTTable, wire
from svcnet.netfilter.nft.wire import uapi
from svcnet.netlink import NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES, nest
from svcnet.renderers.nftables import ENDPOINT_MAPS, EndpointRow, Ruleset

TOGETHER = 256
"""How many keys a question has. The kernel answers each with a message of its own, at once."""
ROOM = 4 << 20
"""Bytes of answers that wait for us; a message takes about a kilobyte of them."""


@frozen
class EndpointDrift:
    """The endpoints of a table that may not be as wanted, by map and key.

    ``found`` is what there is, and ``wanted`` what should be there instead. What is in neither is
    as it is wanted.
    """

    found: Mapping[str, Mapping[str, ElementState]] = field(factory=dict)
    wanted: Mapping[str, Mapping[str, NFTElement]] = field(factory=dict)


def endpoint_drift(ruleset: Ruleset, *, machine: Machine) -> EndpointDrift:
    """Return which endpoints of a flat table are not as wanted. Raises ApplyError."""
    rows: dict[str, list[EndpointRow]] = {}
    for row in ruleset.rows():
        rows.setdefault(row.container, []).append(row)
    found: dict[str, dict[str, ElementState]] = {}
    wanted: dict[str, dict[str, NFTElement]] = {}
    try:
        with machine.netlink(NETLINK_NETFILTER) as opened:
            with suppress(OSError):
                opened.hold(ROOM)
            for made in ruleset.fixed.objects:
                if type(made) is NFTSet and made.name in ENDPOINT_MAPS:
                    one = _EndpointMap(ruleset.table, made, opened, machine)
                    compared = one.compare(rows.get(made.name, ()))
                    found[made.name], wanted[made.name] = compared
    except (OSError, ValueError, struct.error) as error:
        told = reason(error) if isinstance(error, OSError) else str(error)
        raise ApplyError(f"nf_tables does not tell table {ruleset.table}: {told}") from None
    return EndpointDrift(found, wanted)


class _EndpointMap:
    """A map of endpoints as the kernel has it."""

    def __init__(self, table: NFTTable, made: NFTSet, opened: Netlink, machine: Machine) -> None:
        self._form = wire.ElementForm.of(made.type, made.value)
        self._rows = wire.ElementRows(self._form, as_told=True)
        self._name = made.name
        self._head = wire.head(*table) + wire.of_set(made.name)
        self._opened = opened
        self._machine = machine

    def compare(
        self, rows: Iterable[EndpointRow]
    ) -> tuple[dict[str, ElementState], dict[str, NFTElement]]:
        """Return what is there and what is wanted, of all that may differ."""
        wanted = b"".join([self._rows.row(row.key, row.endpoints, row.first) for row in rows])
        told = self._ask(uapi.NFT_MSG_GETSET)
        if not told:
            return {}, self._elements(wanted)
        count = wire.read_count(told[0])
        found: dict[str, ElementState] = {}
        differing: list[bytes] = []
        if count is None or count >= len(wanted) // self._rows.size // 2:
            there = sum(self._compare(part, found, differing) for part in self._parts(wanted))
            if count == there:
                return found, self._elements(b"".join(differing))
        # There are others, or so few that a list of them tells more.
        listed, meant = self._list(), self._elements(wanted)
        for key, each in meant.copy().items():
            if key in listed and listed[key][:3] == each[1:]:
                del listed[key], meant[key]
        return listed, meant

    def _parts(self, wanted: bytes) -> Iterator[bytes]:
        step = TOGETHER * self._rows.size
        for begin in range(0, len(wanted), step):
            yield wanted[begin : begin + step]

    def _compare(self, part: bytes, found: dict[str, ElementState], differing: list[bytes]) -> int:
        """Take what differs from some elements; return how many of their keys there are."""
        size, there = self._rows.size, 0
        while part:
            answers = self._ask(uapi.NFT_MSG_GETSETELEM, self._rows.keys_of(part))
            end = len(answers) * size
            if b"".join([each[-size:] for each in answers]) != part[:end]:
                for begin, each in zip(range(0, end, size), answers, strict=True):
                    if each[-size:] != part[begin : begin + size]:
                        differing.append(part[begin : begin + size])
                        found |= {one.key: one for one in self._read(each)}
            there += len(answers)
            # The kernel goes no further than to a key that is not there.
            differing += filter(None, [part[end : end + size]])
            part = part[end + size :]
        return there

    def _ask(self, kind: int, keys: bytes = b"") -> list[bytes]:
        """Return what the kernel tells of the map, or of elements up to one that is not there."""
        more = nest(uapi.NFTA_SET_ELEM_LIST_ELEMENTS, keys) if keys else b""
        body, flags = self._head + more, netlink.NLM_F_REQUEST | netlink.NLM_F_ACK
        kind |= NFNL_SUBSYS_NFTABLES << 8
        self._opened.send(netlink.message(kind, flags, 1, body))
        found = []
        for datagram in iter(self._opened.receive, None):
            for answer, _, _, content in netlink.messages(datagram):
                if answer != netlink.NLMSG_ERROR:
                    found.append(content)
                    continue
                (errno,) = netlink.NLMSGERR.unpack_from(content)
                if -errno not in (0, ENOENT):
                    raise OSError(-errno, netlink.errno_text(-errno))
                return found
        return found

    def _list(self) -> dict[str, ElementState]:
        """Return all elements that there are."""
        kind = NFNL_SUBSYS_NFTABLES << 8 | uapi.NFT_MSG_GETSETELEM
        told = list_whole(NETLINK_NETFILTER, kind, self._head, machine=self._machine)
        return {one.key: one for each in told for one in self._read(each)}

    def _read(self, body: bytes) -> list[ElementState]:
        return wire.read_elements(body, self._form.key, self._form.value)

    def _elements(self, packed: bytes) -> dict[str, NFTElement]:
        """Return elements by their keys."""
        found = {}
        for part in self._parts(packed):
            body = self._head + nest(uapi.NFTA_SET_ELEM_LIST_ELEMENTS, part)
            for key, value, *_ in self._read(body):
                found[key] = NFTElement(self._name, key, value)
        return found
