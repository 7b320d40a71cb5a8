"""The endpoints of a service port: collected from slices, then chosen for a node.

Sources: pkg/proxy/endpointslicecache.go (collecting) and pkg/proxy/topology.go
(choosing) of Kubernetes v1.36; KEP-1669 (terminating), KEP-2433 and KEP-3015 (hints).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from operator import itemgetter
from typing import NamedTuple

from attrs import frozen

from svcnet.compiler.provenance import SourceOf
from svcnet.graph import EndpointSource
from svcnet.models import Endpoint, EndpointSlice, IPFamily


class PortEndpoint(NamedTuple):
    """One endpoint behind one service port; ``text`` is ``ip:port``, IPv6 in brackets.

    ``fallback`` says that it terminates but still serves; ``source`` and ``position`` where in
    the input it is, and ``endpoint`` is what a slice says of it. A tuple, because a cluster
    has a hundred thousand of these and they live as long as one compilation.
    """

    text: str
    address: str
    port: int
    local: bool
    ready: bool
    fallback: bool
    endpoint: Endpoint
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

    Only the first address of an endpoint counts, and of endpoints that have the same the one that
    does not terminate; of several that do not, the last. `slices` are in the order of their names.
    `source_of` says where endpoints come from.
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
                        endpoint,
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
    for found in endpoints:
        if not found.endpoint.terminating or found.text not in kept:
            kept[found.text] = found
    return list(kept.values())


def choose(
    endpoints: tuple[PortEndpoint, ...],
    *,
    uses_cluster: bool,
    uses_local: bool,
    node: str,
    zone: str,
) -> ChosenEndpoints:
    """Return the endpoints of each policy.

    Ready ones are used, or where there are none those that terminate but still serve:
    for the cluster and for this node each on its own account. Hints for this `node`, or else
    for its `zone`, keep the cluster's traffic there; they mean nothing to policy Local.
    """
    ready = endpoints
    if not all(map(_READY, endpoints)):
        ready = tuple([endpoint for endpoint in endpoints if endpoint.ready])
    cluster: tuple[PortEndpoint, ...] = ()
    if uses_cluster:
        cluster = _select_by_hints(ready, node, zone) or ready
        if not cluster:
            cluster = tuple([endpoint for endpoint in endpoints if endpoint.fallback])
    if not uses_local:
        return ChosenEndpoints(cluster, (), cluster, bool(cluster))
    local = tuple([endpoint for endpoint in ready if endpoint.local]) or tuple(
        [endpoint for endpoint in endpoints if endpoint.fallback and endpoint.local]
    )
    exist = bool(ready) or any(endpoint.fallback for endpoint in endpoints)
    return ChosenEndpoints(cluster, local, _union(cluster, local), exist)


def _select_by_hints(
    ready: tuple[PortEndpoint, ...], node: str, zone: str
) -> tuple[PortEndpoint, ...]:
    """Return the endpoints hinted for `node`, else those hinted for `zone`, else none.

    Hints of a kind count if every ready endpoint has some.
    """
    if not ready:
        return ()
    # Few Services have any, and without the first's none count.
    first = ready[0].endpoint
    if not (first.node_hints or first.zone_hints):
        return ()
    if first.node_hints and all(one.endpoint.node_hints for one in ready):
        found = tuple([one for one in ready if node in one.endpoint.node_hints])
        if found:
            return found
    if first.zone_hints and all(one.endpoint.zone_hints for one in ready):
        return tuple([one for one in ready if zone in one.endpoint.zone_hints])
    return ()


def _union(
    cluster: tuple[PortEndpoint, ...], local: tuple[PortEndpoint, ...]
) -> tuple[PortEndpoint, ...]:
    if not cluster:
        return local
    merged = {endpoint.text: endpoint for endpoint in cluster + local}
    if len(merged) == len(cluster):
        return cluster
    return tuple([merged[text] for text in sorted(merged)])
