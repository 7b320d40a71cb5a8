"""Rules as the kernel has them: those of chains of service ports, and of chains that these share.

Each is a list of expressions, the very ones that nft 1.0.6 makes of the text. Here a text becomes
that: some matches, and then one statement, each of a kind in a table at the end of this file. A
text of another kind is a ValueError: nft has all the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from struct import Struct
from types import MappingProxyType
from typing import TypeAlias

from attrs import field, frozen

from svcnet.netfilter.nft.families import FAMILIES
from svcnet.netfilter.nft.objects import NFTRule
from svcnet.netfilter.nft.wire import expressions, uapi
from svcnet.netfilter.nft.wire.data import pack_comment, pack_text
from svcnet.netfilter.nft.wire.elements import ElementForm
from svcnet.netfilter.nft.wire.sets import AnonymousSet, anonymous_map, source_set
from svcnet.netlink import attribute, nest

_HOST = Struct("=I")
_PROTOCOLS = MappingProxyType({"tcp": 6, "udp": 17, "sctp": 132})
_GENERATORS = MappingProxyType({"random": uapi.NFT_NG_RANDOM, "inc": uapi.NFT_NG_INCREMENTAL})
_ADDRESS = MappingProxyType({"ip": 4, "ip6": 16})
"""How many bytes an address has; where those of the header begin follows."""
_SADDR = MappingProxyType({"ip": 12, "ip6": 8})
_DADDR = MappingProxyType({"ip": 16, "ip6": 24})
_DPORT = (2, 2)
"""Where a destination port begins, and how many bytes it has."""
_CONSTANT_PORT = 16
"""Where a port lies that is always the same: behind any address."""

_SOURCE = re.compile(r"(?P<ip>ip6?) saddr (?P<cidr>[0-9a-f.:]+/\d{1,3}) ", re.ASCII)
_OTHER_SOURCE = re.compile(r"(?P<ip>ip6?) saddr != \{ (?P<sources>[0-9a-f.:/, ]+) \} ", re.ASCII)
_CLIENT = re.compile(r"(?P<ip>ip6?) saddr @(?P<set>\S+) ")
_INTERFACE = re.compile(r'iifname (?:"(?P<quoted>[^"]+)"|(?P<plain>[^\s"]+)) ')
_LOCAL = re.compile(r"fib saddr type local ")
_PROTOCOL = re.compile(r"meta l4proto (?P<protocol>tcp|udp|sctp) ")

_DNAT = re.compile(
    r"dnat (?P<ip>ip6?) to (?:(?P<daddr>ip6?) daddr \. )?(?P<protocol>tcp|udp|sctp) dport \. "
    r"numgen (?P<generator>random|inc) mod (?P<modulus>\d{1,10}) map @(?P<map>\S+)",
    re.ASCII,
)
_DNAT_TO_ANY = re.compile(
    r"dnat (?P<ip>ip6?) addr \. port to numgen random mod (?P<modulus>\d{1,10}) "
    r"map \{ (?P<elements>[^{}]+) \}",
    re.ASCII,
)
_DNAT_TO_ONE = re.compile(
    r"dnat to (?:\[(?P<six>[0-9a-f.:]+)\]|(?P<four>[0-9.]+)):(?P<port>\d{1,5})", re.ASCII
)
_GO_TO_ANY = re.compile(
    r"numgen random mod (?P<modulus>\d{1,10}) vmap \{ (?P<elements>[^{}]+) \}", re.ASCII
)
_UPDATE = re.compile(r"update @(?P<set>\S+) \{ (?P<ip>ip6?) saddr \}")
_MARK = re.compile(r"mark set mark or 0x(?P<mark>[0-9a-f]{1,8})")
_VERDICT = re.compile(r"goto \S+|drop")


@frozen
class OwnLookup:
    """What looks into a set that the rule brings with it; see :func:`expressions.lookup`."""

    made: AnonymousSet = field(repr=False)
    to: int | None = None
    is_other: bool = False

    def expression(self, set_id: int) -> bytes:
        """Return the expression, given the set's id among those of a batch."""
        container = expressions.container_name(self.made.name, set_id)
        return expressions.lookup(container, to=self.to, is_other=self.is_other)


Part: TypeAlias = bytes | OwnLookup
"""An expression of a rule."""


