"""Hints by the CPUs of zones, for Services whose annotation asks for them.

Source: staging/src/k8s.io/endpointslice/topologycache of Kubernetes v1.36. The controller visits
zones and slices in no order; here they come by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil

from attrs import evolve, frozen

from svcnet.labels import HINTS_ANNOTATION, OLD_HINTS_ANNOTATION
from svcnet.models import Endpoint, EndpointSlice, Node, Service

OVERLOAD = 0.2
"""How much more than its share an endpoint may get."""

Ratios = Mapping[str, float]
"""The share of the CPUs that each zone has."""


def asks_for_hints(service: Service) -> bool:
    """Return whether annotations ask for hints by the CPUs of zones; the old one wins."""
    annotations = service.annotations
    return annotations.get(OLD_HINTS_ANNOTATION, annotations.get(HINTS_ANNOTATION)) in (
        "Auto",
        "auto",
    )


def ratios_of(nodes: Iterable[Node]) -> Ratios:
    """Return the share of each zone, empty where Nodes do not tell or are all in one zone."""
    cpus: dict[str, int] = {}
    for node in nodes:
        if node.serves_pods:
            if not node.zone or not node.cpu:
                return {}
            cpus[node.zone] = cpus.get(node.zone, 0) + node.cpu
    total = sum(cpus.values())
    return {zone: cpus[zone] / total for zone in sorted(cpus)} if len(cpus) > 1 else {}


def give_hints(
    slices: Sequence[EndpointSlice], ratios: Ratios, unchanged: Mapping[int, EndpointSlice]
) -> list[EndpointSlice]:
    """Return the slices of one family of a Service with hints, in their order.

    `slices` have none. `unchanged` are those that nothing else changes, as they were with their
    hints, by the ``id`` of what they are without: hints that are good enough stay as they are.
    """
    ready = sum(endpoint.ready for item in slices for endpoint in item.endpoints)
    shares = _shares(ratios, ready)
    given: dict[str, int] = {}
    made = list(slices)
    for place, item in enumerate(slices):
        before = unchanged.get(id(item))
        if shares and before is not None and (counts := _good(before, given, shares)) is not None:
            made[place] = before
            for zone, count in counts.items():
                given[zone] = given.get(zone, 0) + count
    mine = [place for place, item in enumerate(made) if item is slices[place]]
    wanted = list(_ready_in(made, mine))
    if not shares or not all(made[p].endpoints[n].zone for p, n in wanted):
        return [_same(item, unchanged.get(id(item))) for item in slices]
    zones = {(p, n): made[p].endpoints[n].zone for p, n in wanted}
    for zone in zones.values():
        given[zone] = given.get(zone, 0) + 1
    _redistribute(zones, *_moves(shares, given))
    for place in mine:
        made[place] = _with_hints(made[place], place, zones)
    return [_same(item, unchanged.get(id(slices[place]))) for place, item in enumerate(made)]


def _same(item: EndpointSlice, before: EndpointSlice | None) -> EndpointSlice:
    """Return what was there before, as the same object, where hints come out as they were."""
    return before if before is not None and before == item else item


@frozen
class _Share:
    """How many endpoints a zone is to have."""

    least: int
    most: int
    wanted: float


def _shares(ratios: Ratios, endpoints: int) -> dict[str, _Share]:
    """Return the share of each zone; none where there are too few endpoints to go round."""
    if len(ratios) > endpoints:
        return {}
    exact = {zone: ratio * endpoints for zone, ratio in ratios.items()}
    least = {zone: ceil(share * (1 / (1 + OVERLOAD))) for zone, share in exact.items()}
    spare = endpoints - sum(least.values())
    if spare < 0:
        return {}
    return {
        zone: _Share(least[zone], least[zone] + spare, max(share, float(least[zone])))
        for zone, share in exact.items()
    }


def _good(
    item: EndpointSlice, given: Mapping[str, int], shares: Mapping[str, _Share]
) -> dict[str, int] | None:
    """Return how many hints for each zone a slice has, None where it needs others."""
    counts: dict[str, int] = {}
    for endpoint in item.endpoints:
        if endpoint.ready:
            if not endpoint.zone_hints or not all(z in shares for z in endpoint.zone_hints):
                return None
            for zone in endpoint.zone_hints:
                counts[zone] = counts.get(zone, 0) + 1
    if any(count + given.get(zone, 0) > shares[zone].most for zone, count in counts.items()):
        return None
    return counts


def _ready_in(slices: Sequence[EndpointSlice], places: Iterable[int]) -> Iterator[tuple[int, int]]:
    for place in places:
        for number, endpoint in enumerate(slices[place].endpoints):
            if endpoint.ready:
                yield place, number


def _moves(
    shares: Mapping[str, _Share], given: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many endpoints zones give to others, and how many zones get."""
    over = {zone: given.get(zone, 0) - share.wanted for zone, share in shares.items()}
    more = {zone: number for zone, number in over.items() if number > 0}
    less = {zone: -number for zone, number in over.items() if number < 0}
    give: dict[str, int] = {}
    get: dict[str, int] = {}
    while more and less:
        giver, getter = max(more, key=more.__getitem__), max(less, key=less.__getitem__)
        numbers = more[giver], less[getter]
        if min(numbers) < 0.5 or max(numbers) < 1.0:
            break
        give[giver] = give.get(giver, 0) + 1
        get[getter] = get.get(getter, 0) + 1
        more[giver] -= 1
        less[getter] -= 1
    return give, get


def _redistribute(
    zones: dict[tuple[int, int], str], give: dict[str, int], get: dict[str, int]
) -> None:
    """Have endpoints serve other zones than their own, the first of each zone that gives."""
    for place, zone in list(zones.items()):
        getter = next((name for name in sorted(get) if get[name]), None)
        if getter is None:
            return
        if give.get(zone):
            zones[place] = getter
            give[zone] -= 1
            get[getter] -= 1


def _with_hints(
    item: EndpointSlice, place: int, zones: Mapping[tuple[int, int], str]
) -> EndpointSlice:
    endpoints = [
        evolve(endpoint, zone_hints=(zones[place, number],)) if endpoint.ready else endpoint
        for number, endpoint in enumerate(item.endpoints)
    ]
    return evolve(item, endpoints=tuple(endpoints))


def without_hints(item: EndpointSlice) -> EndpointSlice:
    """Return a slice without hints, the same object if it has none."""
    if not any(map(_has_hints, item.endpoints)):
        return item
    bare = [
        evolve(endpoint, zone_hints=(), node_hints=()) if _has_hints(endpoint) else endpoint
        for endpoint in item.endpoints
    ]
    return evolve(item, endpoints=tuple(bare))


def _has_hints(endpoint: Endpoint) -> bool:
    return bool(endpoint.zone_hints or endpoint.node_hints)
