"""How much a node has: Services, their ports and endpoints."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from svcnet.graph import RuleGraph


@frozen
class Counts:
    """The sizes of one node's rule graphs.

    A Service of both IP families is one of ``services``; its ports and endpoints are there for
    each family. ``endpoints`` counts an endpoint once for each service port, ready or not.
    ``no_local_internal`` and ``no_local_external`` are the Services whose traffic from inside
    and from outside is dropped: policy Local wants an endpoint on this node, and there are
    only others.
    """

    services: int = 0
    service_ports: int = 0
    endpoints: int = 0
    no_local_internal: int = 0
    no_local_external: int = 0


def count(graphs: Iterable[RuleGraph]) -> Counts:
    """Return the sizes of one node's graphs, one for each IP family."""
    services: set[tuple[str, str]] = set()
    internal: set[tuple[str, str]] = set()
    external: set[tuple[str, str]] = set()
    service_ports = endpoints = 0
    for graph in graphs:
        service_ports += len(graph.fragments)
        endpoints += graph.endpoint_count
        for name, fragment in graph.fragments.items():
            service = (name.namespace, name.name)
            services.add(service)
            if any(d.frontend == "cluster-ip" and d.target == "drop" for d in fragment.dispatches):
                internal.add(service)
            if fragment.external is not None and fragment.external.target == "drop":
                external.add(service)
    return Counts(len(services), service_ports, endpoints, len(internal), len(external))
