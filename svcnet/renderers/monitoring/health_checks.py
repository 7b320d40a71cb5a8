"""The health-check node ports of a node.

Source of the behaviour: ``LocalReadyEndpoints`` and ``HealthCheckNodePorts`` in pkg/proxy of
Kubernetes v1.30.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from svcnet.renderers.monitoring.summary import CheckPort, Summary

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


def health_checks(summaries: Iterable[Summary]) -> tuple[HealthCheck, ...]:
    """Return the health checks of a node, from the summary of each IP family, ordered by Service.

    An endpoint that several ports of a Service have counts once. Of a Service with both
    families the one with more endpoints counts: the same Pods have an endpoint in each.
    """
    found: dict[CheckPort, int] = {}
    for summary in summaries:
        for port, ready in summary.checks.items():
            number = len(frozenset().union(*ready.values()))
            found[port] = max(number, found.get(port, 0))
    return tuple(HealthCheck(*port, number) for port, number in sorted(found.items()))


def health_check_addresses(summaries: Iterable[Summary]) -> tuple[str, ...]:
    """Return the addresses that health checks are answered on: those of node ports, ordered."""
    settings = [summary.settings for summary in summaries]
    if all(one.node_port_addresses is None for one in settings):
        return (EVERY_ADDRESS,)
    found: set[str] = set()
    for one in settings:
        addresses = one.node_port_addresses
        found.update((_ALL_OF[one.family],) if addresses is None else addresses)
    return tuple(sorted(found))
