"""What nf_tables without a kernel tells over netlink of the tables that it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from errno import EINVAL, ENOENT
from struct import pack
from types import MappingProxyType
from typing import TypeVar

from svcnet.netfilter.nft import (
    ChainState,
    ElementState,
    NFTState,
    SetState,
    TableState,
    types_of,
    wire,
)
from svcnet.netlink import attribute, attributes, nest

_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_FLAGS = MappingProxyType({"constant": 2, "interval": 4, "timeout": 0x10, "dynamic": 0x20})
_TYPES = MappingProxyType(
    {"ipv4_addr": 7, "ipv6_addr": 8, "inet_proto": 12, "inet_service": 13, "verdict": 0xFFFFFF00}
)
_CODES = MappingProxyType({"drop": 0, "accept": 1, "return": -5, "jump": -3, "goto": -4})
_MAP = 8

_Value = TypeVar("_Value")


def answer(state: NFTState, kind: int, body: bytes) -> Iterator[bytes]:
    """Yield the bodies that answer a question about a table. Raises OSError as the kernel does."""
    asked = attributes(body, wire.NFGENMSG.size)
    [family] = [name for name, number in wire.FAMILIES.items() if number == body[0]]
    table = state.table(family, _name(asked[1]))
    if table is None:
        return
    head = wire.head(family, table.name)
    match kind:
        case wire.GETTABLE:
            yield head + attribute(2, pack(">I", "dormant" in table.flags))
        case wire.GETCHAIN:
            chains = _find(table.chains, asked.get(3))
            yield from (head + _chain(each) for each in chains)
        case wire.GETRULE:
            yield from (head + each for each in _rules(table, asked.get(2)))
        case wire.GETSET:
            sets = _find(table.sets, asked.get(2))
            yield from (head + _set(each) for each in sets)
        case wire.GETSETELEM:
            yield from (head + each for each in _elements(table, asked))
        case wire.GETOBJ | wire.GETFLOWTABLE:
            return
        case _:
            raise OSError(EINVAL, "no such question")


def _find(there: Mapping[str, _Value], name: bytes | None) -> Iterable[_Value]:
    """Return all that is there, or the one that is asked for. Raises OSError without it."""
    if name is None:
        return there.values()
    if _name(name) not in there:
        raise OSError(ENOENT, "no such thing")
    return (there[_name(name)],)


def _chain(chain: ChainState) -> bytes:
    told = attribute(2, pack(">Q", chain.handle)) + attribute(3, _text(chain.name))
    if (hook := chain.hook) is not None:
        number, priority = pack(">I", _HOOKS.index(hook.hook)), pack(">i", hook.priority)
        told += nest(4, attribute(1, number) + attribute(2, priority))
        told += attribute(5, pack(">I", hook.policy == "accept")) + attribute(7, _text(hook.type))
    return told


def _rules(table: TableState, only: bytes | None) -> Iterator[bytes]:
    for chain in table.chains.values():
        name = _text(chain.name)
        for rule in chain.rules if only in (None, name) else ():
            yield attribute(2, name) + attribute(3, pack(">Q", rule.handle))


def _set(kept: SetState) -> bytes:
    flags = sum(_FLAGS[each] for each in kept.flags) + _MAP * bool(kept.value)
    number = 0
    for each in types_of(kept.type):
        number = number << 6 | _TYPES[each]
    told = attribute(2, _text(kept.name)) + attribute(3, pack(">I", flags))
    told += attribute(4, pack(">I", number)) + attribute(16, pack(">Q", kept.handle))
    if kept.value:
        told += attribute(6, pack(">I", _TYPES[kept.value]))
    if kept.size:
        told += nest(9, attribute(1, pack(">I", kept.size)))
    if kept.timeout:
        told += attribute(11, pack(">Q", int(kept.timeout * 1000)))
    return told


def _elements(table: TableState, asked: dict[int, bytes]) -> Iterator[bytes]:
    kept = table.sets.get(_name(asked[2]))
    if kept is None:
        raise OSError(ENOENT, "no such set")
    found = [_element(each, types_of(kept.type)) for each in kept.elements.values()]
    if 3 in asked:
        key = attributes(attributes(asked[3])[1])[1]
        found = [each for each in found if attributes(attributes(each)[1])[1] == key]
        if not found:
            raise OSError(ENOENT, "no such element")
    for each in found:
        yield attribute(2, asked[2]) + nest(3, each)


def _element(element: ElementState, types: tuple[str, ...]) -> bytes:
    told = nest(1, wire.packed_key(element.key, types))
    if element.value:
        word, _, chain = element.value.partition(" ")
        verdict = attribute(1, pack(">i", _CODES[word]))
        verdict += attribute(2, _text(chain)) if chain else b""
        told += nest(2, nest(2, verdict))
    if element.comment:
        comment = _text(element.comment)
        told += attribute(6, bytes((0, len(comment))) + comment)
    return nest(1, told)


def _text(name: str) -> bytes:
    return name.encode() + b"\0"


def _name(value: bytes) -> str:
    return value.rstrip(b"\0").decode()
