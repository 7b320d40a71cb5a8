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

from math import sqrt
from typing import TypeAlias

Service: TypeAlias = tuple[str, str]
"""Namespace and name."""

GREED = 6
"""How many times the square of the free part one may have."""


class _Holding:
    """What a Service has: how many connections, of which sources, and whether it has a part."""

    __slots__ = ("members", "number", "sources")

    def __init__(self) -> None:
        self.members = 0
        self.number = 0
        self.sources: dict[str | bytes, int] = {}


_NOTHING = _Holding()


class Admission:
    """The connections of one process, at most `capacity` of them, by Service and by source."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._total = 0
        self._members = 0
        self._services: dict[Service, _Holding] = {}
        self._sources: dict[str | bytes, int] = {}
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
        self._count()
        return self._part

    def of(self, service: Service) -> int:
        """Return how many connections a Service has."""
        return self._services.get(service, _NOTHING).number

    def join(self, service: Service) -> None:
        """Let a Service have a part; one that joins twice must leave twice."""
        held = self._services.setdefault(service, _Holding())
        held.members += 1
        if held.members == 1:
            self._members += 1
            self._is_counted = False

    def leave(self, service: Service) -> None:
        """Let a Service have no part any more; it keeps its connections until they end."""
        held = self._services[service]
        held.members -= 1
        if not held.members:
            self._members -= 1
            self._is_counted = False
            self._forget(service, held)

    def has_room(self, service: Service) -> bool:
        """Return whether a Service may have one more, of a source that has none."""
        if self._total >= self._capacity:
            return False
        held = self._services.get(service)
        if held is None or not held.number:
            return True
        if not self._is_counted:
            self._count()
        if held.number < self._part and held.members:
            return True
        return held.number < self._reach(held)

    def take(self, service: Service, source: str | bytes) -> bool:
        """Take one for a Service that has room; return False if it is too many of its source."""
        if not self._is_counted:
            self._count()
        held = self._services.get(service)
        if held is None:
            held = self._services[service] = _Holding()
        of_source = self._sources.get(source, 0)
        # With so little taken no source has too many, whatever it has.
        if (
            of_source
            and (3 * self._total >= self._capacity or 3 * held.number >= self._part)
            and not self._is_modest(held, source, of_source)
        ):
            self._forget(service, held)
            return False
        if held.number < self._part and held.members:
            self._within_parts += 1
        self._total += 1
        held.number += 1
        self._sources[source] = of_source + 1
        held.sources[source] = held.sources.get(source, 0) + 1
        return True

    def give(self, service: Service, source: str | bytes) -> None:
        """Give one back."""
        if not self._is_counted:
            self._count()
        held = self._services[service]
        self._total -= 1
        held.number -= 1
        if held.number < self._part and held.members:
            self._within_parts -= 1
        for counts in (self._sources, held.sources):
            left = counts[source] - 1
            if left:
                counts[source] = left
            else:
                del counts[source]
        if not held.number:
            self._forget(service, held)

    def _forget(self, service: Service, held: _Holding) -> None:
        if not held.number and not held.members:
            del self._services[service]

    def _is_modest(self, held: _Holding, source: str | bytes, of_source: int) -> bool:
        """Return whether a source may have one more, in all and of a Service."""
        if of_source >= _most(self._capacity - self._total, self._capacity):
            return False
        here = held.sources.get(source, 0)
        if not here:
            return True
        reach = self._reach(held)
        return here < _most(reach - held.number, reach)

    def _reach(self, held: _Holding) -> float:
        """Return how many a Service may have as long as all others have what they have now."""
        part = self._part if held.members else 0
        beyond = max(held.number - part, 0)
        shared = self._capacity - self._part * self._members
        others = self._total - self._within_parts - beyond
        left = shared - others
        if left <= 0:
            return part
        if self._members <= 1:
            return part + left
        # What stays free of what others leave: the x with left - x = GREED * x² / shared.
        free = (sqrt(1 + 4 * GREED * left / shared) - 1) * shared / (2 * GREED)
        return part + left - free

    def _count(self) -> None:
        """Count anew what depends on the capacity and on who has a part."""
        if self._is_counted:
            return
        self._is_counted = True
        self._part = self._capacity // (2 * self._members) if self._members else 0
        self._within_parts = sum(
            min(held.number, self._part) for held in self._services.values() if held.members
        )


def _most(free: float, of: float) -> float:
    """Return how many one source may have where so many `of` so many are free."""
    return GREED * max(free, 0) ** 2 / of if of > 0 else 0