def rule_parts(text: str) -> tuple[Part, ...]:
    """Return the expressions of a rule: of what it matches, and then of what it does.

    Not more than one of them is a look into a set of its own. Raises ValueError for a rule that has
    no form here.
    """
    parts = tuple(_parts(text))
    if sum(isinstance(each, OwnLookup) for each in parts) > 1:
        raise ValueError(f"a rule with several sets of its own: {text}")
    return parts


def rule_attributes(rule: NFTRule, parts: tuple[Part, ...], set_id: int) -> bytes:
    """Return the attributes of a rule at the end of its chain, given the parts of its text.

    The set that it brings with it has an id.
    """
    chain, _, comment = rule
    packed = [each.expression(set_id) if isinstance(each, OwnLookup) else each for each in parts]
    found = attribute(uapi.NFTA_RULE_CHAIN, pack_text(chain))
    found += nest(uapi.NFTA_RULE_EXPRESSIONS, b"".join(packed))
    if comment:
        found += attribute(uapi.NFTA_RULE_USERDATA, pack_comment(comment))
    return found


def _parts(text: str) -> Iterator[Part]:
    offset, is_match = 0, True
    while is_match:
        is_match = False
        for pattern, make in _MATCHES:
            if found := pattern.match(text, offset):
                yield from make(found)
                offset, is_match = found.end(), True
    for pattern, make in _STATEMENTS:
        if found := pattern.fullmatch(text, offset):
            yield from make(found)
            return
    raise ValueError(f"a rule without a form on the wire: {text}")


def _source(found: re.Match[str]) -> Iterator[Part]:
    yield from _compare_source(found["ip"], found["cidr"])


def _other_source(found: re.Match[str]) -> Iterator[Part]:
    """A set of one is no set."""
    ip, sources = found["ip"], found["sources"].split(" , ")
    if len(sources) == 1:
        yield from _compare_source(ip, sources[0], is_other=True)
        return
    yield _source_address(ip, _ADDRESS[ip])
    yield OwnLookup(source_set(ip, sources), is_other=True)


def _compare_source(ip: str, cidr: str, *, is_other: bool = False) -> Iterator[Part]:
    """Whole bytes of an address are loaded alone, others are masked."""
    net = ip_network(cidr)
    if net.version != (6 if ip == "ip6" else 4) or not net.prefixlen:
        raise ValueError(f"no network that a rule of {ip} compares: {net}")
    whole, odd = divmod(net.prefixlen, 8)
    size = net.max_prefixlen // 8 if odd else whole
    yield _source_address(ip, size)
    if odd:
        yield expressions.bitwise(net.netmask.packed, bytes(size))
    yield expressions.compare(net.network_address.packed[:size], is_other=is_other)


def _source_address(ip: str, size: int) -> bytes:
    return expressions.payload(uapi.NFT_PAYLOAD_NETWORK_HEADER, _SADDR[ip], size)


def _client(found: re.Match[str]) -> Iterator[Part]:
    yield _source_address(found["ip"], _ADDRESS[found["ip"]])
    yield expressions.lookup(expressions.container_name(found["set"]))


def _interface(found: re.Match[str]) -> Iterator[Part]:
    """Of an interface all 16 bytes are compared; of the start of a name only these."""
    name = (found["quoted"] or found["plain"]).encode()
    is_start = name.endswith(b"*")
    if not 0 < len(name) - is_start < uapi.IFNAMSIZ or b"\\" in name:
        raise ValueError(f"no interface that a rule compares: {found[0]}")
    yield expressions.meta(uapi.NFT_META_IIFNAME)
    yield expressions.compare(name[:-1] if is_start else name.ljust(uapi.IFNAMSIZ, b"\0"))


def _local(_: re.Match[str]) -> Iterator[Part]:
    yield expressions.fib(uapi.NFTA_FIB_F_SADDR, uapi.NFT_FIB_RESULT_ADDRTYPE)
    yield expressions.compare(_HOST.pack(uapi.RTN_LOCAL))


def _protocol(found: re.Match[str]) -> Iterator[Part]:
    yield expressions.meta(uapi.NFT_META_L4PROTO)
    yield expressions.compare(bytes((_PROTOCOLS[found["protocol"]],)))


