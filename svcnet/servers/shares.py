"""Something limited that many sources want: who has it, and who gives way when it is full.

A source that takes all it can get takes it from itself: whoever has the most gives way, and of
what that source has the part that was idle longest. So no number of idle parts keeps an honest
source out, which has few and needs each for a short time.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import count
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class FairShares(Generic[Item]):
    """Items that are held, at most `limit`, each by a source."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sources: dict[Item, Hashable] = {}
        # Of each source the items, idle longest first, with the moment that they were last used.
        self._held: dict[Hashable, dict[Item, int]] = {}
        self._moments = count()

    def __len__(self) -> int:
        return len(self._sources)

    def add(self, source: Hashable, item: Item) -> Item | None:
        """Let `source` hold `item`; return the one that has to go, which is held no longer."""
        gone = None
        if len(self._sources) >= self._limit:
            gone = self._greediest(source)
            self.discard(gone)
        self._sources[item] = source
        self._held.setdefault(source, {})[item] = next(self._moments)
        return gone

    def take(self) -> Item | None:
        """Return the item that has to go first, which is held no longer; None if none is held."""
        if not self._sources:
            return None
        gone = self._greediest(None)
        self.discard(gone)
        return gone

    def touch(self, item: Item) -> None:
        """Note that an item is in use, if it is still held."""
        if item in self._sources:
            held = self._held[self._sources[item]]
            del held[item]
            held[item] = next(self._moments)

    def discard(self, item: Item) -> None:
        """Note that an item is held no longer."""
        if item not in self._sources:
            return
        source = self._sources.pop(item)
        held = self._held[source]
        del held[item]
        if not held:
            del self._held[source]

    def _greediest(self, wanting: Hashable) -> Item:
        """Return the item that has to go first when `wanting` wants one more."""

        def order(source: Hashable) -> tuple[int, bool, int]:
            # Of sources that have equally many: who wants more, else whose is idle longest.
            held = self._held[source]
            return len(held), source == wanting, -next(iter(held.values()))

        return next(iter(self._held[max(self._held, key=order)]))
