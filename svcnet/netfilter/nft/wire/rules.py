"""Rules as the kernel has them: the few kinds that chains shared by Services take.

Each is a list of expressions, the very ones that nft 1.0.6 makes of the text. A text of another
kind is a ValueError: nft has all the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from struct import Struct
from types import MappingProxyType
from typing import TypeAlias

from svcnet.netfilter.nft.families import FAMILIES
from svcnet.netfilter.nft.objects import NFTRule
from svcnet.netfilter.nft.wire import uapi
from svcnet.netfilter.nft.wire.data import pack_comment, pack_text, pack_verdict
from svcnet.netlink import attribute, nest

_U32, _HOST = Struct(">I"), Struct("=I")
_PROTOCOLS = MappingProxyType({"tcp": 6, "udp": 17, "sctp": 132})
_GENERATORS = MappingProxyType({"random": uapi.NFT_NG_RANDOM, "inc": uapi.NFT_NG_INCREMENTAL})
_ADDRESS = MappingProxyType({"ip": 4, "ip6": 16})
"""How many bytes an address has; where those of the header begin follows."""
_SADDR = MappingProxyType({"ip": 12, "ip6": 8})
_DADDR = MappingProxyType({"ip": 16, "ip6": 24})
_DPORT = (2, 2)
"""Where a destination port begins, and how many bytes it has."""

_DNAT = re.compile(
    r"dnat (?P<ip>ip6?) to (?:(?P<daddr>ip6?) daddr \. )?(?P<protocol>tcp|udp|sctp) dport \. "
    r"numgen (?P<generator>random|inc) mod (?P<modulus>\d{1,10}) map @(?P<map>\S+)",
    re.ASCII,
)
_MARK = re.compile(r"mark set mark or 0x(?P<mark>[0-9a-f]{1,8})")
_GOTO = re.compile(r"goto (?P<chain>\S+)")
_SOURCE = re.compile(r"(?P<ip>ip6?) saddr (?P<cidr>[0-9a-f.:]+/\d{1,3}) ", re.ASCII)
_INTERFACE = re.compile(r'iifname (?:"(?P<quoted>[^"]+)"|(?P<plain>[^\s"]+)) ')
_LOCAL = re.compile(r"fib saddr type local ")


def rule_attributes(rule: NFTRule) -> bytes:
    """Return the attributes of a rule at the end of its chain.

    Raises ValueError for one that has no form here.
    """
    chain, text, comment = rule
    found = attribute(uapi.NFTA_RULE_CHAIN, pack_text(chain))
    found += nest(uapi.NFTA_RULE_EXPRESSIONS, b"".join(_expressions(text)))
    if comment:
        found += attribute(uapi.NFTA_RULE_USERDATA, pack_comment(comment))
    return found


def _expressions(text: str) -> Iterator[bytes]:
    """Yield the expressions of a rule: of what it matches, and then of what it does."""
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


def _source(found: re.Match[str]) -> Iterator[bytes]:
    """Whole bytes of an address are loaded alone, others are masked."""
    net = ip_network(found["cidr"])
    if net.version != (6 if found["ip"] == "ip6" else 4) or not net.prefixlen:
        raise ValueError(f"no network that a rule of {found['ip']} compares: {net}")
    whole, odd = divmod(net.prefixlen, 8)
    size = net.max_prefixlen // 8 if odd else whole
    yield _payload(0, uapi.NFT_PAYLOAD_NETWORK_HEADER, _SADDR[found["ip"]], size)
    if odd:
        yield _bitwise(net.netmask.packed, bytes(size))
    yield _equals(net.network_address.packed[:size])


def _interface(found: re.Match[str]) -> Iterator[bytes]:
    """Of an interface all 16 bytes are compared; of the start of a name only these."""
    name = (found["quoted"] or found["plain"]).encode()
    is_start = name.endswith(b"*")
    if not 0 < len(name) - is_start < uapi.IFNAMSIZ or b"\\" in name:
        raise ValueError(f"no interface that a rule compares: {found[0]}")
    yield _load_meta(uapi.NFT_META_IIFNAME)
    yield _equals(name[:-1] if is_start else name.ljust(uapi.IFNAMSIZ, b"\0"))


def _local(_: re.Match[str]) -> Iterator[bytes]:
    yield _expression(
        "fib",
        _number(uapi.NFTA_FIB_FLAGS, uapi.NFTA_FIB_F_SADDR),
        _number(uapi.NFTA_FIB_RESULT, uapi.NFT_FIB_RESULT_ADDRTYPE),
        _number(uapi.NFTA_FIB_DREG, _register(0)),
    )
    yield _equals(_HOST.pack(uapi.RTN_LOCAL))


def _mark(found: re.Match[str]) -> Iterator[bytes]:
    """Or is and with all other bits, and then xor; the mark is in the order of the host."""
    bits = int(found["mark"], 16)
    is_boolean = _number(uapi.NFTA_BITWISE_OP, uapi.NFT_BITWISE_BOOL)
    yield _load_meta(uapi.NFT_META_MARK)
    yield _bitwise(_HOST.pack(bits ^ 0xFFFFFFFF), _HOST.pack(bits), is_boolean)
    yield _expression(
        "meta",
        _number(uapi.NFTA_META_KEY, uapi.NFT_META_MARK),
        _number(uapi.NFTA_META_SREG, _register(0)),
    )


def _goto(found: re.Match[str]) -> Iterator[bytes]:
    yield _expression(
        "immediate",
        _number(uapi.NFTA_IMMEDIATE_DREG, uapi.NFT_REG_VERDICT),
        nest(uapi.NFTA_IMMEDIATE_DATA, pack_verdict(found[0])),
    )


def _dnat(found: re.Match[str]) -> Iterator[bytes]:
    """The parts of the key lie one behind the other in registers, and so does what is found."""
    ip = found["ip"]
    modulus = int(found["modulus"])
    if found["daddr"] not in (None, ip) or not 0 < modulus < 1 << 32:
        raise ValueError(f"no translation that the kernel takes: {found[0]}")
    yield _load_meta(uapi.NFT_META_L4PROTO)
    yield _equals(bytes((_PROTOCOLS[found["protocol"]],)))
    end, size = 0, _ADDRESS[ip]
    if found["daddr"]:
        yield _payload(0, uapi.NFT_PAYLOAD_NETWORK_HEADER, _DADDR[ip], size)
        end = size
    yield _payload(end, uapi.NFT_PAYLOAD_TRANSPORT_HEADER, *_DPORT)
    yield _expression(
        "numgen",
        _number(uapi.NFTA_NG_DREG, _register(end + 4)),
        _number(uapi.NFTA_NG_MODULUS, modulus),
        _number(uapi.NFTA_NG_TYPE, _GENERATORS[found["generator"]]),
        _number(uapi.NFTA_NG_OFFSET, 0),
    )
    yield _expression(
        "lookup",
        _number(uapi.NFTA_LOOKUP_SREG, _register(0)),
        _number(uapi.NFTA_LOOKUP_DREG, _register(0)),
        attribute(uapi.NFTA_LOOKUP_SET, pack_text(found["map"])),
    )
    yield _expression(
        "nat",
        _number(uapi.NFTA_NAT_TYPE, uapi.NFT_NAT_DNAT),
        _number(uapi.NFTA_NAT_FAMILY, uapi.FAMILIES[FAMILIES[ip]]),
        _number(uapi.NFTA_NAT_REG_ADDR_MIN, _register(0)),
        _number(uapi.NFTA_NAT_REG_PROTO_MIN, _register(size)),
    )


def _expression(name: str, *attributes: bytes) -> bytes:
    told = attribute(uapi.NFTA_EXPR_NAME, pack_text(name))
    told += nest(uapi.NFTA_EXPR_DATA, b"".join(attributes))
    return nest(uapi.NFTA_LIST_ELEM, told)


def _number(kind: int, number: int) -> bytes:
    return attribute(kind, _U32.pack(number))


def _register(offset: int) -> int:
    """Return the number of the register that begins so many bytes behind the verdict's.

    Those that begin 16 bytes apart have numbers of old, of when there were no others.
    """
    if offset % 16:
        return uapi.NFT_REG32_00 + offset // 4
    return uapi.NFT_REG_1 + offset // 16


def _payload(register: int, base: int, offset: int, size: int) -> bytes:
    return _expression(
        "payload",
        _number(uapi.NFTA_PAYLOAD_DREG, _register(register)),
        _number(uapi.NFTA_PAYLOAD_BASE, base),
        _number(uapi.NFTA_PAYLOAD_OFFSET, offset),
        _number(uapi.NFTA_PAYLOAD_LEN, size),
    )


def _load_meta(key: int) -> bytes:
    return _expression(
        "meta",
        _number(uapi.NFTA_META_KEY, key),
        _number(uapi.NFTA_META_DREG, _register(0)),
    )


def _equals(value: bytes) -> bytes:
    return _expression(
        "cmp",
        _number(uapi.NFTA_CMP_SREG, _register(0)),
        _number(uapi.NFTA_CMP_OP, uapi.NFT_CMP_EQ),
        nest(uapi.NFTA_CMP_DATA, attribute(uapi.NFTA_DATA_VALUE, value)),
    )


def _bitwise(mask: bytes, xor: bytes, operation: bytes = b"") -> bytes:
    """Return what masks a value; nft says which operation it is for marks alone."""
    return _expression(
        "bitwise",
        _number(uapi.NFTA_BITWISE_SREG, _register(0)),
        _number(uapi.NFTA_BITWISE_DREG, _register(0)),
        operation,
        _number(uapi.NFTA_BITWISE_LEN, len(mask)),
        nest(uapi.NFTA_BITWISE_MASK, attribute(uapi.NFTA_DATA_VALUE, mask)),
        nest(uapi.NFTA_BITWISE_XOR, attribute(uapi.NFTA_DATA_VALUE, xor)),
    )


_Make: TypeAlias = Callable[[re.Match[str]], Iterator[bytes]]
_MATCHES: tuple[tuple[re.Pattern[str], _Make], ...] = (
    (_SOURCE, _source),
    (_INTERFACE, _interface),
    (_LOCAL, _local),
)
_STATEMENTS: tuple[tuple[re.Pattern[str], _Make], ...] = (
    (_DNAT, _dnat),
    (_MARK, _mark),
    (_GOTO, _goto),
)
