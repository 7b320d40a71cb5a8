"""A chain of rules, in which those for one destination are found without a look at the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from svcnet.meaning.iptables.rule import Key, Test, ToNetwork, XTRule

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

    def candidates(self) -> Iterator[Candidate]:
        """Yield all rules with what each asks of a packet, in their order."""
        for rule in self.rules:
            yield rule, rule.tests

    def without_rules(self) -> Chain:
        """Return the same chain, empty."""
        return Chain(self.table, self.name, (), self._make, self.policy)

    def other_rules(self, address: int) -> Iterator[XTRule]:
        """Yield the rules that may be for an address, but for those of one port of it."""
        for rule in self.rules:
            if rule.key is None and all(
                (test.first <= address <= test.last) != test.is_negated
                for test in rule.tests
                if isinstance(test, ToNetwork)
            ):
                yield rule


class _Index:
    """Rules by what they are for."""

    __slots__ = ("_general", "_keyed", "_plain", "_ported")

    def __init__(self, rules: Sequence[XTRule]) -> None:
        self._keyed: dict[Key, list[Candidate]] = {}
        self._ported: dict[tuple[str, int], list[Candidate]] = {}
        self._plain = len(rules) < _FEW or sum(map(_is_special, rules)) < _FEW
        self._general: list[Candidate] = []
        for rule in rules:
            if rule.key is not None and not self._plain:
                self._keyed.setdefault(rule.key, []).append((rule, rule.rest))
            elif rule.portal is not None and not self._plain:
                self._ported.setdefault(rule.portal, []).append((rule, rule.tests))
            else:
                self._general.append((rule, rule.tests))

    def at(self, address: int, protocol: str, port: int) -> Sequence[Candidate]:
        """Return the rules that may be for a destination, in their order."""
        if self._plain:
            return self._general
        keyed = self._keyed.get((address, protocol, port))
        ported = self._ported.get((protocol, port))
        if keyed is None and ported is None:
            return self._general
        found = [*self._general, *(keyed or ()), *(ported or ())]
        found.sort(key=_place)
        return found


def _place(candidate: Candidate) -> int:
    return candidate[0].place


def _is_special(rule: XTRule) -> bool:
    return rule.key is not None or rule.portal is not None
