"""Where rules are in what iptables-save printed."""

from __future__ import annotations

from functools import cached_property


class RuleLines:
    """The lines of rules and chains in a text, all found when the first is asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    def line_of_rule(self, table: str, chain: str, place: int, rule: str) -> int:
        """Return the line of the rule that is at a place of its chain, 0 if it is nowhere.

        A text that is carried out may have rules elsewhere than they come to be; then it is the
        first such rule of the chain.
        """
        numbers = self._rules.get((table, chain), [])
        first = rule.partition("\n")[0]
        start = len(chain) + 4  # behind -A and the chain's name
        if place < len(numbers) and self._lines[numbers[place] - 1][start:] == first:
            return numbers[place]
        return next((each for each in numbers if self._lines[each - 1][start:] == first), 0)

    def line_of_chain(self, table: str, chain: str) -> int:
        """Return the line that declares a chain, 0 if none does."""
        return self._chains.get((table, chain), 0)

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def _rules(self) -> dict[tuple[str, str], list[int]]:
        """The lines that append or insert rules, by table and chain."""
        found: dict[tuple[str, str], list[int]] = {}
        table = ""
        for number, line in enumerate(self._lines, 1):
            if line.startswith(("-A ", "-I ")):
                chain = line[3:].partition(" ")[0]
                found.setdefault((table, chain), []).append(number)
            elif line.startswith("*"):
                table = line[1:]
        return found

    @cached_property
    def _chains(self) -> dict[tuple[str, str], int]:
        """The first line that declares each chain, by table and name."""
        found: dict[tuple[str, str], int] = {}
        table = ""
        for number, line in enumerate(self._lines, 1):
            if line.startswith(":"):
                found.setdefault((table, line[1:].partition(" ")[0]), number)
            elif line.startswith("*"):
                table = line[1:]
        return found
