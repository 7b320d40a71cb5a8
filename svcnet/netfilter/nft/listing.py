"""What ``nft list ruleset`` and ``nft list table`` print, as values; of nft 1.0.6 and 1.1 alike.

With or without ``-a``, ``-n``, ``-s``, ``-y``. Blanks at the beginning of lines mean nothing, so
that a listing that somebody has laid out anew is read too. What is in a comment or a name is
printed as it is, whatever that is: only what nft prints around it is believed.

What is in a table and is not understood is kept as :class:`UnknownLine`; a rule that cannot be cut
into words is one too, and still a rule of its chain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import TypeAlias

from attrs import define, field

from svcnet.errors import MAX_PART, one_line
from svcnet.netfilter.nft.families import FAMILIES, NFTFamily
from svcnet.netfilter.nft.pieces import (
    SetReading,
    parts,
    read_comment,
    read_element,
    read_flags,
    read_hook,
    read_rule,
    without_handle,
)
from svcnet.netfilter.nft.state import (
    ChainState,
    ListingError,
    NFTState,
    OtherState,
    RuleState,
    SetState,
    TableKey,
    TableState,
    UnknownLine,
)

MOST_QUOTED = 512
"""More characters than any text in quotation marks has, over all its lines."""

_BLOCK = re.compile(r"(\w+(?: (?:helper|timeout|expectation))?) (.+) \{")


def read_listing(text: str) -> NFTState:
    """Return the tables in a listing.

    Raises :class:`ListingError` for what is no listing: another text, one that is cut off, or one
    with a table, a chain or a set twice.
    """
    lines = _Lines(text)
    tables: dict[TableKey, TableState] = {}
    for line in lines:
        if not line or line[0] == "#":
            continue
        head, handle = without_handle(line)
        words = head.split(" ", 2)
        family = FAMILIES.get(words[1]) if len(words) == 3 else None
        if words[0] != "table" or family is None or head[-2:] != " {":
            raise ListingError(lines.number, f"no table begins here: {one_line(line, MAX_PART)}")
        table = _Table(family, words[2][:-2], handle, lines.number)
        if table.key in tables:
            raise ListingError(lines.number, f"table {family} {_quote(table.name)} is there twice")
        _read_table(lines, table)
        tables[table.key] = table.state()
    return NFTState(tables)


class _Lines:
    """The lines of a text without the blanks around them, and the number of the last one."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.number == len(self._lines):
            raise StopIteration
        self.number += 1
        return self._lines[self.number - 1].strip()

    def block(self, what: str, begin: int) -> Iterator[str]:
        """Yield the lines up to the one that ends a block. Raises ListingError without one."""
        for line in self:
            if line == "}":
                return
            if line:
                yield line
        raise ListingError(begin, f"the listing is cut off in {what}, which begins here")

    def unfold(self, line: str) -> str:
        """Return a line with those that its quoted text has, if it is such a line."""
        if line.count('"') % 2 == 0 or without_handle(line)[0][-1:] == '"':
            return line
        found = line
        for further in self._lines[self.number :]:
            found = f"{found}\n{further}"
            if len(found) > len(line) + MOST_QUOTED:
                break
            if without_handle(further.rstrip())[0][-1:] == '"':
                self.number += found.count("\n")
                return found.rstrip()
        return line


@define
class _Table:
    """A table as it is read."""

    family: NFTFamily
    name: str
    handle: int
    line: int
    comment: str = ""
    flags: frozenset[str] = frozenset()
    chains: dict[str, ChainState] = field(factory=dict)
    sets: dict[str, SetState] = field(factory=dict)
    others: list[OtherState] = field(factory=list)
    unknown: list[UnknownLine] = field(factory=list)

    @property
    def key(self) -> TableKey:
        """Its family and name."""
        return self.family, self.name

    def state(self) -> TableState:
        """Return what was read of it."""
        return TableState(
            self.family,
            self.name,
            self.comment,
            self.flags,
            self.chains,
            self.sets,
            tuple(self.others),
            tuple(self.unknown),
            self.handle,
            self.line,
        )


def _read_table(lines: _Lines, table: _Table) -> None:
    for line in lines.block(f"table {table.family} {_quote(table.name)}", table.line):
        head, handle = without_handle(line)
        if found := _BLOCK.fullmatch(head):
            kind, name = found.groups()
            _READERS.get(kind, _read_other)(lines, table, kind, name, handle)
        elif (comment := read_comment(lines.unfold(line))) is not None:
            table.comment = comment
        elif line.startswith("flags "):
            table.flags = read_flags(line)
        elif line[0] != "#":
            table.unknown.append(UnknownLine(lines.number, line))


def _read_chain(lines: _Lines, table: _Table, kind: str, name: str, handle: int) -> None:
    begin = lines.number
    if name in table.chains:
        raise ListingError(begin, f"chain {_quote(name)} is there twice")
    hook, comment = None, ""
    rules: list[RuleState] = []
    for line in lines.block(f"{kind} {_quote(name)}", begin):
        number = lines.number
        if line.startswith("type ") and hook is None and not rules:
            hook = read_hook(line, table.family)
            if hook is None:
                table.unknown.append(UnknownLine(number, line))
        elif line.startswith('comment "') and not rules:
            comment = read_comment(lines.unfold(line)) or ""
        else:
            whole = lines.unfold(line) if '"' in line else line
            rule = read_rule(whole, number)
            if rule.text.count('"') % 2:
                table.unknown.append(UnknownLine(number, whole))
            rules.append(rule)
    table.chains[name] = ChainState(name, hook, comment, tuple(rules), handle, begin)


def _read_set(lines: _Lines, table: _Table, kind: str, name: str, handle: int) -> None:
    begin = lines.number
    if name in table.sets:
        raise ListingError(begin, f"{kind} {_quote(name)} is there twice")
    found = SetReading(name)
    for line in lines.block(f"{kind} {_quote(name)}", begin):
        if line.startswith("elements = {"):
            _read_elements(lines, table, line.removeprefix("elements = {"), found)
        else:
            found.read(lines.unfold(line) if '"' in line else line)
    made = table.sets[name] = found.state(handle, begin)
    if made.kind != kind or not made.type:
        table.unknown.append(UnknownLine(begin, f"{kind} {name}: its type is missing"))


def _read_elements(lines: _Lines, table: _Table, line: str, into: SetReading) -> None:
    """Read elements from the line in which they begin to that in which they end."""
    begin, types, elements = lines.number, into.types, into.elements
    while True:
        is_last = line[-1:] == "}"
        for text in parts(line[:-1] if is_last else line):
            found = read_element(text, types, lines.number)
            if found is None or found.key in elements:
                table.unknown.append(UnknownLine(lines.number, text))
            else:
                elements[found.key] = found
        if is_last:
            return
        try:
            line = next(lines)
        except StopIteration:
            raise ListingError(begin, "the listing is cut off in the elements here") from None


def _read_other(lines: _Lines, table: _Table, kind: str, name: str, _handle: int) -> None:
    begin, depth = lines.number, 0
    what = f"{kind} {_quote(name)}"
    found: list[str] = []
    while True:
        for line in lines.block(what, begin):
            found.append(line)
            depth += line[-1] == "{"
        if not depth:
            break
        depth -= 1
        found.append("}")
    table.others.append(OtherState(kind, name, "\n".join(found), begin))


_Read: TypeAlias = Callable[[_Lines, _Table, str, str, int], None]
_READERS = MappingProxyType({"chain": _read_chain, "set": _read_set, "map": _read_set})


def _quote(name: str) -> str:
    return one_line(name, MAX_PART)
