"""The endpoints of a service port: collected from slices, then chosen for a node.

Sources: pkg/proxy/endpointslicecache.go (collecting) and pkg/proxy/topology.go
(choosing) of Kubernetes v1.30; KEP-1669 (terminating), KEP-2433 (topology hints).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from operator import itemgetter
from typing import NamedTuple

from attrs import frozen

from svcnet.compiler.provenance import SourceOf
from svcnet.graph import EndpointSource
from svcnet.models import EndpointSlice, IPFamily


class PortEndpoint(NamedTuple):
    """One endpoint behind one service port; ``text`` is ``ip:port``, IPv6 in brackets.

    ``fallback`` says that it terminates but still serves; ``source`` and ``position`` where in
    the input it is. A tuple, because a cluster
    has a hundred thousand of these and they live as long as one compilation.
    """

    text: str
    address: str
    port: int
    local: bool
    ready: bool
    fallback: bool
    zone_hints: tuple[str, ...]
    weight: int
    source: EndpointSource
    position: int


# The constructor that takes a tuple of the fields, half the cost of naming each.
_new = partial(tuple.__new__, PortEndpoint)
TEXT = itemgetter(0)
_READY = itemgetter(4)


@frozen
class ChosenEndpoints:
    """The endpoints that this node uses.

    ``cluster`` are those of traffic policy Cluster, ``local`` of policy Local, empty
    where the service port never uses that policy; ``reachable`` is their union.
    ``exist`` says whether any endpoint in the whole cluster is usable.
    """

    cluster: tuple[PortEndpoint, ...] = ()
    local: tuple[PortEndpoint, ...] = ()
    reachable: tuple[PortEndpoint, ...] = ()
    exist: bool = False


def collect(
    slices: Iterable[EndpointSlice],
    port_name: str,
    protocol: str,
    family: IPFamily,
    node: str,
    source_of: SourceOf,
) -> tuple[PortEndpoint, ...]:
    """Return all endpoints of a service port, ordered as text.

    An endpoint that several slices list counts once, and as local where any says so.
    Only the first address of an endpoint counts. `source_of` says where endpoints come from.
    """
    found: list[PortEndpoint] = []
    head, tail = ("[", "]:") if family == "IPv6" else ("", ":")
    for item in slices:
        if item.address_type != family:
            continue
        for port in item.ports:
            number = port.port
            if port.name != port_name or port.protocol != protocol or not number:
                continue
            ending = f"{tail}{number}"
            weight = item.ipvs_weight
            source = source_of(item, port)
            found += [
                _new(
                    (
                        f"{head}{endpoint.addresses[0]}{ending}",
                        endpoint.addresses[0],
                        number,
                        endpoint.node_name == node != "",
                        endpoint.ready,
                        endpoint.serving and endpoint.terminating,
                        endpoint.zone_hints,
                        weight,
                        source,
                        index,
                    )
                )
                for index, endpoint in enumerate(item.endpoints)
            ]
    if len(set(map(TEXT, found))) < len(found):
        found = _without_duplicates(found)
    found.sort()
    return tuple(found)


def _without_duplicates(endpoints: list[PortEndpoint]) -> list[PortEndpoint]:
    kept: dict[str, PortEndpoint] = {}
    for endpoint in endpoints:
        if endpoint.local or endpoint.text not in kept:
            kept[endpoint.text] = endpoint
    return list(kept.values())


def choose(
    endpoints: tuple[PortEndpoint, ...],
    *,
    uses_cluster: bool,
    uses_local: bool,
    follow_hints: bool,
    zone: str,
) -> ChosenEndpoints:
    """Return the endpoints of each policy.

    Ready ones are used, or where there are none those that terminate but still serve:
    for the cluster and for this node each on its own account. `follow_hints` keeps
    cluster traffic in the node's `zone` when the hints allow that.
    """
    if not (uses_local or follow_hints) and all(map(_READY, endpoints)):
        return ChosenEndpoints(endpoints, (), endpoints, bool(endpoints))
    ready = tuple([endpoint for endpoint in endpoints if endpoint.ready])
    cluster: tuple[PortEndpoint, ...] = ()
    if uses_cluster:
        cluster = ready or tuple([endpoint for endpoint in endpoints if endpoint.fallback])
        if follow_hints:
            cluster = _hinted(ready, zone) or cluster
    if not uses_local:
        return ChosenEndpoints(cluster, (), cluster, bool(cluster))
    local = tuple([endpoint for endpoint in ready if endpoint.local]) or tuple(
        [endpoint for endpoint in endpoints if endpoint.fallback and endpoint.local]
    )
    exist = bool(ready) or any(endpoint.fallback for endpoint in endpoints)
    return ChosenEndpoints(cluster, local, _union(cluster, local), exist)


def _hinted(ready: tuple[PortEndpoint, ...], zone: str) -> tuple[PortEndpoint, ...]:
    """Return the endpoints hinted for `zone`; none when an endpoint lacks hints."""
    if not zone or not all(endpoint.zone_hints for endpoint in ready):
        return ()
    return tuple([endpoint for endpoint in ready if zone in endpoint.zone_hints])


def _union(
    cluster: tuple[PortEndpoint, ...], local: tuple[PortEndpoint, ...]
) -> tuple[PortEndpoint, ...]:
    if not cluster:
        return local
    merged = {endpoint.text: endpoint for endpoint in cluster + local}
    if len(merged) == len(cluster):
        return cluster
    return tuple([merged[text] for text in sorted(merged)])
