"""Tables under change, as the lines of one transaction leave them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from attrs import define, evolve, field

from svcnet.netfilter.nft.state import (
    ChainState,
    ElementState,
    NFTState,
    RuleState,
    SetState,
    TableKey,
    TableState,
)

MISSING = "No such file or directory"


class LineRefusal(Exception):  # noqa: N818
    """A line that is refused, with nft's words for the reason."""


@define
class ChainDraft:
    """A chain whose rules change."""

    state: ChainState
    rules: list[RuleState]

    def frozen(self) -> ChainState:
        return evolve(self.state, rules=tuple(self.rules))


@define
class SetDraft:
    """A set whose elements change."""

    state: SetState
    elements: dict[str, ElementState]

    def frozen(self) -> SetState:
        return evolve(self.state, elements=self.elements)


@define
class TableDraft:
    """A table that changes. What of it is not touched stays what it was."""

    state: TableState
    chains: dict[str, ChainState]
    sets: dict[str, SetState]
    changed_chains: dict[str, ChainDraft] = field(factory=dict)
    changed_sets: dict[str, SetDraft] = field(factory=dict)
    own_sets: set[str] = field(factory=set)
    uses: Counter[str] | None = None
    handle: int = 0

    @classmethod
    def of(cls, state: TableState) -> TableDraft:
        found = cls(state, dict(state.chains), dict(state.sets))
        found.handle = max(state.last_handle, *found._handles(), 0)
        return found

    def _handles(self) -> Iterator[int]:
        for each in self.chains.values():
            yield each.handle
            yield from (rule.handle for rule in each.rules)
        yield from (each.handle for each in self.sets.values())

    def frozen(self) -> TableState:
        for name, made in self.changed_chains.items():
            self.chains[name] = made.frozen()
        for name, kept in self.changed_sets.items():
            self.sets[name] = kept.frozen()
        return evolve(self.state, chains=self.chains, sets=self.sets, last_handle=self.handle)

    def next_handle(self) -> int:
        self.handle += 1
        return self.handle

    def chain(self, name: str) -> ChainDraft:
        """Return a chain to be changed."""
        found = self.changed_chains.get(name)
        if found is None:
            there = self.chains.get(name)
            if there is None:
                raise LineRefusal(MISSING)
            found = self.changed_chains[name] = ChainDraft(there, list(there.rules))
        return found

    def set(self, name: str) -> SetDraft:
        """Return a set to be changed."""
        found = self.changed_sets.get(name)
        if found is None:
            there = self.sets.get(name)
            if there is None:
                raise LineRefusal(MISSING)
            found = self.changed_sets[name] = SetDraft(there, dict(there.elements))
        return found

    def use(self, texts: Iterable[str], number: int = 1) -> None:
        """Note that rules or values name chains and sets, or no longer do."""
        for name in chain.from_iterable(map(_names, texts)):
            is_set = name[0] == "@"
            if number > 0 and name[1:] not in (self.sets if is_set else self.chains):
                raise LineRefusal(MISSING)
            if self.uses is not None:
                self.uses[name] += number

    def is_used(self, name: str) -> bool:
        """Return whether a rule or value names a chain (``>NAME``) or set (``@NAME``)."""
        if self.uses is None:
            self.uses = Counter()
            rules = chain.from_iterable(
                self.changed_chains[each].rules if each in self.changed_chains else there.rules
                for each, there in self.chains.items()
            )
            elements = chain.from_iterable(
                (
                    self.changed_sets[each].elements
                    if each in self.changed_sets
                    else there.elements
                ).values()
                for each, there in self.sets.items()
                if there.value == "verdict"
            )
            texts = chain((rule.text for rule in rules), (each.value for each in elements))
            self.uses.update(chain.from_iterable(map(_names, texts)))
        return self.uses[name] > 0


_NAMED = re.compile(r"(?:^| )(?:(?:jump|goto) (\S+)|@(\S+))")
_RAW = re.compile(r"(?:ll|nh|th|ih),\d+,\d+")


def _names(text: str) -> Iterator[str]:
    """Yield the chains that a rule or a value leads to as ``>NAME``, and sets as ``@NAME``."""
    if '"' in text:
        text = re.sub(r'"[^"]*"', '""', text)
    for chain_name, set_name in _NAMED.findall(text):
        if chain_name:
            yield f">{chain_name}"
        elif not _RAW.fullmatch(set_name):
            yield f"@{set_name}"


class Transaction:
    """Tables under change. Those that no line names stay what they are."""

    def __init__(self, before: NFTState) -> None:
        self.tables: dict[TableKey, TableDraft | TableState] = dict(before.tables)
        self.changed: set[TableKey] = set()

    def state(self) -> NFTState:
        return NFTState(
            {
                key: table.frozen() if isinstance(table, TableDraft) else table
                for key, table in self.tables.items()
            }
        )

    def change(self, key: TableKey) -> TableDraft:
        """Return a table that changes."""
        self.changed.add(key)
        return self.table(key)

    def table(self, key: TableKey) -> TableDraft:
        """Return a table that may change."""
        found = self.tables.get(key)
        if found is None:
            raise LineRefusal(MISSING)
        if isinstance(found, TableState):
            found = self.tables[key] = TableDraft.of(found)
        return found
