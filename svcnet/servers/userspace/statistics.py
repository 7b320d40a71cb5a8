"""What a proxy counted, as values, and as the JSON document that it gives out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

import orjson
from attrs import field, frozen

from svcnet.family import IPFamily
from svcnet.renderers.userspace.table import Backend, ListenerName, ServicePortName
from svcnet.servers.userspace.balancer import ActiveBackend

VERSION = 1


class BackendCounts(NamedTuple):
    """What was counted for a backend: its connections or flows, and bytes.

    ``active`` ones are open now, ``failed`` were not answered, and bytes went ``up`` to
    the backend and ``down`` from it.
    """

    backend: Backend
    connections: int
    active: int
    failed: int
    up: int
    down: int


class Refusals(NamedTuple):
    """What a service port had no room for, and how many connections or flows it has open.

    Connections were ``refused`` since their source had too many; so often the port was full, and
    more ``waited``; flows were ``displaced`` by others.
    """

    refused: int = 0
    waited: int = 0
    displaced: int = 0
    open: int = 0

    @property
    def total(self) -> int:
        """How often there was no room."""
        return self.refused + self.waited + self.displaced


@frozen
class Statistics:
    """What was counted for all backends that are in the table now.

    ``connections`` and ``flows`` are those that are open. ``refusals`` has the service ports that
    had no room for something.
    """

    connections: int = 0
    flows: int = 0
    services: Mapping[ServicePortName, tuple[BackendCounts, ...]] = field(factory=dict)
    refusals: Mapping[ServicePortName, Refusals] = field(factory=dict)


def count(target: ActiveBackend, up: int = 0, down: int = 0) -> BackendCounts:
    """Return a target's counts, with the bytes that its open connections have moved."""
    return BackendCounts(
        backend=target.backend,
        connections=target.connections,
        active=target.active,
        failed=target.failed,
        up=target.up + up,
        down=target.down + down,
    )


def total(parts: Iterable[Statistics]) -> Statistics:
    """Return the sum of what several processes counted, all with the same table."""
    parts = list(parts)
    services = {}
    for name in parts[0].services:
        counted = [part.services.get(name, ()) for part in parts]
        services[name] = tuple(_sum(same) for same in zip_longest(*counted) if all(same))
    return Statistics(
        connections=sum(part.connections for part in parts),
        flows=sum(part.flows for part in parts),
        services=services,
        refusals=total_refusals(part.refusals for part in parts),
    )


def total_refusals(
    parts: Iterable[Mapping[ServicePortName, Refusals]],
) -> Mapping[ServicePortName, Refusals]:
    """Return the sums of what several processes or families had no room for."""
    found: dict[ServicePortName, Refusals] = {}
    for part in parts:
        for name, refusals in part.items():
            before = found.get(name, Refusals())
            found[name] = Refusals(
                refused=before.refused + refusals.refused,
                waited=before.waited + refusals.waited,
                displaced=before.displaced + refusals.displaced,
                open=before.open + refusals.open,
            )
    return found


def _sum(counts: tuple[BackendCounts, ...]) -> BackendCounts:
    return BackendCounts(
        backend=counts[0].backend,
        connections=sum(each.connections for each in counts),
        active=sum(each.active for each in counts),
        failed=sum(each.failed for each in counts),
        up=sum(each.up for each in counts),
        down=sum(each.down for each in counts),
    )


@frozen
class ProxySnapshot:
    """A proxy at one moment: its IP family, what it counted, and its ports."""

    family: IPFamily
    statistics: Statistics
    ports: Mapping[ListenerName, int]


def document(snapshots: Iterable[ProxySnapshot]) -> bytes:
    """Return the counts of the proxies of a node as JSON."""
    snapshots = list(snapshots)
    value = {
        "version": VERSION,
        "connections": sum(snapshot.statistics.connections for snapshot in snapshots),
        "flows": sum(snapshot.statistics.flows for snapshot in snapshots),
        "services": [item for snapshot in snapshots for item in _services(snapshot)],
    }
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _services(snapshot: ProxySnapshot) -> Iterator[dict[str, Any]]:
    ports: dict[ServicePortName, dict[str, int]] = {}
    for name, port in snapshot.ports.items():
        ports.setdefault(name.service_port, {})[name.role] = port
    for service, counts in sorted(snapshot.statistics.services.items()):
        refusals = snapshot.statistics.refusals.get(service, Refusals())
        yield {
            "namespace": service.namespace,
            "name": service.name,
            "port": service.port_name,
            "protocol": service.protocol,
            "family": snapshot.family,
            "proxyPorts": ports.get(service, {}),
            "refused": refusals.refused,
            "waited": refusals.waited,
            "displaced": refusals.displaced,
            "backends": [_backend(counted) for counted in counts],
        }


def _backend(counts: BackendCounts) -> dict[str, Any]:
    return {
        "address": counts.backend.address,
        "port": counts.backend.port,
        "connections": counts.connections,
        "active": counts.active,
        "failed": counts.failed,
        "bytesUp": counts.up,
        "bytesDown": counts.down,
    }
