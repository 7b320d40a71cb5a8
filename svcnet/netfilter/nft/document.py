"""What ``nft -j list ruleset`` prints, as the values that its text is read as.

JSON has less than the text: nft 1.0.6 leaves out the comments of tables and chains and the flag
``dynamic``, and rules are not in the words that people know. So a machine is asked for text.
Where a text has lines, JSON has places: ``line`` is the number of the item, counted from 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from attrs import define, evolve, field

from svcnet.errors import MAX_PART, one_line
from svcnet.netfilter.nft.canonical import canonical
from svcnet.netfilter.nft.expressions import StrangeError, expression, statement, target
from svcnet.netfilter.nft.families import FAMILIES
from svcnet.netfilter.nft.pieces import read_element
from svcnet.netfilter.nft.state import (
    ChainState,
    ElementState,
    HookState,
    ListingError,
    NFTState,
    OtherState,
    RuleState,
    SetState,
    TableKey,
    TableState,
    UnknownLine,
    types_of,
)

_NOT_NFT = "this is no JSON of nft"


def read_document(text: str | bytes) -> NFTState:
    """Return the tables in a listing that is JSON.

    Raises :class:`ListingError` for what is none: another text, or one that is cut off.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ListingError(0, f"{_NOT_NFT}: {one_line(str(error), MAX_PART)}") from None
    items = found.get("nftables") if isinstance(found, dict) else None
    if not isinstance(items, list):
        raise ListingError(0, _NOT_NFT)
    document = _Document()
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict) or len(item) != 1:
            raise ListingError(number, f"{_NOT_NFT}: item {number} is {_short(item)}")
        document.read(*next(iter(item.items())), number)
    return document.state()


@define
class _Table:
    """A table as it is read; rules come after the chains that they are in."""

    state: TableState
    chains: dict[str, ChainState] = field(factory=dict)
    rules: dict[str, list[RuleState]] = field(factory=dict)
    sets: dict[str, SetState] = field(factory=dict)
    others: list[OtherState] = field(factory=list)
    unknown: list[UnknownLine] = field(factory=list)

    def frozen(self) -> TableState:
        chains = {
            name: evolve(chain, rules=tuple(self.rules.get(name, ())))
            for name, chain in self.chains.items()
        }
        return evolve(
            self.state,
            chains=chains,
            sets=self.sets,
            others=tuple(self.others),
            unknown=tuple(self.unknown),
        )


class _Document:
    """Items as they come."""

    def __init__(self) -> None:
        self.tables: dict[TableKey, _Table] = {}

    def state(self) -> NFTState:
        return NFTState({key: table.frozen() for key, table in self.tables.items()})

    def read(self, kind: str, value: Any, number: int) -> None:
        """Take in one item. Raises ListingError for what nft cannot have written."""
        if kind == "metainfo":
            return
        word = value.get("family") if isinstance(value, dict) else None
        family = FAMILIES.get(word) if isinstance(word, str) else None
        if family is None:
            raise ListingError(number, f"{_NOT_NFT}: item {number} is {_short(value)}")
        name = value.get("name") if kind == "table" else value.get("table")
        key = family, _name(name, number)
        if kind == "table":
            if key in self.tables:
                raise ListingError(number, f"table {key[0]} {_short(key[1])} is there twice")
            self.tables[key] = _Table(_table(key, value, number))
            return
        table = self.tables.get(key)
        if table is None:
            raise ListingError(number, f"item {number} is of table {_short(key[1])}, not told of")
        _READERS.get(kind, _read_other)(table, kind, value, number)


def _short(value: object) -> str:
    return one_line(str(value), MAX_PART)


def _name(value: object, number: int) -> str:
    if not isinstance(value, str) or not value:
        raise ListingError(number, f"item {number} has no name")
    return value


def _handle(value: Mapping[str, Any]) -> int:
    found = value.get("handle")
    return found if isinstance(found, int) else 0


def _comment(value: Mapping[str, Any]) -> str:
    found = value.get("comment")
    return found if isinstance(found, str) else ""


def _flags(value: object) -> frozenset[str]:
    found = value if isinstance(value, list) else [value]
    return frozenset(each for each in found if isinstance(each, str))


def _table(key: TableKey, value: Mapping[str, Any], number: int) -> TableState:
    flags = _flags(value.get("flags"))
    return TableState(*key, _comment(value), flags, handle=_handle(value), line=number)


