"""The whole graph of a node, and the graph after a change."""

from __future__ import annotations

from collections.abc import Iterable

from immutables import Map

from svcnet.compiler.exposure import compile_service_port
from svcnet.compiler.node import NodeView
from svcnet.compiler.service_ports import service_ports
from svcnet.compiler.shares import shares, shares_after
from svcnet.graph import Fragment, FragmentName, RuleGraph
from svcnet.models import ClusterState, NamespacedName
from svcnet.nogc import without_gc


@without_gc()
def compile_state(state: ClusterState, view: NodeView) -> RuleGraph:
    """Return the rule graph of `state` as the node of `view` sees it.

    Services that ask too much of a node are left out of it (:class:`svcnet.models.Budget`).
    """
    fragments: dict[FragmentName, Fragment] = {}
    count = 0
    left_out, entry_count, _ = shares(state, view)
    for name in state.services:
        if name in left_out:
            continue
        for spec in service_ports(state, name, view):
            fragment = compile_service_port(spec, view)
            fragments[fragment.name] = fragment
            count += fragment.endpoint_count
    return RuleGraph(view.settings, Map(fragments), count, left_out, entry_count)


def recompile(
    graph: RuleGraph,
    before: ClusterState,
    after: ClusterState,
    view: NodeView,
    touched: Iterable[NamespacedName],
) -> tuple[RuleGraph, frozenset[FragmentName]]:
    """Return the graph of `after`, and the names of the fragments that may differ.

    `graph` is that of `before` for the same `view`, and `touched` are the Services whose
    objects changed between the two (:meth:`svcnet.models.ClusterState.services_of`). Fragments of
    other Services, and those that come out equal, are the same objects as before. The result
    equals ``compile_state(after, view)``; its cost is that of the change, unless Services ask
    for more than the node has.
    """
    fragments, count = graph.fragments, graph.endpoint_count
    changed = set()
    left_out, entry_count, names = shares_after(graph, before, after, view, frozenset(touched))
    for name in names:
        old = {n: fragments[n] for n in _fragment_names(before, name) if n in fragments}
        for spec in () if name in left_out else service_ports(after, name, view):
            fragment = compile_service_port(spec, view)
            previous = old.pop(fragment.name, None)
            if previous == fragment:
                continue
            changed.add(fragment.name)
            fragments = fragments.set(fragment.name, fragment)
            count += fragment.endpoint_count - (previous.endpoint_count if previous else 0)
        for gone, fragment in old.items():
            changed.add(gone)
            fragments = fragments.delete(gone)
            count -= fragment.endpoint_count
    after_change = RuleGraph(graph.settings, fragments, count, left_out, entry_count)
    return after_change, frozenset(changed)


def _fragment_names(state: ClusterState, name: NamespacedName) -> list[FragmentName]:
    service = state.services.get(name)
    if service is None:
        return []
    return [FragmentName(*name, port.name, port.protocol) for port in service.ports]
