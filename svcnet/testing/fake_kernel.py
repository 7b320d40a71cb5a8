"""The kernel of a fake machine: a network namespace that answers netlink and ``getsockopt``."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from errno import EAGAIN, EBUSY, EINVAL, ENOBUFS, ENOENT, EPERM
from functools import partial
from os import strerror
from struct import pack
from typing import Literal, TypeAlias

from attrs import define, field

from svcnet import netlink
from svcnet.family import IPFamily
from svcnet.netfilter import BUILT_IN
from svcnet.netfilter.nft import NFTFamily, TableKey
from svcnet.netlink import NFGENMSG, attribute, attributes, nest
from svcnet.renderers.conntrack import Flow, wire
from svcnet.testing import fake_nft_wire
from svcnet.testing.fake_iptables import FakeIPTables
from svcnet.testing.fake_ipvs_kernel import FakeIPVSKernel
from svcnet.testing.fake_nft import FakeNFT

Variant = Literal["nft", "legacy"]
VARIANTS: tuple[Variant, ...] = ("nft", "legacy")
FAMILIES: dict[IPFamily, int] = {"IPv4": int(socket.AF_INET), "IPv6": int(socket.AF_INET6)}

# linux/netlink.h
_ROUTE = 0
_NETFILTER = 12
_GENERIC = 16
# linux/netfilter/nfnetlink.h: the subsystem is the upper byte of a message's kind
_CT = 1 << 8
_IPSET = 6
_ACCT = 7
_COMPAT_GET = 11 << 8
_NFT = 10 << 8
# linux/netfilter/nfnetlink_conntrack.h, linux/netfilter/nf_tables.h
_CT_NEW, _CT_GET, _CT_DELETE = _CT, _CT | 1, _CT | 2
_NEWTABLE, _GETTABLE, _NEWCHAIN, _GETCHAIN, _NEWRULE = (_NFT | each for each in (0, 1, 3, 4, 6))
_NFPROTO: dict[NFTFamily, int] = {"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}
_GETSET, _GETSETELEM, _NEWGEN, _GETGEN = (_NFT | each for each in (10, 13, 15, 16))
_NFNLGRP_NFTABLES = 7
_RTNL_KIND_GET = 2
_GET_INFO = 64  # IPT_SO_GET_INFO
_GET_ENTRIES = 65  # IPT_SO_GET_ENTRIES
_GET_REVISION_MATCH = 66  # IPT_SO_GET_REVISION_MATCH
_NAME = 32  # XT_TABLE_MAXNAMELEN
_MATCH = {"IPv4": 84, "IPv6": 136}

Ear: TypeAlias = deque[bytes | OSError]
"""What waits to be received by one who listens."""


def _tables() -> dict[tuple[Variant, IPFamily], FakeIPTables]:
    return {
        (each, family): FakeIPTables(family, is_legacy=each == "legacy")
        for each in VARIANTS
        for family in FAMILIES
    }


@define
class FakeKernel:
    """A network namespace: its tables in both variants, its connections and its settings.

    ``settings`` are the files below /proc/sys by their paths, ``flows`` entries of UDP,
    ``counters`` those with names that rules count packets in (nfacct), and
    ``lacks`` the modules and options (``CONFIG_…``) that the kernel does not have: those of IPVS
    mode, and ``nfnetlink_acct``, ``nft_compat`` and ``xt_nfacct``. ``refuses`` says of a line or a
    message of IPVS mode whether it is refused.
    ``ipvs`` has what that mode puts there, and ``nft`` the tables of nf_tables beside those of
    iptables. ``ears`` are of those who listen to nf_tables, and ``foreign`` is how many commits
    there were to tables that are not here.
    """

    settings: dict[str, str]
    lacks: set[str] = field(factory=set)
    refuses: Callable[[str], bool] = field(default=lambda _: False)
    tables: dict[tuple[Variant, IPFamily], FakeIPTables] = field(factory=_tables)
    flows: list[Flow] = field(factory=list)
    counters: dict[str, int] = field(factory=dict)
    ears: list[Ear] = field(factory=list)
    foreign: int = 0
    ipvs: FakeIPVSKernel = field(init=False)
    nft: FakeNFT = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.ipvs = FakeIPVSKernel(self.lacks, self.references, self.refuses)
        self.nft = FakeNFT(self.lacks)
        self.nft.on_commit = self._tell_tables
        for family, number in FAMILIES.items():
            self.tables["nft", family].on_commit = partial(self._tell, number)

    def listen(self, protocol: int, group: int, ear: Ear) -> None:
        """Tell an ear of what nf_tables commits from now on."""
        if (protocol, group) == (_NETFILTER, _NFNLGRP_NFTABLES):
            self.ears.append(ear)

    def deafen(self) -> None:
        """Have all who listen lose what they have not received: there was more than room for."""
        for ear in self.ears:
            ear.clear()
            ear.append(OSError(ENOBUFS, strerror(ENOBUFS)))

    def commit(self, table: str, family: int = socket.AF_INET) -> None:
        """Make a commit of nf_tables to a table that nobody here knows."""
        self.foreign += 1
        self._tell(family, table, {})

    def _tell(self, family: int, table: str, chains: Mapping[str, bool]) -> None:
        """Tell all ears of a commit to chains or their rules, or to a table without any."""
        head = _table_head(family, table)
        told = [
            _message(_NEWCHAIN, 1, head + attribute(3, chain.encode() + b"\0"))
            if is_chain
            else _message(_NEWRULE, 1, head + attribute(2, chain.encode() + b"\0"))
            for chain, is_chain in chains.items()
        ]
        self._tell_all(told or [_message(_NEWTABLE, 1, head)])

    def _tell_tables(self, changed: Iterable[TableKey]) -> None:
        """Tell all ears of a commit to tables of nf_tables."""
        self._tell_all(
            [
                _message(_NEWTABLE, 1, _table_head(_NFPROTO[family], name))
                for family, name in sorted(changed)
            ]
        )

    def _tell_all(self, told: Iterable[bytes]) -> None:
        """Tell all ears of a commit by messages, behind which its generation is."""
        generation = NFGENMSG.pack(0, 0, 0) + attribute(1, pack("!I", self.generation))
        for ear in self.ears:
            ear.extend((b"".join(told), _message(_NEWGEN, 1, generation)))

    def references(self, name: str) -> int:
        """Return how many rules name an ipset."""
        return sum(
            f"--match-set {name} " in rule
            for tables in self.tables.values()
            for chains in tables.tables.values()
            for rules in chains.values()
            for rule in rules
        )

    @property
    def generation(self) -> int:
        """How often nf_tables has changed."""
        of_iptables = sum(self.tables["nft", family].commits for family in FAMILIES)
        return 1 + of_iptables + self.nft.commits + self.foreign

    def answers(self, protocol: int, data: bytes, *, may: bool) -> Iterator[bytes]:
        """Yield the datagrams that answer one; who may not ask is refused each message."""
        for kind, flags, sequence, body in netlink.messages(data):
            # Anybody may ask for devices and addresses (rtnetlink_rcv_msg in net/core/rtnetlink.c).
            is_free = protocol == _ROUTE and kind & 3 == _RTNL_KIND_GET
            try:
                is_dump = flags & netlink.NLM_F_DUMP == netlink.NLM_F_DUMP
                asked = self._list if is_dump and kind & ~0xFF == _NFT else self._answer
                found = list(asked(protocol, kind, body)) if may or is_free else None
                errno = 0 if found is not None else EPERM
            except OSError as error:
                found, errno = None, error.errno or EINVAL
            for reply, content in found or ():
                yield _message(reply, sequence, content)
            if found is not None and flags & netlink.NLM_F_DUMP == netlink.NLM_F_DUMP:
                yield _message(netlink.NLMSG_DONE, sequence, pack("=i", 0))
            elif errno or flags & netlink.NLM_F_ACK:
                yield _message(netlink.NLMSG_ERROR, sequence, pack("=i16x", -errno))

    def socket_option(self, family: IPFamily, option: int, value: bytearray) -> None:
        """Fill what ``getsockopt`` of iptables-legacy asks for; asking makes a table."""
        if option == _GET_REVISION_MATCH:
            self._find_match(bytes(value[:-1]))
            return
        name = bytes(value[:_NAME]).rstrip(b"\0").decode()
        if name not in BUILT_IN:
            raise OSError(ENOENT, "no such table")
        tables = self.tables["legacy", family]
        tables.there.add(name)
        entries = list(_entries(name, tables.tables[name], family))
        size = sum(map(len, entries))
        if option == _GET_INFO:
            value[-8:] = pack("@II", len(entries), size)
        elif option == _GET_ENTRIES:
            head = len(pack(f"@{_NAME}sI0Q", b"", 0))
            if len(value) != head + size:
                raise OSError(EAGAIN, "the table has changed")
            value[head:] = b"".join(entries)
        else:
            raise OSError(EINVAL, "no such option")

    def _answer(self, protocol: int, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        if protocol == _ROUTE:
            yield from self.ipvs.route(kind, body)
        elif protocol == _GENERIC:
            yield from self.ipvs.generic(kind, body)
        elif protocol != _NETFILTER:
            raise OSError(EINVAL, "no such protocol")
        elif kind >> 8 == _IPSET:
            yield from self.ipvs.ask_sets(kind, body)
        elif kind >> 8 == _ACCT and "nfnetlink_acct" not in self.lacks:
            yield from self._counter(kind, body)
        elif kind == _COMPAT_GET and "nft_compat" not in self.lacks:
            self._find_match(attributes(body, NFGENMSG.size)[1])
            yield kind, body
        elif kind == _GETGEN:
            yield _NEWGEN, NFGENMSG.pack(0, 0, 0) + attribute(1, pack("!I", self.generation))
        elif kind == _GETTABLE:
            yield _NEWTABLE, self._table(body)
        elif kind == _GETCHAIN:
            yield _NEWCHAIN, self._chain(body)
        elif kind in (_GETSET, _GETSETELEM):
            yield from self._list(protocol, kind, body)
        elif kind == _CT_GET:
            for flow in self.flows:
                if FAMILIES[flow.family] == body[0]:
                    yield _CT_NEW, _entry(flow)
        elif kind == _CT_DELETE:
            self.flows.remove(self._find_flow(body))
        else:
            # So the kernel answers for a subsystem that it does not have and cannot load.
            raise OSError(EINVAL, "no such subsystem")

    def _list(self, protocol: int, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        """Answer a question of nf_tables for all that there is."""
        for told in fake_nft_wire.answer(self.nft.state, kind & 0xFF, body):
            yield kind - 1, told

    def _counter(self, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        """Make, tell of, or delete a counter (linux/netfilter/nfnetlink_acct.h)."""
        name = attributes(body, NFGENMSG.size)[1].rstrip(b"\0").decode()
        match kind & 0xFF:
            case 0:
                if name in self.counters:
                    raise OSError(EBUSY, "the counter is there")
                self.counters[name] = 0
            case 1 if name in self.counters:
                told = attribute(1, name.encode() + b"\0")
                yield kind, body[:4] + told + attribute(2, pack("!Q", self.counters[name]))
            case 3 if name in self.counters:
                if any(f" {name} " in each.save() for each in self.tables.values()):
                    raise OSError(EBUSY, "a rule counts in it")
                del self.counters[name]
            case _:
                raise OSError(ENOENT, "no such counter")

    def _find_match(self, name: bytes) -> None:
        """Raise OSError where no match of x_tables has a name."""
        if f"xt_{name.rstrip(bytes(1)).decode()}" in self.lacks:
            raise OSError(ENOENT, "no such match")

    def _table(self, body: bytes) -> bytes:
        """Return the head of a table of nf_tables. Raises OSError where there is none."""
        name = attributes(body, NFGENMSG.size)[1].rstrip(b"\0").decode()
        for family, number in _NFPROTO.items():
            if number == body[0] and self.nft.state.table(family, name) is not None:
                return _table_head(number, name)
        raise OSError(ENOENT, "no such table")

    def _chain(self, body: bytes) -> bytes:
        """Return how much a chain of nf_tables is used. Raises OSError where there is none."""
        asked = attributes(body, NFGENMSG.size)
        table, chain = (asked[kind].rstrip(b"\0").decode() for kind in (1, 3))
        [family] = [name for name, number in FAMILIES.items() if number == body[0]]
        tables = self.tables["nft", family]
        if table not in tables.there or chain not in tables.tables[table]:
            raise OSError(ENOENT, "no such chain")
        hook = nest(4, b"") if chain in BUILT_IN[table] else b""
        use = attribute(6, pack("!I", len(tables.tables[table][chain])))
        return NFGENMSG.pack(body[0], 0, 0) + hook + use

    def _find_flow(self, body: bytes) -> Flow:
        """Return the entry that a deletion names. Raises OSError where there is none."""
        for flow in self.flows:
            [(_, _, _, same)] = netlink.messages(wire.encode_deletions([flow]))
            if same == body:
                return flow
        raise OSError(ENOENT, "no such entry")


def _table_head(family: int, table: str) -> bytes:
    return NFGENMSG.pack(family, 0, 0) + attribute(1, table.encode() + b"\0")


def _message(kind: int, sequence: int, body: bytes) -> bytes:
    return netlink.message(kind, 0, sequence, body)


def _entry(flow: Flow) -> bytes:
    """Return the body of the message by which the kernel tells of an entry."""
    zones = {"both": (0, 0), "original": (flow.zone, 0), "reply": (0, flow.zone)}[flow.zone_of]
    parts = [
        nest(1, _ends(*flow[:4], zone=zones[0])),
        nest(2, _ends(*flow[4:8], zone=zones[1])),
    ]
    if flow.zone and flow.zone_of == "both":
        parts.append(attribute(18, pack("!H", flow.zone)))
    parts.append(attribute(12, pack("!I", flow.id)))
    return NFGENMSG.pack(FAMILIES[flow.family], 0, 0) + b"".join(parts)


def _ends(source: str, source_port: int, destination: str, port: int, *, zone: int) -> bytes:
    six = ":" in source
    domain, first = (socket.AF_INET6, 3) if six else (socket.AF_INET, 1)
    addresses = attribute(first, socket.inet_pton(domain, source))
    addresses += attribute(first + 1, socket.inet_pton(domain, destination))
    ports = attribute(1, bytes([socket.IPPROTO_UDP]))
    ports += attribute(2, pack("!H", source_port)) + attribute(3, pack("!H", port))
    told = nest(1, addresses) + nest(2, ports)
    return told + attribute(3, pack("!H", zone)) if zone else told


def _entries(table: str, chains: dict[str, list[str]], family: IPFamily) -> Iterator[bytes]:
    """Yield the entries of a table of x_tables: of each chain, its rules and an end, and a last."""
    for chain, rules in chains.items():
        if chain not in BUILT_IN[table]:
            yield _x_entry(f":{chain}", family)
        yield from (_x_entry(rule, family) for rule in rules)
        yield _x_entry("", family)
    yield _x_entry("ERROR", family)


def _x_entry(text: str, family: IPFamily) -> bytes:
    """Return an entry whose match and target are a text; the kernel has structures there."""
    head = f"@{_MATCH[family]}sIHHI0Q"
    content = text.encode("utf-8", "surrogateescape")
    content += bytes(-len(content) % 8)
    begin = len(pack(head, b"", 0, 0, 0, 0)) + 16
    return pack(head, b"", 0, begin, begin + len(content), 0) + bytes(16) + content
