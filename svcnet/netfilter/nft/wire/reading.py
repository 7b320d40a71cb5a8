"""What the kernel tells of tables of nf_tables over netlink, as values.

Of a rule only its place and its handle are read: a rule cannot be changed, nor can what is in a
set without a name that it has, so one that has the handle of a rule that was right is right. Names
of constants are those of Linux ``include/uapi/linux/netfilter/nf_tables.h``; numbers of types are
nft's own (``include/datatype.h`` of nftables).

Every reader raises ValueError for bytes that are no such message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from struct import Struct, error
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from svcnet.netfilter.nft.families import NFTFamily
from svcnet.netfilter.nft.state import (
    ChainState,
    ElementState,
    HookState,
    OtherState,
    SetState,
)
from svcnet.netfilter.nft.wire import uapi
from svcnet.netfilter.nft.wire.data import pack_text, read_comment, read_text, read_verdict
from svcnet.netfilter.nft.wire.parts import read_parts
from svcnet.netlink import ATTRIBUTE, NFGENMSG, attribute, attributes, each_attribute, nest

_U32, _S32, _U64 = Struct(">I"), Struct(">i"), Struct(">Q")
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_FLAGS = MappingProxyType(
    {
        uapi.NFT_SET_CONSTANT: "constant",
        uapi.NFT_SET_INTERVAL: "interval",
        uapi.NFT_SET_TIMEOUT: "timeout",
        uapi.NFT_SET_EVAL: "dynamic",
    }
)
_OBJECTS = MappingProxyType(
    {1: "counter", 2: "quota", 3: "ct helper", 4: "limit", 7: "ct timeout", 8: "secmark"}
)

_Value = TypeVar("_Value")


class RulePlace(NamedTuple):
    """Where a rule is, and which it is."""

    chain: str
    handle: int


def head(family: NFTFamily, table: str) -> bytes:
    """Return the beginning of a question about a table."""
    return NFGENMSG.pack(uapi.FAMILIES[family], 0, 0) + attribute(
        uapi.NFTA_TABLE_NAME, pack_text(table)
    )


def of_chain(name: str) -> bytes:
    """Return what asks for the rules of a chain alone."""
    return attribute(uapi.NFTA_RULE_CHAIN, pack_text(name))


def the_chain(name: str) -> bytes:
    """Return what asks for a chain itself."""
    return attribute(uapi.NFTA_CHAIN_NAME, pack_text(name))


def of_set(name: str) -> bytes:
    """Return what asks for a set itself, or for its elements."""
    return attribute(uapi.NFTA_SET_ELEM_LIST_SET, pack_text(name))


def of_elements(name: str, elements: bytes) -> bytes:
    """Return what asks for elements by their keys, as :class:`ElementForm` packs these."""
    return of_set(name) + nest(uapi.NFTA_SET_ELEM_LIST_ELEMENTS, elements)


def is_of(body: bytes, table: str) -> bool:
    """Return whether a message is about a table; the kernel may tell of all of a family."""
    name = pack_text(table)
    return body.startswith(attribute(uapi.NFTA_TABLE_NAME, name), NFGENMSG.size) or (
        attributes(body, NFGENMSG.size).get(uapi.NFTA_TABLE_NAME) == name
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
    return frozenset(
        ("dormant",)
        if _U32.unpack(told[uapi.NFTA_TABLE_FLAGS])[0] & uapi.NFT_TABLE_F_DORMANT
        else ()
    )


@_check_size
def read_chain(told: dict[int, bytes]) -> ChainState:
    """Return a chain without its rules."""
    hook = None
    if uapi.NFTA_CHAIN_HOOK in told:
        where = attributes(told[uapi.NFTA_CHAIN_HOOK])
        hook = HookState(
            read_text(told[uapi.NFTA_CHAIN_TYPE]),
            _HOOKS[_U32.unpack(where[uapi.NFTA_HOOK_HOOKNUM])[0]],
            _S32.unpack(where[uapi.NFTA_HOOK_PRIORITY])[0],
            "accept" if _U32.unpack(told[uapi.NFTA_CHAIN_POLICY])[0] else "drop",
        )
    name, handle = (
        read_text(told[uapi.NFTA_CHAIN_NAME]),
        _U64.unpack(told[uapi.NFTA_CHAIN_HANDLE])[0],
    )
    return ChainState(name, hook, handle=handle)


@_check_size
def read_rule(told: dict[int, bytes]) -> RulePlace:
    """Return where a rule is."""
    return RulePlace(
        read_text(told[uapi.NFTA_RULE_CHAIN]), _U64.unpack(told[uapi.NFTA_RULE_HANDLE])[0]
    )


@_check_size
def read_set(told: dict[int, bytes]) -> SetState | None:
    """Return a set or map without its elements, None for one without a name of its own."""
    flags = _U32.unpack(told[uapi.NFTA_SET_FLAGS])[0] if uapi.NFTA_SET_FLAGS in told else 0
    if flags & uapi.NFT_SET_ANONYMOUS:
        return None
    timeout = _U64.unpack(told[uapi.NFTA_SET_TIMEOUT])[0] if uapi.NFTA_SET_TIMEOUT in told else 0
    size = attributes(told.get(uapi.NFTA_SET_DESC, b"")).get(uapi.NFTA_SET_DESC_SIZE)
    return SetState(
        read_text(told[uapi.NFTA_SET_NAME]),
        _type(told[uapi.NFTA_SET_KEY_TYPE]),
        _value_type(told[uapi.NFTA_SET_DATA_TYPE]) if uapi.NFTA_SET_DATA_TYPE in told else "",
        frozenset(name for bit, name in _FLAGS.items() if flags & bit),
        timeout / 1000 if timeout % 1000 else timeout // 1000,
        0 if size is None else _U32.unpack(size)[0],
        handle=_U64.unpack(told[uapi.NFTA_SET_HANDLE])[0] if uapi.NFTA_SET_HANDLE in told else 0,
    )


@_check_size
def read_object(told: dict[int, bytes]) -> OtherState:
    """Return the kind and name of an object."""
    number = _U32.unpack(told[3])[0]
    return OtherState(_OBJECTS.get(number, f"object {number}"), read_text(told[2]), "")


@_check_size
def read_flowtable(told: dict[int, bytes]) -> OtherState:
    """Return the name of a flowtable."""
    return OtherState("flowtable", read_text(told[2]), "")


def read_count(body: bytes) -> int | None:
    """Return how many elements a set has, None where the kernel does not say."""
    told = attributes(body, NFGENMSG.size).get(uapi.NFTA_SET_COUNT)
    if told is not None and len(told) != _U32.size:
        raise ValueError(f"no number of elements: {told.hex()}")
    return None if told is None else int(_U32.unpack(told)[0])


def read_elements(
    body: bytes, types: Sequence[str], values: Sequence[str] = ()
) -> list[ElementState]:
    """Return the elements of a message, whose keys and values have parts of some types."""
    try:
        told = attributes(body, NFGENMSG.size).get(uapi.NFTA_SET_ELEM_LIST_ELEMENTS, b"")
        return [_element(attributes(each), types, values) for _, each in each_attribute(told)]
    except (LookupError, error, OSError) as problem:
        raise ValueError(f"no elements of nf_tables: {problem!r}") from None


def each_element(
    body: bytes, types: Sequence[str], values: Sequence[str] = ()
) -> Iterator[tuple[ElementState, int]]:
    """Yield the elements of a message, each with where it ends, from the first one's begin on."""
    end = 0
    told = attributes(body, NFGENMSG.size).get(uapi.NFTA_SET_ELEM_LIST_ELEMENTS, b"")
    for found, (_, packed) in zip(
        read_elements(body, types, values), each_attribute(told), strict=True
    ):
        end += ATTRIBUTE.size + len(packed) + -len(packed) % 4
        yield found, end


