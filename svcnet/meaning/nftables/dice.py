"""``numgen``: numbers that rules draw by chance, or that come in turns.

Source: Linux ``net/netfilter/nft_numgen.c``, which throws dice of 32 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

from svcnet.meaning import spans
from svcnet.meaning.chance import Chance, Luck
from svcnet.meaning.spans import Span

_SIDES = 1 << 32


class Dice:
    """One of ``count`` numbers, the first of which is ``offset``.

    In turns (not ``by_chance``) each has its share of what comes. ``at`` is which part of a key
    the number is.
    """

    def __init__(self, count: int, offset: int, at: int, *, by_chance: bool) -> None:
        if count < 1:
            raise ValueError(count)
        self._count = count
        self._offset = offset
        self._by_chance = by_chance
        self.at = at

    def span_of(self, key: Sequence[str]) -> Span | None:
        """Return the numbers that an element is for, from 0; None for none. Raises ValueError."""
        low, high = spans.numbers(key[self.at])
        first = max(low - self._offset, 0)
        last = min(high - self._offset, self._count - 1)
        return (first, last) if first <= last else None

    def others(self, numbers: Sequence[Span]) -> tuple[Span, ...]:
        """Return the numbers that are in none of some spans."""
        found = []
        begin = 0
        for first, last in sorted(numbers):
            if begin < first:
                found.append((begin, first - 1))
            begin = max(begin, last + 1)
        if begin < self._count:
            found.append((begin, self._count - 1))
        return tuple(found)

    def luck(self, luck: Luck, numbers: tuple[Span, ...]) -> Luck:
        """Return the luck of who draws one of some numbers."""
        if numbers == ((0, self._count - 1),):
            return luck
        return luck.split(_chance(self._count, numbers, by_chance=self._by_chance))[0]


@cache
def _chance(count: int, numbers: tuple[Span, ...], *, by_chance: bool) -> Chance:
    """Return the chance that one of some numbers comes."""
    exact = Fraction(sum(last - first + 1 for first, last in numbers), count)
    if not by_chance:
        return Chance(exact, exact)
    sides = sum(
        -(-(last + 1) * _SIDES // count) - -(-first * _SIDES // count) for first, last in numbers
    )
    return Chance(exact, Fraction(sides, _SIDES))
