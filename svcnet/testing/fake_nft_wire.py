"""What nf_tables without a kernel tells over netlink of the tables that it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from errno import EINVAL, ENOENT
from struct import pack
from types import MappingProxyType
from typing import TypeVar

from svcnet.netfilter.nft import (
    ChainState,
    NFTElement,
    NFTState,
    SetState,
    TableState,
    wire,
)
from svcnet.netfilter.nft.wire import uapi
from svcnet.netlink import NFGENMSG, attribute, attributes, nest

_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_FLAGS = MappingProxyType({"constant": 2, "interval": 4, "timeout": 0x10, "dynamic": 0x20})
_MAP = 8

_Value = TypeVar("_Value")


def answer(state: NFTState, kind: int, body: bytes) -> Iterator[bytes]:
    """Yield the bodies that answer a question about a table. Raises OSError as the kernel does."""
    asked = attributes(body, NFGENMSG.size)
    [family] = [name for name, number in uapi.FAMILIES.items() if number == body[0]]
    table = state.table(family, _name(asked[1]))
    if table is None:
        return
    head = wire.head(family, table.name)
    match kind:
        case uapi.NFT_MSG_GETTABLE:
            yield head + attribute(2, pack(">I", "dormant" in table.flags))
        case uapi.NFT_MSG_GETCHAIN:
            chains = _find(table.chains, asked.get(3))
            yield from (head + _chain(each) for each in chains)
        case uapi.NFT_MSG_GETRULE:
            yield from (head + each for each in _rules(table, asked.get(2)))
        case uapi.NFT_MSG_GETSET:
            sets = _find(table.sets, asked.get(2))
            yield from (head + _set(each) for each in sets)
        case uapi.NFT_MSG_GETSETELEM:
            yield from (head + each for each in _elements(table, asked))
        case uapi.NFT_MSG_GETOBJ | uapi.NFT_MSG_GETFLOWTABLE:
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
    told = attribute(2, _text(kept.name)) + attribute(3, pack(">I", flags))
    number = wire.type_number(wire.types_on_wire(kept.type))
    told += attribute(4, pack(">I", number)) + attribute(16, pack(">Q", kept.handle))
    if kept.value:
        told += attribute(6, pack(">I", _value_number(kept.value)))
    if kept.size:
        told += nest(9, attribute(1, pack(">I", kept.size)))
    if kept.timeout:
        told += attribute(11, pack(">Q", int(kept.timeout * 1000)))
    return told


def _value_number(type_: str) -> int:
    if type_ == "verdict":
        return uapi.NFT_DATA_VERDICT
    return wire.type_number(wire.types_on_wire(type_))


def _elements(table: TableState, asked: dict[int, bytes]) -> Iterator[bytes]:
    kept = table.sets.get(_name(asked[2]))
    if kept is None:
        raise OSError(ENOENT, "no such set")
    form = wire.ElementForm.of(kept.type, kept.value)
    found = [
        form.pack(NFTElement(kept.name, each.key, each.value, each.comment))
        for each in kept.elements.values()
    ]
    if 3 in asked:
        key = attributes(attributes(asked[3])[1])[1]
        found = [each for each in found if attributes(attributes(each)[1])[1] == key]
        if not found:
            raise OSError(ENOENT, "no such element")
    for each in found:
        yield attribute(2, asked[2]) + nest(3, each)


def _text(name: str) -> bytes:
    return name.encode() + b"\0"


def _name(value: bytes) -> str:
    return value.rstrip(b"\0").decode()
