"""How much a Service may ask of a node, and all Services together.

What a Service comes to on a node is a product: each port, by each address that leads to it,
by each endpoint behind it. A thousand of each are a small object and a million rules, so
what is too much is known before any of it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from heapq import heapify, heappop

from attrs import frozen
from immutables import Map

from svcnet.brief import Brief
from svcnet.family import IPFamily, family_of
from svcnet.models.endpoints import EndpointSlice
from svcnet.models.service import Service
from svcnet.models.state import NamespacedName
from svcnet.words import count_noun

SERVICE_ENTRIES = 100_000
NODE_ENTRIES = 1_000_000


@frozen(repr=False)
class Budget(Brief):
    """The most entries that one Service may have, and that all of them may have together."""

    service: int = SERVICE_ENTRIES
    node: int = NODE_ENTRIES

    @property
    def too_large(self) -> str:
        """What is wrong with a Service that is larger than one may be."""
        most = count_noun(self.service, "entry")
        return f"asks for more than {most}, addresses by ports by endpoints"

    @property
    def too_many(self) -> str:
        """What is wrong with a Service that is one too many."""
        most = count_noun(self.node, "entry")
        return f"is one of the largest of all, which ask for more than {most}"

    def allows(self, size: int) -> bool:
        """Return whether a Service of that size may be served."""
        return size <= self.service

    def allows_all(self, sizes: Collection[int]) -> bool:
        """Return whether Services of these sizes may all be served."""
        return max(sizes, default=0) <= self.service and sum(sizes) <= self.node

    def over(self, sizes: Mapping[NamespacedName, int]) -> dict[NamespacedName, str]:
        """Return the Services that are left out, and why, by the sizes of all.

        Those that are too large do not count for the others. If the others are too many
        together, the largest go first, so a small one never makes room for a large one;
        of equals, the last by name.
        """
        found = {name: self.too_large for name, size in sizes.items() if not self.allows(size)}
        total = sum(sizes.values()) - sum(sizes[name] for name in found)
        if total <= self.node:
            return found
        largest = [(-size, _Last(name)) for name, size in sizes.items() if name not in found]
        heapify(largest)
        while total > self.node:
            size, last = heappop(largest)
            found[last.name] = self.too_many
            total += size
        return found


@frozen(repr=False)
class Allotment(Brief):
    """Who is left out of a budget, and why, and what the Services come to that may be served.

    ``total`` does not count those that are too large themselves. A value that follows from the
    sizes alone: :meth:`after` comes to what :meth:`of` does, and costs what has changed.
    """

    budget: Budget
    left_out: Map[tuple[str, str], str] = Map()
    total: int = 0

    @classmethod
    def of(cls, budget: Budget, sizes: Mapping[NamespacedName, int]) -> Allotment:
        """Return the allotment of all Services, by their sizes."""
        return cls(budget, Map(budget.over(sizes)), _allow(budget, sizes))

    def after(
        self,
        were: Mapping[NamespacedName, int],
        sizes: Mapping[NamespacedName, int],
        of_all: Callable[[], Mapping[NamespacedName, int]],
    ) -> tuple[Allotment, frozenset[NamespacedName]]:
        """Return the allotment after a change, and who else is left out now, or no longer.

        `were` and `sizes` are those of the Services that changed; one that is in neither has none.
        `of_all` returns all sizes after the change. Where all that is asked fits, before and
        after, a Service's share is its own affair. Where it does not, a change of one may make
        room for another, or take it.
        """
        total = self.total + _allow(self.budget, sizes) - _allow(self.budget, were)
        if max(total, self.total) > self.budget.node:
            left_out: Map[tuple[str, str], str] = Map(self.budget.over(of_all()))
            names = {*left_out, *self.left_out}
            moved = [n for n in names if (n in left_out) is not (n in self.left_out)]
            found = frozenset(NamespacedName(*name) for name in moved)
            return Allotment(self.budget, left_out, total), found
        left_out = self.left_out
        for name in {*were, *sizes}:
            if not self.budget.allows(sizes.get(name, 0)):
                left_out = left_out.set(name, self.budget.too_large)
            elif name in left_out:
                left_out = left_out.delete(name)
        return Allotment(self.budget, left_out, total), frozenset()


def _allow(budget: Budget, sizes: Mapping[NamespacedName, int]) -> int:
    return sum(filter(budget.allows, sizes.values()))


@frozen(order=False)
class _Last:
    """A name that comes before those that it is greater than."""

    name: NamespacedName

    def __lt__(self, other: _Last) -> bool:
        return self.name > other.name


def entries(service: Service, slices: Iterable[EndpointSlice], family: IPFamily) -> int:
    """Return how many entries a Service with `slices` comes to on a node, in one family.

    Of each port that is one for each address that leads to it and each endpoint behind it
    (without endpoints, one for each address), and one for each load balancer address and
    source range. A node port counts as one address, whatever addresses a node has. A
    Service for which no rules are made has none.
    """
    if not service.cluster_ip(family) or not service.has_rules:
        return 0
    addresses, ranges = 1, 0
    if service.external_ips or service.load_balancer_ingress:
        balancers = _of([i.ip for i in service.load_balancer_ingress if i.ip], family)
        addresses += _of(service.external_ips, family) + balancers
        ranges = balancers and balancers * _of(service.load_balancer_source_ranges, family)
    behind = _endpoints_by_port(slices, family)
    total = 0
    for port in service.ports:
        ends = behind.get((port.name, port.protocol)) or 1
        total += (addresses + (port.node_port > 0)) * ends + ranges
    return total


def most_entries(service: Service, slices: Iterable[EndpointSlice]) -> int:
    """Return a number that :func:`entries` in any family, and :func:`named_ports`, are not above.

    It costs a fraction of these. Names of a Service's ports differ, so each port of a slice is
    behind one of them at most.
    """
    balancers, ports = len(service.load_balancer_ingress), len(service.ports)
    addresses = 2 + len(service.external_ips) + balancers
    ranges = balancers * len(service.load_balancer_source_ranges)
    return addresses * (named_ports(slices) + ports) + ports * ranges


def named_ports(slices: Iterable[EndpointSlice]) -> int:
    """Return how many ports of endpoints there are, each of which makes records of DNS."""
    return sum(len(item.endpoints) * max(len(item.ports), 1) for item in slices)


def _endpoints_by_port(
    slices: Iterable[EndpointSlice], family: IPFamily
) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for item in slices:
        if item.address_type == family and item.is_seen:
            count = len(item.endpoints)
            for port in item.ports:
                key = (port.name, port.protocol)
                found[key] = found.get(key, 0) + count
    return found


def _of(texts: Iterable[str], family: IPFamily) -> int:
    """Return how many addresses or CIDRs are of a family."""
    return sum(family_of(text) == family for text in texts) if texts else 0