def _mark(found: re.Match[str]) -> Iterator[Part]:
    """Or is and with all other bits, and then xor; the mark is in the order of the host."""
    bits = int(found["mark"], 16)
    is_boolean = expressions.number(uapi.NFTA_BITWISE_OP, uapi.NFT_BITWISE_BOOL)
    yield expressions.meta(uapi.NFT_META_MARK)
    yield expressions.bitwise(_HOST.pack(bits ^ 0xFFFFFFFF), _HOST.pack(bits), is_boolean)
    yield expressions.set_meta(uapi.NFT_META_MARK)


def _verdict(found: re.Match[str]) -> Iterator[Part]:
    yield expressions.verdict(found[0])


def _update(found: re.Match[str]) -> Iterator[Part]:
    yield _source_address(found["ip"], _ADDRESS[found["ip"]])
    yield expressions.update(found["set"])


def _dnat(found: re.Match[str]) -> Iterator[Part]:
    """The parts of the key lie one behind the other in registers, and so does what is found."""
    ip = found["ip"]
    if found["daddr"] not in (None, ip):
        raise ValueError(f"no translation that the kernel takes: {found[0]}")
    yield from _protocol(found)
    end, size = 0, _ADDRESS[ip]
    if found["daddr"]:
        yield expressions.payload(uapi.NFT_PAYLOAD_NETWORK_HEADER, _DADDR[ip], size)
        end = size
    yield expressions.payload(uapi.NFT_PAYLOAD_TRANSPORT_HEADER, *_DPORT, register=end)
    yield _numgen(found, found["generator"], end + 4)
    yield expressions.lookup(expressions.container_name(found["map"]), to=uapi.NFT_REG_1)
    yield expressions.dnat(uapi.FAMILIES[FAMILIES[ip]], size)


def _dnat_to_any(found: re.Match[str]) -> Iterator[Part]:
    ip = found["ip"]
    form = ElementForm(("integer",), ("ipv6_addr" if ip == "ip6" else "ipv4_addr", "inet_service"))
    yield _numgen(found)
    yield OwnLookup(anonymous_map(form, found["elements"]), to=uapi.NFT_REG_1)
    yield expressions.dnat(uapi.FAMILIES[FAMILIES[ip]], _ADDRESS[ip])


def _dnat_to_one(found: re.Match[str]) -> Iterator[Part]:
    address, port = ip_address(found["six"] or found["four"]), int(found["port"])
    ip = "ip6" if address.version == 6 else "ip"
    if port >= 1 << 16 or bool(found["six"]) != (ip == "ip6"):
        raise ValueError(f"no translation that the kernel takes: {found[0]}")
    yield expressions.immediate(address.packed)
    yield expressions.immediate(port.to_bytes(2, "big"), _CONSTANT_PORT)
    yield expressions.dnat(uapi.FAMILIES[FAMILIES[ip]], _CONSTANT_PORT, is_constant=True)


def _go_to_any(found: re.Match[str]) -> Iterator[Part]:
    form = ElementForm(("integer",), ("verdict",))
    yield _numgen(found)
    yield OwnLookup(anonymous_map(form, found["elements"]), to=uapi.NFT_REG_VERDICT)


def _numgen(found: re.Match[str], generator: str = "random", register: int = 0) -> bytes:
    modulus = int(found["modulus"])
    if not 0 < modulus < 1 << 32:
        raise ValueError(f"no modulus that the kernel takes: {found[0]}")
    return expressions.numgen(_GENERATORS[generator], modulus, register)


_Make: TypeAlias = Callable[[re.Match[str]], Iterator[Part]]
_MATCHES: tuple[tuple[re.Pattern[str], _Make], ...] = (
    (_PROTOCOL, _protocol),
    (_CLIENT, _client),
    (_SOURCE, _source),
    (_OTHER_SOURCE, _other_source),
    (_INTERFACE, _interface),
    (_LOCAL, _local),
)
_STATEMENTS: tuple[tuple[re.Pattern[str], _Make], ...] = (
    (_DNAT, _dnat),
    (_DNAT_TO_ANY, _dnat_to_any),
    (_DNAT_TO_ONE, _dnat_to_one),
    (_GO_TO_ANY, _go_to_any),
    (_UPDATE, _update),
    (_MARK, _mark),
    (_VERDICT, _verdict),
)
