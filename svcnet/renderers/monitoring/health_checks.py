"""The health-check node ports of rule graphs.

Source of the behaviour: ``LocalReadyEndpoints`` and ``HealthCheckNodePorts`` in pkg/proxy of
Kubernetes v1.30.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from svcnet.graph import RuleGraph

EVERY_ADDRESS = ""
"""Stands for all addresses of the node, of both families and of those that come later."""

_ALL_OF = {"IPv4": "0.0.0.0", "IPv6": "::"}  # noqa: S104  (load balancers come from anywhere)


@frozen(order=True)
class HealthCheck:
    """A health-check node port of a Service, and how many of its endpoints on this node are ready.

    Endpoints that terminate do not count, though they may still serve: a load balancer is to
    send new connections elsewhere.
    """

    namespace: str
    name: str
    port: int
    local_endpoints: int


def health_checks(graphs: Iterable[RuleGraph]) -> tuple[HealthCheck, ...]:
    """Return the health checks of one node's graphs, one for each IP family, ordered by Service.

    An endpoint that several ports of a Service have counts once. Of a Service with both
    families the one with more endpoints counts: the same Pods have an endpoint in each.
    """
    found: dict[tuple[str, str, int], int] = {}
    for graph in graphs:
        for key, addresses in _ready_addresses(graph).items():
            found[key] = max(len(addresses), found.get(key, 0))
    return tuple(HealthCheck(*key, number) for key, number in sorted(found.items()))


def health_check_addresses(graphs: Iterable[RuleGraph]) -> tuple[str, ...]:
    """Return the addresses that health checks are answered on: those of node ports, ordered."""
    settings = [graph.settings for graph in graphs]
    if all(one.node_port_addresses is None for one in settings):
        return (EVERY_ADDRESS,)
    found: set[str] = set()
    for one in settings:
        addresses = one.node_port_addresses
        found.update((_ALL_OF[one.family],) if addresses is None else addresses)
    return tuple(sorted(found))


def _ready_addresses(graph: RuleGraph) -> dict[tuple[str, str, int], set[str]]:
    """Return the addresses of ready local endpoints by namespace, name and health-check port."""
    found: dict[tuple[str, str, int], set[str]] = {}
    for fragment in graph.fragments.values():
        if fragment.health_check is not None:
            key = (fragment.name.namespace, fragment.name.name, fragment.health_check.port)
            ready = [end.address for end in fragment.local_endpoints if end.ready]
            found.setdefault(key, set()).update(ready)
    return found
