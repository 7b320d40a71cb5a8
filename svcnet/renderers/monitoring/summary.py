"""A rule graph in short, kept up to date by what changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from attrs import frozen
from immutables import Map, MapMutation

from svcnet.graph import Fragment, FragmentName, GraphDiff, NodeSettings, RuleGraph


class ServiceName(NamedTuple):
    """The name of a Service."""

    namespace: str
    name: str


class CheckPort(NamedTuple):
    """A health-check node port, with the Service that it is of."""

    namespace: str
    name: str
    port: int


Uses: TypeAlias = Map[ServiceName, int]
"""Services, and of how many of their ports something is true."""

Ready: TypeAlias = Map[FragmentName, frozenset[str]]
"""The addresses of ready endpoints on this node, by service port."""


@frozen
class Summary:
    """What is told of the rule graph of one IP family.

    ``endpoints`` counts an endpoint once for each service port, ready or not. ``internal``
    and ``external`` are the Services whose traffic from inside and from outside is dropped:
    policy Local wants an endpoint on this node, and there are only others.
    """

    settings: NodeSettings
    services: Uses = Map()
    service_ports: int = 0
    endpoints: int = 0
    internal: Uses = Map()
    external: Uses = Map()
    checks: Map[CheckPort, Ready] = Map()


def full(graph: RuleGraph) -> Summary:
    """Return the summary of a graph."""
    return _follow(Summary(graph.settings), graph, (), graph.fragments.values())


def advance(summary: Summary, diff: GraphDiff) -> Summary:
    """Return the summary of ``diff.new``, from that of ``diff.old``; the cost is the change's."""
    gone = [*diff.removed, *(before for before, _ in diff.changed)]
    come = [*diff.added, *(after for _, after in diff.changed)]
    return _follow(summary, diff.new, gone, come)


def _follow(
    summary: Summary, graph: RuleGraph, gone: Iterable[Fragment], come: Iterable[Fragment]
) -> Summary:
    services = summary.services.mutate()
    internal = summary.internal.mutate()
    external = summary.external.mutate()
    checks = summary.checks.mutate()
    for fragments, step in ((gone, -1), (come, 1)):
        for fragment in fragments:
            service = ServiceName(fragment.name.namespace, fragment.name.name)
            _count(services, service, step)
            if _drops_internal(fragment):
                _count(internal, service, step)
            if fragment.external is not None and fragment.external.target == "drop":
                _count(external, service, step)
            if fragment.health_check is not None:
                ready = _ready(fragment) if step > 0 else None
                _note(checks, CheckPort(*service, fragment.health_check.port), fragment, ready)
    return Summary(
        graph.settings,
        services.finish(),
        len(graph.fragments),
        graph.endpoint_count,
        internal.finish(),
        external.finish(),
        checks.finish(),
    )


def _drops_internal(fragment: Fragment) -> bool:
    return any(d.frontend == "cluster-ip" and d.target == "drop" for d in fragment.dispatches)


def _ready(fragment: Fragment) -> frozenset[str]:
    return frozenset(end.address for end in fragment.local_endpoints if end.ready)


def _count(uses: MapMutation[ServiceName, int], service: ServiceName, step: int) -> None:
    number = uses.get(service, 0) + step
    if number:
        uses[service] = number
    else:
        del uses[service]


def _note(
    checks: MapMutation[CheckPort, Ready],
    port: CheckPort,
    fragment: Fragment,
    ready: frozenset[str] | None,
) -> None:
    """Note the ready endpoints of a fragment, or that it is gone."""
    by_fragment = checks.get(port, Map[FragmentName, frozenset[str]]())
    if ready is None:
        by_fragment = by_fragment.delete(fragment.name)
    else:
        by_fragment = by_fragment.set(fragment.name, ready)
    if by_fragment:
        checks[port] = by_fragment
    else:
        del checks[port]
