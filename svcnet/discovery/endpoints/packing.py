"""Which endpoint goes into which slice: as few slices change as the rules allow.

Source: ``reconcileByPortMapping`` in staging/src/k8s.io/endpointslice/reconciler.go. The
controller takes endpoints in no order; here they come in the order of `wanted`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, field, frozen

from svcnet.models import Endpoint, EndpointSlice

MAX_ENDPOINTS = 100
"""How many endpoints the controller puts into a slice; the API allows 1,000."""

Identity = tuple[tuple[str, ...], str, str, str]


@frozen
class Packing:
    """The outcome: slices that stay, as they were or changed, that go, and contents of new ones."""

    kept: list[EndpointSlice] = field(factory=list)
    removed: list[EndpointSlice] = field(factory=list)
    created: list[tuple[Endpoint, ...]] = field(factory=list)


def identity(endpoint: Endpoint) -> Identity:
    """Return what makes an endpoint the same one; all else about it is updated in place."""
    target = endpoint.target_ref
    namespace, name = (target.namespace, target.name) if target else ("", "")
    return tuple(sorted(endpoint.addresses)), endpoint.hostname, namespace, name


def pack(
    existing: Iterable[EndpointSlice],
    wanted: Mapping[Identity, Endpoint],
    labels: Mapping[str, str],
    limit: int,
) -> Packing:
    """Distribute the endpoints that serve one set of ports.

    `existing` are the slices with these ports. A slice that nothing changes is returned
    as the same object. `limit` is how many endpoints fit into a slice.
    """
    packed = Packing()
    left = dict(wanted)
    same: dict[str, EndpointSlice] = {}
    changed: dict[str, EndpointSlice] = {}
    for item in existing:
        stay = _staying(item, left)
        if item.endpoints and not stay:
            packed.removed.append(item)
        elif stay == item.endpoints and item.labels == labels:
            same[item.name] = item
        else:
            changed[item.name] = evolve(item, endpoints=stay, labels=labels)
    new = list(left.values())
    # Slices that change anyway take what they can, the fullest first.
    for item in sorted(changed.values(), key=_fullest):
        room = max(limit - len(item.endpoints), 0)
        changed[item.name], new = _fill(item, new[:room]), new[room:]
    # What is left goes into the one slice that then is fullest, else into new ones.
    while new:
        host = _host(same.values(), len(new), limit)
        if host is None:
            packed.created.append(_in_order(new[:limit]))
            new = new[limit:]
        else:
            changed[host.name] = _fill(same.pop(host.name), new)
            new = []
    packed.kept.extend((*same.values(), *changed.values()))
    return packed


def _staying(item: EndpointSlice, left: dict[Identity, Endpoint]) -> tuple[Endpoint, ...]:
    """Take those endpoints of a slice that are wanted still, as they are now, from `left`."""
    found = (left.pop(identity(endpoint), None) for endpoint in item.endpoints)
    return tuple([endpoint for endpoint in found if endpoint is not None])


def _fullest(item: EndpointSlice) -> tuple[int, str]:
    return -len(item.endpoints), item.name


def _host(slices: Iterable[EndpointSlice], count: int, limit: int) -> EndpointSlice | None:
    """Return the fullest slice that `count` more endpoints fit into."""
    fitting = [item for item in slices if len(item.endpoints) + count <= limit]
    return min(fitting, key=_fullest, default=None)


def _fill(item: EndpointSlice, new: Sequence[Endpoint]) -> EndpointSlice:
    if not new:
        return item
    return evolve(item, endpoints=_in_order([*item.endpoints, *new]))


def _in_order(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Return endpoints by the names of their Pods, so that content tells nothing of the past."""
    return tuple(sorted(endpoints, key=lambda endpoint: identity(endpoint)[::-1]))
