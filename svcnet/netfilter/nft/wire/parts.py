"""Parts of keys and of values, as the kernel has them and as words.

Each takes a multiple of four bytes. Addresses, protocols and ports are in the order of the network,
and what ``numgen`` makes is in that of the host. Bytes up to four must be zero: the kernel takes
others, and finds such a key never (``nft_hash_key`` compares all of it).
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache, partial
from struct import Struct
from types import MappingProxyType
from typing import NamedTuple, Protocol

from svcnet.netfilter.nft.numbers import protocol
from svcnet.netfilter.nft.wire import uapi
from svcnet.words import count_noun

_HOST = Struct("=I")
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "ip daddr": "ipv4_addr",
        "ip saddr": "ipv4_addr",
        "ip6 daddr": "ipv6_addr",
        "ip6 saddr": "ipv6_addr",
        "meta l4proto": "inet_proto",
    }
)
"""Types of the fields that ``typeof`` names, but for those of :func:`_field_type`."""
_ADDRESSES = ("ipv4_addr", "ipv6_addr")
_NUMBER_OF_TYPE = MappingProxyType({name: number for number, name in uapi.TYPES.items()})
_NUMBERS = MappingProxyType({"tcp": 6, "udp": 17, "sctp": 132})


_ENDPOINTS: Mapping[tuple[str, ...], int] = MappingProxyType(
    {
        ("ipv4_addr", "inet_service"): int(socket.AF_INET),
        ("ipv6_addr", "inet_service"): int(socket.AF_INET6),
    }
)
"""Types of values that are an address and a port, and what addresses these are."""


class KeyPart(NamedTuple):
    """How many bytes a part takes, and what makes and reads them."""

    size: int
    pack: Callable[[str], bytes]
    read: Callable[[bytes], str]


class WireEndpoint(Protocol):
    """An address, and a port from 0 to 65535."""

    @property
    def address(self) -> str: ...
    @property
    def port(self) -> int: ...


def types_on_wire(type_: str) -> tuple[str, ...]:
    """Return the types of the parts of a key or value; fields that ``typeof`` names have one too.

    A map of verdicts has the one value type ``verdict``, and a set, whose value is empty, none.
    """
    return tuple(map(_field_type, type_.removeprefix("typeof ").split(" . "))) if type_ else ()


def type_number(types: Iterable[str]) -> int:
    """Return nft's number of the type of a key or value: those of its parts, in one.

    Raises ValueError for a type that has none.
    """
    found = 0
    for kind in types:
        if kind not in _NUMBER_OF_TYPE:
            raise ValueError(f"no type of keys: {kind}")
        found = found << uapi.TYPE_BITS | _NUMBER_OF_TYPE[kind]
    return found


def _field_type(field: str) -> str:
    if field.endswith((" dport", " sport")):
        return "inet_service"
    return "integer" if field.startswith("numgen ") else _FIELDS.get(field, field)


def pack_parts(text: str, types: Sequence[str]) -> bytes:
    """Return the bytes of a key or value, each part filled up to four.

    Raises ValueError for what is none of these types.
    """
    words = text.split(" . ")
    if len(words) != len(types):
        raise ValueError(f"{text!r} has not {count_noun(len(types), 'part')}")
    try:
        packers = _packers(tuple(types))
        return b"".join([pack(word) for pack, word in zip(packers, words, strict=True)])
    except (KeyError, OSError, OverflowError) as problem:
        raise ValueError(f"{text!r} is no {' . '.join(types)}: {problem}") from None


@cache
def packer(types: tuple[str, ...]) -> Callable[[str], bytes]:
    """Return what packs keys or values of some types as :func:`pack_parts` does, only faster.

    It remembers what stands behind addresses, such as ``tcp . 80``, of which there are few.
    """
    if len(types) < 2 or types[0] not in _ADDRESSES:
        return partial(pack_parts, types=types)
    address, rest = _PARTS[types[0]].pack, packer(types[1:])
    if types[1] not in _ADDRESSES:
        rest = lru_cache(1 << 12)(rest)

    def pack(text: str) -> bytes:
        first, _, others = text.partition(" . ")
        try:
            return address(first) + rest(others)
        except (OSError, ValueError):
            return pack_parts(text, types)

    return pack


@cache
def _packers(types: tuple[str, ...]) -> tuple[Callable[[str], bytes], ...]:
    return tuple([_PARTS[kind].pack for kind in types])


def pack_endpoints(endpoints: Iterable[WireEndpoint], types: Sequence[str]) -> list[bytes]:
    """Return endpoints as values of a map: what :func:`pack_parts` does, in a fifth of the time.

    Raises ValueError.
    """
    domain = _ENDPOINTS.get(tuple(types))
    if domain is None:
        raise ValueError(f"no values that are an address and a port: {' . '.join(types)}")
    pack, ports = socket.inet_pton, _Ports()
    try:
        return [pack(domain, each.address) + ports[each.port] for each in endpoints]
    except (OSError, OverflowError) as problem:
        raise ValueError(f"not all are addresses and ports: {problem}") from None


class _Ports(dict[int, bytes]):
    """Ports as the kernel has them: all endpoints of a Service have the same ones."""

    def __missing__(self, port: int) -> bytes:
        found = self[port] = port.to_bytes(2, "big") + b"\0\0"
        return found


def read_parts(data: bytes, types: Sequence[str]) -> str:
    """Return the words of a key or value.

    One with bytes that belong to no part is told as a number: no key that is wanted is that.
    Raises ValueError for what is too short or too long, KeyError for a type that is not known.
    """
    words, offset, is_plain = [], 0, True
    for kind in types:
        part = _PARTS[kind]
        end = offset + part.size
        words.append(part.read(data[offset:end]))
        offset = end + -end % 4
        is_plain = is_plain and not any(data[end:offset])
    if len(data) not in (offset, end):
        raise ValueError(f"{count_noun(len(data), 'byte is', 'bytes are')} no {' . '.join(types)}")
    return " . ".join(words) if is_plain else f"0x{data.hex()}"


def size_of(types: Sequence[str]) -> int:
    """Return how many bytes parts take. Raises ValueError for a type that is not known."""
    try:
        return sum(_PARTS[kind].size + -_PARTS[kind].size % 4 for kind in types)
    except KeyError as problem:
        raise ValueError(f"no type of keys: {problem}") from None


def pack_index(word: str) -> bytes:
    """Return a number of ``numgen`` as the kernel has it."""
    return _number(word).to_bytes(4, sys.byteorder)


def _number(word: str) -> int:
    """Return a number of a key. Python's own would take signs, blanks and digits of any script."""
    if not (word.isascii() and word.isdecimal()):
        raise ValueError(f"{word!r} is no number")
    return int(word)


