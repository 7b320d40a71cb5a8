"""Which flow has to go when there are too many, by Service and by source."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from svcnet.servers.tally import Tally
from svcnet.servers.userspace.admission import Service

Item = TypeVar("Item", bound=Hashable)


class Member(Hashable, Protocol):
    """One that goes when it is told."""

    def displace(self) -> None:
        """End, since there are too many."""
        ...


GREEDY_PART = 64
"""A source is greedy that has more than such a part of all: addresses can be forged, and those
that come from many must not end the few flows that an honest one has."""


class Crowd(Generic[Item]):
    """What there are at most `limit` of, each of a Service and of a source.

    One that has to go is of the Service that has most. There it is of the source that has most,
    if that is greedy, and of these the one that was silent longest. So a Service that has less
    than others loses nothing to them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._places: dict[Item, tuple[Service, str | bytes]] = {}
        self._orders: dict[Item, tuple[OrderedDict[Item, None], OrderedDict[Item, None]]] = {}
        self._services: dict[Service, _OfService[Item]] = {}
        self._tally: Tally[Service] = Tally()

    def __len__(self) -> int:
        return len(self._places)

    def of(self, service: Service) -> int:
        """Return how many a Service has."""
        return self._tally[service]

    def is_full(self) -> bool:
        """Whether one has to go before another can come."""
        return len(self._places) >= self.limit

    def add(self, item: Item, service: Service, source: str | bytes) -> None:
        """Take one in."""
        self._places[item] = (service, source)
        self._tally.add(service)
        found = self._services.get(service)
        if found is None:
            found = self._services[service] = _OfService()
        self._orders[item] = found.add(item, source)

    def touch(self, item: Item) -> None:
        """Note that one has just said something."""
        # For every datagram: so nothing is looked up on the way.
        of_service, of_source = self._orders[item]
        of_service.move_to_end(item)
        of_source.move_to_end(item)

    def remove(self, item: Item) -> None:
        """Let one go."""
        service, source = self._places.pop(item)
        del self._orders[item]
        self._tally.remove(service)
        self._services[service].remove(item, source)
        if not self._tally[service]:
            del self._services[service]

    def first_to_go(self) -> Item | None:
        """Return the one that has to go next, None when there is none."""
        if not self._places:
            return None
        return self._services[self._tally.greatest()].first_to_go(self.limit // GREEDY_PART)


class _OfService(Generic[Item]):
    """What one Service has, those that were silent longest first."""

    def __init__(self) -> None:
        self._all: OrderedDict[Item, None] = OrderedDict()
        self._sources: dict[str | bytes, OrderedDict[Item, None]] = {}
        self._tally: Tally[str | bytes] = Tally()

    def add(
        self, item: Item, source: str | bytes
    ) -> tuple[OrderedDict[Item, None], OrderedDict[Item, None]]:
        """Take one in; return the orders that it is in."""
        of_source = self._sources.setdefault(source, OrderedDict())
        self._all[item] = of_source[item] = None
        self._tally.add(source)
        return self._all, of_source

    def remove(self, item: Item, source: str | bytes) -> None:
        del self._all[item]
        del self._sources[source][item]
        self._tally.remove(source)
        if not self._tally[source]:
            del self._sources[source]

    def first_to_go(self, modest: int) -> Item:
        source = self._tally.greatest()
        is_greedy = self._tally[source] > modest
        return next(iter(self._sources[source] if is_greedy else self._all))
