"""What the kernel tells of tables of nf_tables over netlink, as values.

Of a rule only its place and its handle are read: a rule cannot be changed, nor can what is in a
set without a name that it has, so one that has the handle of a rule that was right is right. Names
of constants are those of Linux ``include/uapi/linux/netfilter/nf_tables.h``; numbers of types are
nft's own (``include/datatype.h`` of nftables).

Every reader raises ValueError for bytes that are no such message.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from struct import Struct, error
from types import MappingProxyType
from typing import NamedTuple, TypeAlias, TypeVar

from svcnet.netfilter.nft.families import NFTFamily
from svcnet.netfilter.nft.numbers import protocol
from svcnet.netfilter.nft.state import (
    ChainState,
    ElementState,
    HookState,
    OtherState,
    SetState,
)
from svcnet.netlink import attribute, attributes, each_attribute, nest

NFGENMSG = Struct("=BBH")
FAMILIES: MappingProxyType[NFTFamily, int] = MappingProxyType({"ip": 2, "ip6": 10})
GETTABLE, GETCHAIN, GETRULE, GETSET, GETSETELEM, GETOBJ, GETFLOWTABLE = 1, 4, 7, 10, 13, 19, 23

_U32, _S32, _U64 = Struct(">I"), Struct(">i"), Struct(">Q")
_TABLE = 1
"""Of every message the attribute with the table's name."""
_CHAIN_HANDLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE = 2, 3, 4, 5, 7
_RULE_CHAIN, _RULE_HANDLE = 2, 3
_SET_NAME, _SET_FLAGS, _SET_TYPE, _SET_VALUE, _SET_DESC, _SET_TIMEOUT = 2, 3, 4, 6, 9, 11
_SET_HANDLE = 16
_ELEMENTS_SET, _ELEMENTS = 2, 3
_KEY, _VALUE, _USERDATA = 1, 2, 6
_VERDICT = 2
"""Of data the attribute with a verdict; a value is in another one."""
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_ANONYMOUS = 1
_FLAGS = MappingProxyType({2: "constant", 4: "interval", 0x10: "timeout", 0x20: "dynamic"})
_DORMANT = 1
_VERDICTS = MappingProxyType({0: "drop", 1: "accept", -1: "continue", -5: "return"})
_LEADING = MappingProxyType({-3: "jump", -4: "goto"})
_TYPES = MappingProxyType({7: "ipv4_addr", 8: "ipv6_addr", 12: "inet_proto", 13: "inet_service"})
_TYPE_BITS = 6
_VERDICT_TYPE = 0xFFFFFF00
_OBJECTS = MappingProxyType(
    {1: "counter", 2: "quota", 3: "ct helper", 4: "limit", 7: "ct timeout", 8: "secmark"}
)
_NUMBERS = MappingProxyType({"tcp": 6, "udp": 17, "sctp": 132})

_Value = TypeVar("_Value")
_Part: TypeAlias = tuple[int, Callable[[bytes], str]]
"""How many bytes a part of a key takes, and what reads them."""


class RulePlace(NamedTuple):
    """Where a rule is, and which it is."""

    chain: str
    handle: int


def head(family: NFTFamily, table: str) -> bytes:
    """Return the beginning of a question about a table."""
    return NFGENMSG.pack(FAMILIES[family], 0, 0) + attribute(_TABLE, _text(table))


def of_chain(name: str) -> bytes:
    """Return what asks for the rules of a chain alone."""
    return attribute(_RULE_CHAIN, _text(name))


def the_chain(name: str) -> bytes:
    """Return what asks for a chain itself."""
    return attribute(_CHAIN_NAME, _text(name))


def of_set(name: str) -> bytes:
    """Return what asks for a set itself, or for its elements."""
    return attribute(_ELEMENTS_SET, _text(name))


def of_element(name: str, key: str, types: Sequence[str]) -> bytes:
    """Return what asks for one element by its key. Raises ValueError for what is no key."""
    element = nest(1, nest(_KEY, packed_key(key, types)))
    return of_set(name) + nest(_ELEMENTS, element)


def packed_key(key: str, types: Sequence[str]) -> bytes:
    """Return the attribute with a key. Raises ValueError for what is no key."""
    return attribute(1, b"".join(map(_pack, key.split(" . "), types)))


def is_of(body: bytes, table: str) -> bool:
    """Return whether a message is about a table; the kernel may tell of all of a family."""
    name = _text(table)
    return body.startswith(attribute(_TABLE, name), NFGENMSG.size) or (
        attributes(body, NFGENMSG.size).get(_TABLE) == name
    )


def _check_size(read: Callable[[dict[int, bytes]], _Value]) -> Callable[[bytes], _Value]:
    def decode_exactly(body: bytes) -> _Value:
        try:
            return read(attributes(body, NFGENMSG.size))
        except (LookupError, error, OSError) as problem:
            raise ValueError(f"no message of nf_tables: {problem!r}") from None

    return decode_exactly


@_check_size
def read_flags(told: dict[int, bytes]) -> frozenset[str]:
    """Return the flags of a table."""
    return frozenset(("dormant",) if _U32.unpack(told[2])[0] & _DORMANT else ())