def _read_chain(table: _Table, _kind: str, value: Mapping[str, Any], number: int) -> None:
    name = _name(value.get("name"), number)
    if name in table.chains:
        raise ListingError(number, f"chain {_short(name)} is there twice")
    hook = None
    if "hook" in value:
        hook = _hook(value)
        if hook is None:
            table.unknown.append(UnknownLine(number, _short(value)))
    table.chains[name] = ChainState(name, hook, _comment(value), (), _handle(value), number)


def _hook(value: Mapping[str, Any]) -> HookState | None:
    texts = [value.get("type"), value.get("hook"), value.get("policy", "accept")]
    priority, devices = value.get("prio"), value.get("dev", [])
    devices = devices if isinstance(devices, list) else [devices]
    if not all(isinstance(each, str) for each in (*texts, *devices)):
        return None
    if not isinstance(priority, int):
        return None
    type_, hook, policy = map(str, texts)
    return HookState(type_, hook, priority, policy, tuple(devices))


def _read_rule(table: _Table, _kind: str, value: Mapping[str, Any], number: int) -> None:
    name = _name(value.get("chain"), number)
    if name not in table.chains:
        raise ListingError(number, f"item {number} is of chain {_short(name)}, not told of")
    parts, source = value.get("expr"), _short(value.get("expr"))
    try:
        if not isinstance(parts, list):
            raise StrangeError("no expressions")
        text = canonical(" ".join(map(statement, parts)))
    except (StrangeError, RecursionError) as error:
        table.unknown.append(UnknownLine(number, f"{_short(error)} in {source}"))
        text = source
    rule = RuleState(text, _comment(value), _handle(value), number, source)
    table.rules.setdefault(name, []).append(rule)


def _read_set(table: _Table, kind: str, value: Mapping[str, Any], number: int) -> None:
    name = _name(value.get("name"), number)
    if name in table.sets:
        raise ListingError(number, f"{kind} {_short(name)} is there twice")
    type_ = _type(value.get("type"))
    data = _type(value.get("map")) if kind == "map" else ""
    if not type_ or (kind == "map" and not data):
        table.unknown.append(UnknownLine(number, _short({**value, "elem": []})))
    made = SetState(
        name,
        type_,
        data,
        _flags(value.get("flags")),
        _whole(value.get("timeout")),
        _whole(value.get("size")),
        _comment(value),
        _elements(table, value.get("elem", []), types_of(type_), number),
        handle=_handle(value),
        line=number,
    )
    table.sets[name] = made


def _type(value: object) -> str:
    """Return a type of elements or values; empty for what is none."""
    if isinstance(value, dict):
        try:
            return f"typeof {canonical(expression(value.get('typeof')))}"
        except StrangeError:
            return ""
    found = value if isinstance(value, list) else [value]
    names = [each for each in found if isinstance(each, str)]
    return " . ".join(names) if len(names) == len(found) else ""


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _elements(
    table: _Table, values: object, types: tuple[str, ...], number: int
) -> dict[str, ElementState]:
    found: dict[str, ElementState] = {}
    for value in values if isinstance(values, list) else [values]:
        try:
            text = _element_text(value)
        except StrangeError:
            text = ""
        element = read_element(text, types, number) if text else None
        if element is None or element.key in found:
            table.unknown.append(UnknownLine(number, _short(value)))
        else:
            found[element.key] = element
    return found


def _element_text(value: object) -> str:
    """Return an element in the words of the language. Raises StrangeError."""
    if isinstance(value, list):
        if len(value) != 2:
            raise StrangeError(str(value))
        return f"{expression(value[0])} : {target(value[1])}"
    return expression(value)


def _read_other(table: _Table, kind: str, value: Mapping[str, Any], number: int) -> None:
    name = value.get("name")
    if isinstance(name, str):
        table.others.append(OtherState(kind, name, _short(value), number))
    else:
        table.unknown.append(UnknownLine(number, _short({kind: value})))


_Read: TypeAlias = Callable[[_Table, str, Mapping[str, Any], int], None]
_READERS: Mapping[str, _Read] = MappingProxyType(
    {"chain": _read_chain, "rule": _read_rule, "set": _read_set, "map": _read_set}
)
