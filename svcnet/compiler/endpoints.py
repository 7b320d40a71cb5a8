"""The endpoints of a service port: collected from slices, then chosen for a node.

Sources: pkg/proxy/endpointslicecache.go (collecting) and pkg/proxy/topology.go
(choosing) of Kubernetes v1.36; KEP-1669 (terminating), KEP-2433 and KEP-3015 (hints).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple, TypeAlias

from svcnet.compiler.provenance import SourceOf
from svcnet.graph import Translate
from svcnet.models import Endpoint, EndpointSlice, IPFamily

PortEndpoint: TypeAlias = tuple[Translate, Endpoint]
"""One endpoint behind one service port: where it leads, and what a slice says of it."""


class ChosenEndpoints(NamedTuple):
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
    # The constructor that takes a tuple of the fields, half the cost of naming each.
    translate = partial(tuple.__new__, Translate)
    head, tail = ("[", "]:") if family == "IPv6" else ("", ":")
    for item in slices:
        if item.address_type != family:
            continue
        for port in item.ports:
            number = port.port
            if port.name != port_name or port.protocol != protocol or not number:
                continue
            ending, weight, source = f"{tail}{number}", item.ipvs_weight, source_of(item, port)
            translates = [
                translate(
                    (
                        f"{head}{endpoint.addresses[0]}{ending}",
                        source,
                        index,
                        endpoint.addresses[0],
                        number,
                        endpoint.node_name == node != "",
                        weight,
                    )
                )
                for index, endpoint in enumerate(item.endpoints)
            ]
            found += zip(translates, item.endpoints, strict=True)
    if len({to.id for to, _ in found}) < len(found):
        found = _without_duplicates(found)
    found.sort()
    return tuple(found)


def _without_duplicates(endpoints: list[PortEndpoint]) -> list[PortEndpoint]:
    kept: dict[str, PortEndpoint] = {}
    for to, endpoint in endpoints:
        if not endpoint.terminating or to.id not in kept:
            kept[to.id] = to, endpoint
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
    ready = tuple([each for each in endpoints if each[1].ready])
    cluster: tuple[PortEndpoint, ...] = ()
    if uses_cluster:
        cluster = _select_by_hints(ready, node, zone) or ready
        if not cluster:
            cluster = _fallback(endpoints)
    if not uses_local:
        return ChosenEndpoints(cluster, (), cluster, bool(cluster))
    local = _local(ready) or _local(_fallback(endpoints))
    exist = bool(ready or _fallback(endpoints))
    return ChosenEndpoints(cluster, local, _union(cluster, local), exist)


def _fallback(endpoints: tuple[PortEndpoint, ...]) -> tuple[PortEndpoint, ...]:
    """Return the endpoints that terminate but still serve."""
    return tuple([each for each in endpoints if each[1].serving and each[1].terminating])


def _local(endpoints: tuple[PortEndpoint, ...]) -> tuple[PortEndpoint, ...]:
    return tuple([each for each in endpoints if each[0].local])


def _select_by_hints(
    ready: tuple[PortEndpoint, ...], node: str, zone: str
) -> tuple[PortEndpoint, ...]:
    """Return the endpoints hinted for `node`, else those hinted for `zone`, else none.

    Hints of a kind count if every ready endpoint has some.
    """
    if not ready:
        return ()
    # Few Services have any, and without the first's none count.
    _, first = ready[0]
    if not (first.node_hints or first.zone_hints):
        return ()
    if first.node_hints and all(end.node_hints for _, end in ready):
        found = tuple([(to, end) for to, end in ready if node in end.node_hints])
        if found:
            return found
    if first.zone_hints and all(end.zone_hints for _, end in ready):
        return tuple([(to, end) for to, end in ready if zone in end.zone_hints])
    return ()


def _union(
    cluster: tuple[PortEndpoint, ...], local: tuple[PortEndpoint, ...]
) -> tuple[PortEndpoint, ...]:
    if not cluster:
        return local
    merged = {to.id: (to, end) for to, end in cluster + local}
    if len(merged) == len(cluster):
        return cluster
    return tuple([merged[text] for text in sorted(merged)])
