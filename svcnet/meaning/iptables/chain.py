"""A chain of rules, in which those for one destination are found without a look at the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import merge
from typing import TypeAlias

from svcnet.meaning.iptables.rule import Test, XTRule

Candidate: TypeAlias = tuple[XTRule, tuple[Test, ...]]
"""A rule, and what is left to ask of a packet."""

_FEW = 8
"""With fewer rules for one destination than this there is nothing to gain."""


class Chain:
    """The rules of a chain; they are read when they are wanted."""

    __slots__ = ("_index", "_make", "_rules", "name", "policy", "table", "texts")

    def __init__(
        self,
        table: str,
        name: str,
        texts: Sequence[str],
        make: Callable[[XTRule], XTRule],
        policy: str = "",
    ) -> None:
        self.table = table
        self.name = name
        self.texts = texts
        self.policy = policy
        self._make = make
        self._rules: list[XTRule] | None = None
        self._index: _Index | None = None

    @property
    def rules(self) -> list[XTRule]:
        """All rules, in their order."""
        if self._rules is None:
            make, table, name = self._make, self.table, self.name
            self._rules = [
                make(XTRule(table, name, place, text)) for place, text in enumerate(self.texts)
            ]
        return self._rules

    def at(self, address: int, protocol: str, port: int) -> Sequence[Candidate]:
        """Return the rules that may be for a destination, in their order."""
        if self._index is None:
            self._index = _Index(self.rules)
        return self._index.at(address, protocol, port)


class _Index:
    """Rules by what they are for."""

    __slots__ = ("general", "keyed", "ported")

    def __init__(self, rules: Sequence[XTRule]) -> None:
        self.keyed: dict[tuple[int, str, int], list[tuple[int, Candidate]]] = {}
        self.ported: dict[tuple[str, int], list[tuple[int, Candidate]]] = {}
        self.general: list[tuple[int, Candidate]] = []
        whole = [(rule.place, (rule, rule.tests)) for rule in rules]
        if len(rules) < _FEW or sum(_is_special(rule) for rule in rules) < _FEW:
            self.general += whole
            return
        for entry in whole:
            rule = entry[1][0]
            if rule.key is not None:
                at = self.keyed.setdefault(rule.key, [])
                at.append((rule.place, (rule, rule.rest)))
            elif rule.portal is not None:
                self.ported.setdefault(rule.portal, []).append(entry)
            else:
                self.general.append(entry)

    def at(self, address: int, protocol: str, port: int) -> Sequence[Candidate]:
        """Return the rules that may be for a destination, in their order."""
        found = [
            each
            for each in (
                self.general,
                self.keyed.get((address, protocol, port)),
                self.ported.get((protocol, port)),
            )
            if each
        ]
        if len(found) == 1:
            return [candidate for _, candidate in found[0]]
        return [candidate for _, candidate in merge(*found, key=_place)]


def _place(entry: tuple[int, Candidate]) -> int:
    return entry[0]


def _is_special(rule: XTRule) -> bool:
    return rule.key is not None or rule.portal is not None
