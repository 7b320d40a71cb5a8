"""A tree over numbers by their first bits, whose shape depends on the numbers alone.

It is a trie with paths compressed (Morrison's PATRICIA, 1968) and buckets as leaves. One number
more or less changes what is on its way from the root, and what splits or is joined there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from attrs import frozen

STEP = 2
"""So many bits tell the parts of a part apart: it has up to four.

A packet meets half of them, on each of fewer levels the more there are. Four take the fewest rules.
"""


class PrefixPart(NamedTuple):
    """All keys that begin with the ``length`` bits of ``prefix``: those from ``start`` to ``end``.

    It is a leaf, or split into parts.
    """

    prefix: int
    length: int
    start: int
    end: int
    is_leaf: bool

    def slot(self, length: int) -> int:
        """Return the first bits of its prefix, so many."""
        return self.prefix >> (self.length - length)


@frozen
class PrefixTree:
    """A tree over ``entries``, sorted tuples that begin with a key of ``width`` bits.

    A leaf has no more than ``most`` entries, unless all are of one key.
    """

    entries: Sequence[tuple[Any, ...]]
    width: int
    most: int

    def root(self) -> PrefixPart:
        """Return the part that all keys are in; there has to be one."""
        return self._part(0, 0, len(self.entries))

    def parts(self, part: PrefixPart) -> Iterator[PrefixPart]:
        """Yield what a part is split into, in the order of keys."""
        length = part.length + STEP
        rest = self.width - length
        start = part.start
        while start < part.end and not part.is_leaf:
            after = ((self.entries[start][0] >> rest) + 1) << rest
            end = bisect_left(self.entries, (after,), start, part.end)
            yield self._part(length, start, end)
            start = end

    def below(self, part: PrefixPart) -> Iterator[PrefixPart]:
        """Yield a part and all that it is split into, those that are led to first."""
        for each in self.parts(part):
            yield from self.below(each)
        yield part

    def way(self, key: int) -> Iterator[PrefixPart]:
        """Yield the parts that a key is in, from the root to a leaf."""
        part = self.root()
        while not part.is_leaf:
            yield part
            part = next(
                each
                for each in self.parts(part)
                if key >> (self.width - each.length) == each.prefix
            )
        yield part

    def _part(self, length: int, start: int, end: int) -> PrefixPart:
        first, last = self.entries[start][0], self.entries[end - 1][0]
        is_leaf = end - start <= self.most or first == last
        if not is_leaf:
            length = self.width - (first ^ last).bit_length()
            length -= length % STEP
        return PrefixPart(first >> (self.width - length), length, start, end, is_leaf)