@lru_cache(1 << 12)
def _pack_port(word: str) -> bytes:
    return _number(word).to_bytes(2, "big") + b"\0\0"


@lru_cache(1 << 8)
def _pack_protocol(word: str) -> bytes:
    return bytes((_NUMBERS.get(word) or _number(word), 0, 0, 0))


def _read_protocol(value: bytes) -> str:
    (number,) = value
    return protocol(str(number))


def _read_port(value: bytes) -> str:
    high, low = value
    return str(high << 8 | low)


def _read_index(value: bytes) -> str:
    return str(_HOST.unpack(value)[0])


def _address(family: int, size: int) -> KeyPart:
    # As a plain number: a member of an enumeration takes longer than the address itself.
    return KeyPart(
        size,
        partial(socket.inet_pton, family),
        lambda value: socket.inet_ntop(family, value),
    )


_PARTS: Mapping[str, KeyPart] = MappingProxyType(
    {
        "ipv4_addr": _address(int(socket.AF_INET), 4),
        "ipv6_addr": _address(int(socket.AF_INET6), 16),
        "inet_proto": KeyPart(1, _pack_protocol, _read_protocol),
        "inet_service": KeyPart(2, _pack_port, _read_port),
        "integer": KeyPart(4, pack_index, _read_index),
    }
)
