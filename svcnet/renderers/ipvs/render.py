"""From a rule graph, or a step between two, to what a node has in IPVS mode."""

from __future__ import annotations

from svcnet.graph import RuleGraph
from svcnet.nogc import without_gc
from svcnet.renderers.ipvs.part import node_port_addresses, render_service_port
from svcnet.renderers.ipvs.tables import IPVSTables


@without_gc()
def full(graph: RuleGraph) -> IPVSTables:
    """Return everything that the node has."""
    settings = graph.settings
    addresses = node_port_addresses(settings)
    parts = {f.name: render_service_port(f, settings, addresses) for f in graph}
    return IPVSTables(settings, parts)
