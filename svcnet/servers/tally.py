"""Counts, with the key that has most at hand."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Tally(Generic[Key]):
    """How often each key is there. No method looks at all of them, however many there are."""

    def __init__(self) -> None:
        self._counts: dict[Key, int] = {}
        self._having: dict[int, dict[Key, None]] = {}
        self._most = 0

    def __getitem__(self, key: Key) -> int:
        return self._counts.get(key, 0)

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, key: Key) -> None:
        """Count a key once more."""
        count = self._counts.get(key, 0)
        self._move(key, count, count + 1)
        self._most = max(self._most, count + 1)

    def remove(self, key: Key) -> None:
        """Count a key, which must be there, once less."""
        count = self._counts[key]
        self._move(key, count, count - 1)
        if self._most not in self._having:
            # It was the only one with most, and has one less now; or it was the last.
            self._most = count - 1

    def greatest(self) -> Key:
        """Return a key that is there most often, of several the one that is so longest.

        Raises StopIteration when there is none.
        """
        return next(iter(self._having.get(self._most, ())))

    def _move(self, key: Key, count: int, to: int) -> None:
        if count:
            having = self._having[count]
            del having[key]
            if not having:
                del self._having[count]
        if to:
            self._counts[key] = to
            self._having.setdefault(to, {})[key] = None
        else:
            del self._counts[key]