@_check_size
def read_container(told: dict[int, bytes]) -> str:
    """Return the name of the set or map of whose elements a message is."""
    return read_text(told[uapi.NFTA_SET_ELEM_LIST_SET])


def _element(told: dict[int, bytes], types: Sequence[str], values: Sequence[str]) -> ElementState:
    key = read_parts(attributes(told[uapi.NFTA_SET_ELEM_KEY])[uapi.NFTA_DATA_VALUE], types)
    data, noted = told.get(uapi.NFTA_SET_ELEM_DATA), told.get(uapi.NFTA_SET_ELEM_USERDATA)
    value = "" if data is None else _data(data, values)
    return ElementState(key, value, "" if noted is None else read_comment(noted))


def _data(value: bytes, types: Sequence[str]) -> str:
    """Return what an element of a map leads to; a value of types that are not said is a number."""
    [(kind, inner)] = each_attribute(value)
    if kind == uapi.NFTA_DATA_VERDICT:
        return read_verdict(inner)
    return read_parts(inner, types) if types else f"0x{inner.hex()}"


def _type(value: bytes) -> str:
    (number,) = _U32.unpack(value)
    names: list[str] = []
    while number:
        names.insert(0, uapi.TYPES.get(number & (1 << uapi.TYPE_BITS) - 1, "unknown"))
        number >>= uapi.TYPE_BITS
    return " . ".join(names)


def _value_type(value: bytes) -> str:
    return "verdict" if _U32.unpack(value)[0] == uapi.NFT_DATA_VERDICT else _type(value)
