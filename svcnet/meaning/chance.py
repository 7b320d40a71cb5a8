"""Chances as rules write them, as they are meant, and as the kernel has them.

``statistic`` compares 31 random bits with a number (Linux ``net/netfilter/xt_statistic.c``), and
whoever writes 1/3 writes it with ten decimals. So each number stands for the simplest fraction that
would have been written like that.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

BITS = 31
_ONE = 1 << BITS
# Half a unit of the kernel's, and what ten decimals may be wrong by.
_SLACK = Fraction(1, 2 * _ONE) + Fraction(1, 2 * 10**10)


class Luck:
    """What had to happen by chance so far; ``exact`` is how likely that is, ``kernel`` truly.

    One that goes on in the same way is the same object, so each is worked out once.
    """

    __slots__ = ("_after", "exact", "kernel", "ratio")

    def __init__(self, exact: Fraction, kernel: Fraction) -> None:
        self.exact = exact
        self.kernel = kernel
        # What is compared a hundred thousand times; the hash of a Fraction takes a division.
        self.ratio = exact.as_integer_ratio()
        self._after: dict[Chance, tuple[Luck, Luck]] = {}

    def split(self, chance: Chance) -> tuple[Luck, Luck]:
        """Return the luck of who meets a chance: that it comes true, and that it does not."""
        found = self._after.get(chance)
        if found is None:
            exact, kernel = chance.exact, chance.kernel
            found = self._after[chance] = (
                Luck(self.exact * exact, self.kernel * kernel),
                Luck(self.exact * (1 - exact), self.kernel * (1 - kernel)),
            )
        return found


class Chance:
    """A chance as it is meant, and as the kernel has it. Each is equal to itself alone."""

    __slots__ = ("exact", "kernel")

    def __init__(self, exact: Fraction, kernel: Fraction) -> None:
        self.exact = exact
        self.kernel = kernel


def certain() -> Luck:
    """Return the luck of who met no chance yet."""
    return Luck(Fraction(1), Fraction(1))


@cache
def of_statistic(text: str) -> Chance:
    """Return the chance that ``--probability`` has. Raises ValueError for what is none."""
    number = round(Fraction(text) * _ONE)
    if not 0 <= number <= _ONE:
        raise ValueError(text)
    return Chance(simplest_fraction(number), Fraction(number, _ONE))


@cache
def of_turns(every: int) -> Chance:
    """Return the chance of what happens every so many times."""
    return Chance(Fraction(1, every), Fraction(1, every))


@cache
def against(chance: Chance) -> Chance:
    """Return the chance that another does not come true."""
    return Chance(1 - chance.exact, 1 - chance.kernel)


@cache
def simplest_fraction(number: int) -> Fraction:
    """Return the simplest fraction that is written as this many of 2**31."""
    near = Fraction(number, _ONE)
    if number in (0, _ONE):
        return near
    return _simplest(near - _SLACK, near + _SLACK)


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """Return the fraction with the smallest denominator between two positive ones."""
    whole = low.numerator // low.denominator
    if low == whole:
        return Fraction(whole)
    if whole + 1 <= high:
        return Fraction(whole + 1)
    return whole + 1 / _simplest(1 / (high - whole), 1 / (low - whole))
