"""Addresses that slices of one Service list with different conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter

from svcnet import checks
from svcnet.models import Endpoint, EndpointSlice, NamespacedName
from svcnet.models.state import ClusterObject
from svcnet.sources.findings import Findings, ObjectPlace

Located = tuple[EndpointSlice, ObjectPlace]
Key = tuple[str, int, str, str]

_READY = attrgetter("ready")


def check_conditions(
    located: Sequence[tuple[ClusterObject, ObjectPlace]], findings: Findings
) -> None:
    """Warn of an address and port that one endpoint of a Service calls ready, and another not."""
    slices = [(i, place) for i, place in located if isinstance(i, EndpointSlice) and i.endpoints]
    # Of endpoints that are ready without exception nothing can be said twice.
    doubtful = {_name(item) for item, _ in slices if not all(map(_READY, item.endpoints))}
    by_service: dict[NamespacedName, list[Located]] = {name: [] for name in doubtful}
    for item, place in slices if doubtful else ():
        if (name := _name(item)) in doubtful:
            by_service[name].append((item, place))
    for found in by_service.values():
        _check_service(sorted(found, key=lambda each: each[0].name), findings)


def _name(item: EndpointSlice) -> NamespacedName:
    return NamespacedName(item.namespace, item.service_name)


def _check_service(slices: Sequence[Located], findings: Findings) -> None:
    """Warn at the endpoint whose condition does not count: the first by the slices' names does."""
    first: dict[Key, tuple[str, ObjectPlace]] = {}
    for item, place in slices:
        for index, endpoint in enumerate(item.endpoints):
            condition = _condition(endpoint)
            for key in _keys(item, endpoint):
                known, where = first.setdefault(key, (condition, place))
                if known != condition:
                    message = (
                        f"{key[0]} port {key[1]} is {condition} here and {known} in {where.label}: "
                        "of several the first counts, or one on the node itself"
                    )
                    findings.warning(
                        checks.CONDITION_CONFLICT, place, ("endpoints", index), message
                    )
                    break


def _keys(item: EndpointSlice, endpoint: Endpoint) -> Iterator[Key]:
    return ((endpoint.addresses[0], p.port, p.name, p.protocol) for p in item.ports)


def _condition(endpoint: Endpoint) -> str:
    """Return what rules make of an endpoint."""
    if endpoint.ready:
        return "ready"
    return "terminating" if endpoint.serving and endpoint.terminating else "not ready"
