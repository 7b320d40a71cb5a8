"""The health-check node ports of a node.

Source of the behaviour: ``LocalReadyEndpoints`` and ``HealthCheckNodePorts`` in pkg/proxy of
Kubernetes v1.36, and pkg/proxy/healthcheck/service_health.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from attrs import frozen

from svcnet.family import IPFamily
from svcnet.renderers.monitoring.summary import Summary

ALL_OF: Mapping[IPFamily, str] = MappingProxyType({"IPv4": "0.0.0.0", "IPv6": "::"})  # noqa: S104
"""What stands for all addresses of a family, also for those that come later."""


@frozen(order=True)
class HealthCheck:
    """A health-check node port of a Service, and how many of its endpoints on this node are ready.

    Each IP family counts its own, and answers on its own addresses. Endpoints that terminate do
    not count, though they may still serve: a load balancer is to send new connections elsewhere.
    """

    namespace: str
    name: str
    port: int
    family: IPFamily
    local_endpoints: int


def health_checks(summaries: Iterable[Summary]) -> tuple[HealthCheck, ...]:
    """Return the health checks of a node, from the summary of each IP family, ordered by Service.

    An endpoint that several ports of a Service have counts once.
    """
    found = [
        HealthCheck(*port, summary.settings.family, len(frozenset().union(*ready.values())))
        for summary in summaries
        for port, ready in summary.checks.items()
    ]
    return tuple(sorted(found))


def health_check_addresses(summaries: Iterable[Summary]) -> Mapping[IPFamily, tuple[str, ...]]:
    """Return the addresses that health checks are answered on, by family: those of node ports."""
    found: dict[IPFamily, tuple[str, ...]] = {}
    for settings in (summary.settings for summary in summaries):
        addresses, family = settings.node_port_addresses, settings.family
        found[family] = (ALL_OF[family],) if addresses is None else tuple(sorted(addresses))
    return found
