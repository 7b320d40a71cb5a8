"""Who may have one more connection: no Service and no source takes what others need.

Nobody's connection is ended to make room, so room is kept beforehand.

- Half of all that there may be is divided among the Services of the table. What a Service has of
  that, its part, no other can take, and one that has less always gets one more.
- The other half, and all of it for a Service that is alone, goes to who asks; but the more a
  Service has, the more must be free: with a part *f* free it may have six times *f*².
- So it is for a source in all that there may be, and for a source in what its Service may have.

A greedy one alone has two thirds then. Of those that come after it, each takes less than the one
before: however *k* of them behave, a part of 1/(1 + 6 *k*) stays free, and whoever has nothing
gets one of that. With a linear bound it would be halved by each, and soon gone.
"""

from __future__ import annotations

from collections import Counter
from math import sqrt
from typing import TypeAlias, TypeVar

Service: TypeAlias = tuple[str, str]
"""Namespace and name."""

Key = TypeVar("Key")

GREED = 6
"""How many times the square of the free part one may have."""


class Admission:
    """The connections of one process, at most `capacity` of them, by Service and by source."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._total = 0
        self._members: Counter[Service] = Counter()
        self._services: dict[Service, int] = {}
        self._sources: dict[str | bytes, int] = {}
        self._pairs: dict[tuple[Service, str | bytes], int] = {}
        self._part = 0
        self._within_parts = 0
        self._is_counted = False

    def __len__(self) -> int:
        return self._total

    @property
    def capacity(self) -> int:
        """How many connections there may be. There may be more after it has been lowered."""
        return self._capacity

    @capacity.setter
    def capacity(self, capacity: int) -> None:
        if capacity != self._capacity:
            self._capacity = capacity
            self._is_counted = False

    @property
    def part(self) -> int:
        """How many connections of each Service no other can take."""
        if not self._is_counted:
            self._count()
        return self._part

    def of(self, service: Service) -> int:
        """Return how many connections a Service has."""
        return self._services.get(service, 0)

    def join(self, service: Service) -> None:
        """Let a Service have a part; one that joins twice must leave twice."""
        self._members[service] += 1
        self._is_counted = False

    def leave(self, service: Service) -> None:
        """Let a Service have no part any more; it keeps its connections until they end."""
        self._members[service] -= 1
        if not self._members[service]:
            del self._members[service]
        self._is_counted = False

    def has_room(self, service: Service) -> bool:
        """Return whether a Service may have one more, of a source that has none."""
        if self._total >= self._capacity:
            return False
        has = self._services.get(service, 0)
        if not has or (self._is_counted and has < self._part and service in self._members):
            return True
        return has < self._reach(service, has)

    def take(self, service: Service, source: str | bytes) -> bool:
        """Take one for a Service that has room; return False if it is too many of its source."""
        has, pair = self._services.get(service, 0), (service, source)
        of_source, of_pair = self._sources.get(source, 0), self._pairs.get(pair, 0)
        if not self._is_counted:
            self._count()
        # With so little taken no source has too many, whatever it has.
        is_quiet = 3 * self._total < self._capacity and 3 * has < self._part
        if of_source and not is_quiet and not self._is_modest(service, has, of_source, of_pair):
            return False
        if has < self._part and service in self._members:
            self._within_parts += 1
        self._total += 1
        self._services[service] = has + 1
        self._sources[source] = of_source + 1
        self._pairs[pair] = of_pair + 1
        return True

    def give(self, service: Service, source: str | bytes) -> None:
        """Give one back."""
        if not self._is_counted:
            self._count()
        self._total -= 1
        if _decrement(self._services, service) < self._part and service in self._members:
            self._within_parts -= 1
        _decrement(self._sources, source)
        _decrement(self._pairs, (service, source))

    def _is_modest(self, service: Service, has: int, of_source: int, of_pair: int) -> bool:
        """Return whether a source may have one more, in all and of a Service."""
        if of_source >= _most(self._capacity - self._total, self._capacity):
            return False
        if not of_pair:
            return True
        reach = self._reach(service, has)
        return of_pair < _most(reach - has, reach)

    def _reach(self, service: Service, has: int) -> float:
        """Return how many a Service may have as long as all others have what they have now."""
        if not self._is_counted:
            self._count()
        part = self._part if service in self._members else 0
        beyond = max(has - part, 0)
        shared = self._capacity - self._part * len(self._members)
        others = self._total - self._within_parts - beyond
        left = shared - others
        if left <= 0:
            return part
        if len(self._members) <= 1:
            return part + left
        # What stays free of what others leave: the x with left - x = GREED * x² / shared.
        free = (sqrt(1 + 4 * GREED * left / shared) - 1) * shared / (2 * GREED)
        return part + left - free

    def _count(self) -> None:
        """Count anew what depends on the capacity and on who has a part."""
        self._is_counted = True
        self._part = self._capacity // (2 * len(self._members)) if self._members else 0
        self._within_parts = sum(
            min(number, self._part)
            for service, number in self._services.items()
            if service in self._members
        )


def _most(free: float, of: float) -> float:
    """Return how many one source may have where so many `of` so many are free."""
    return GREED * max(free, 0) ** 2 / of if of > 0 else 0


def _decrement(counts: dict[Key, int], key: Key) -> int:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
    return left