@_check_size
def read_chain(told: dict[int, bytes]) -> ChainState:
    """Return a chain without its rules."""
    hook = None
    if _CHAIN_HOOK in told:
        where = attributes(told[_CHAIN_HOOK])
        hook = HookState(
            _name(told[_CHAIN_TYPE]),
            _HOOKS[_U32.unpack(where[1])[0]],
            _S32.unpack(where[2])[0],
            "accept" if _U32.unpack(told[_CHAIN_POLICY])[0] else "drop",
        )
    name, handle = _name(told[_CHAIN_NAME]), _U64.unpack(told[_CHAIN_HANDLE])[0]
    return ChainState(name, hook, handle=handle)


@_check_size
def read_rule(told: dict[int, bytes]) -> RulePlace:
    """Return where a rule is."""
    return RulePlace(_name(told[_RULE_CHAIN]), _U64.unpack(told[_RULE_HANDLE])[0])


@_check_size
def read_set(told: dict[int, bytes]) -> SetState | None:
    """Return a set or map without its elements, None for one without a name of its own."""
    flags = _U32.unpack(told[_SET_FLAGS])[0] if _SET_FLAGS in told else 0
    if flags & _ANONYMOUS:
        return None
    timeout = _U64.unpack(told[_SET_TIMEOUT])[0] if _SET_TIMEOUT in told else 0
    size = attributes(told.get(_SET_DESC, b"")).get(1)
    return SetState(
        _name(told[_SET_NAME]),
        _type(told[_SET_TYPE]),
        _value_type(told[_SET_VALUE]) if _SET_VALUE in told else "",
        frozenset(name for bit, name in _FLAGS.items() if flags & bit),
        timeout / 1000 if timeout % 1000 else timeout // 1000,
        0 if size is None else _U32.unpack(size)[0],
        handle=_U64.unpack(told[_SET_HANDLE])[0] if _SET_HANDLE in told else 0,
    )


@_check_size
def read_object(told: dict[int, bytes]) -> OtherState:
    """Return the kind and name of an object."""
    number = _U32.unpack(told[3])[0]
    return OtherState(_OBJECTS.get(number, f"object {number}"), _name(told[2]), "")


@_check_size
def read_flowtable(told: dict[int, bytes]) -> OtherState:
    """Return the name of a flowtable."""
    return OtherState("flowtable", _name(told[2]), "")


def read_elements(body: bytes, types: Sequence[str]) -> list[ElementState]:
    """Return the elements of a message, whose keys have parts of some types."""
    try:
        parts = [_READERS[each] for each in types]
        told = attributes(body, NFGENMSG.size).get(_ELEMENTS, b"")
        return [_element(attributes(each), parts) for _, each in each_attribute(told)]
    except (LookupError, error, OSError) as problem:
        raise ValueError(f"no elements of nf_tables: {problem!r}") from None


def _element(told: dict[int, bytes], parts: list[_Part]) -> ElementState:
    key, offset = attributes(told[_KEY])[1], 0
    words = []
    for size, read in parts:
        words.append(read(key[offset : offset + size]))
        offset += size + -size % 4
    value = _data(told[_VALUE]) if _VALUE in told else ""
    comment = _comment(told[_USERDATA]) if _USERDATA in told else ""
    return ElementState(" . ".join(words), value, comment)


def _data(value: bytes) -> str:
    """Return what an element of a map leads to; another value is no one's that is wanted."""
    [(kind, inner)] = each_attribute(value)
    if kind != _VERDICT:
        return f"value {inner.hex()}"
    told = attributes(inner)
    (code,) = _S32.unpack(told[1])
    if code in _LEADING:
        return f"{_LEADING[code]} {_name(told[2])}"
    return _VERDICTS[code]


def _comment(data: bytes) -> str:
    """Return the comment among what nft notes of an element: kinds, lengths and values."""
    offset = 0
    while offset + 2 <= len(data):
        kind, size = data[offset], data[offset + 1]
        if kind == 0:
            return _name(data[offset + 2 : offset + 2 + size])
        offset += 2 + size
    return ""


def _type(value: bytes) -> str:
    (number,) = _U32.unpack(value)
    names: list[str] = []
    while number:
        names.insert(0, _TYPES.get(number & (1 << _TYPE_BITS) - 1, "unknown"))
        number >>= _TYPE_BITS
    return " . ".join(names)


def _value_type(value: bytes) -> str:
    return "verdict" if _U32.unpack(value)[0] == _VERDICT_TYPE else _type(value)


def _address(family: socket.AddressFamily) -> Callable[[bytes], str]:
    return lambda value: socket.inet_ntop(family, value)


def _protocol(value: bytes) -> str:
    return protocol(str(value[0]))


def _port(value: bytes) -> str:
    return str(value[0] << 8 | value[1])


_READERS: MappingProxyType[str, _Part] = MappingProxyType(
    {
        "ipv4_addr": (4, _address(socket.AF_INET)),
        "ipv6_addr": (16, _address(socket.AF_INET6)),
        "inet_proto": (1, _protocol),
        "inet_service": (2, _port),
    }
)


def _pack(word: str, type_: str) -> bytes:
    """Return a part of a key as the kernel has it, with bytes up to four."""
    try:
        if type_ == "inet_proto":
            return bytes((_NUMBERS.get(word) or int(word), 0, 0, 0))
        if type_ == "inet_service":
            return int(word).to_bytes(2, "big") + bytes(2)
        family = socket.AF_INET6 if type_ == "ipv6_addr" else socket.AF_INET
        return socket.inet_pton(family, word)
    except (OSError, OverflowError) as problem:
        raise ValueError(f"{word!r} is no {type_}: {problem}") from None


def _text(name: str) -> bytes:
    return name.encode() + b"\0"


def _name(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "surrogateescape")
