"""Which entries are stale: those that lead to no endpoint of the wanted graph.

The table itself is compared with the graph, and not one graph with the next. So what an
earlier run left behind, because it was killed, was refused or missed a change, is found
like any other, and a restart with nothing to clean deletes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from svcnet.addresses import canonical_address
from svcnet.graph import Balance, Dispatch, Fragment, FragmentName, GraphDiff, RuleGraph
from svcnet.graph.fragment import successors
from svcnet.nogc import without_gc
from svcnet.renderers.conntrack.flows import Deletion, DeletionPlan, Flow, FlowFilter

Peer = tuple[str, int]
"""An address and a port."""


@without_gc()
def plan(flows: Iterable[Flow], wanted: RuleGraph, before: RuleGraph | None = None) -> DeletionPlan:
    """Return which of `flows` to delete, once the rules of `wanted` are in place.

    `flows` are the UDP entries of the graph's IP family. `before` is the graph after whose
    rules entries were last deleted, None when nobody knows. Only with it are entries of
    Services that are gone told from strangers'.

    Stale are

    - entries to a frontend of `wanted` that are translated to what is no serving endpoint of its
      service port, whether or not hints, traffic policies or its end keep new clients from it;
    - entries to such a frontend that are not translated at all, though it has endpoints:
      they are older than the Service's first endpoint;
    - entries to a frontend that only `before` had, translated to an endpoint of it.

    Nothing else is: no entry to an address or port that is no frontend, and none that a
    datagram could make again. In another zone than 0, an entry that is not translated may be
    of a packet that is yet to be, so it says nothing and stays.
    """
    now = _Frontends(wanted)
    then = _Frontends(before) if before is not None else None
    ports = now.ports | then.ports if then is not None else now.ports
    found: dict[FlowFilter, list[Flow]] = {}
    for flow in flows:
        if flow.destination_port in ports:
            found.setdefault(_target(flow), []).append(flow)
    deletions = []
    for target in sorted(found):
        reason = _why_stale(found[target][0], now, then)
        if reason:
            deletions.append(Deletion(target, reason, tuple(sorted(found[target]))))
    return DeletionPlan(tuple(deletions))


def touches_udp(step: GraphDiff) -> bool:
    """Return whether a step between graphs can make entries stale: only then is a listing due."""
    changed = (new for _, new in step.changed)
    return step.old.settings != step.new.settings or any(
        fragment.name.protocol == "UDP" for fragment in (*step.added, *step.removed, *changed)
    )


def _target(flow: Flow) -> FlowFilter:
    return FlowFilter(*flow[2:6], *flow[8:10])


def _why_stale(flow: Flow, now: _Frontends, then: _Frontends | None) -> str:
    """Return the reason to delete `flow`, the empty string to keep it."""
    asked = (flow.destination, flow.destination_port)
    answers = (flow.reply_source, flow.reply_source_port)
    frontends = now.at(*asked)
    if any(answers in now.endpoints(fragment) for fragment, _ in frontends):
        return ""
    if frontends:
        names = " and ".join(str(fragment.name) for fragment, _ in frontends)
        if flow.is_translated:
            return f"no endpoint of {names}"
        leads = any(_leads_somewhere(fragment, dispatch.target) for fragment, dispatch in frontends)
        return f"from before {names} had endpoints" if leads and not flow.zone else ""
    if then is None or not flow.is_translated:
        return ""
    for fragment, _ in then.at(*asked):
        if answers in then.endpoints(fragment):
            return f"{fragment.name} has this address no more"
    return ""


class _Frontends:
    """The UDP frontends of a graph, and the endpoints behind them. Made for one plan."""

    def __init__(self, graph: RuleGraph) -> None:
        self._settings = graph.settings
        self._index: dict[Peer, list[tuple[Fragment, Dispatch]]] = {}
        self._endpoints: dict[FragmentName, frozenset[Peer]] = {}
        for fragment in graph.fragments.values():
            if fragment.name.protocol == "UDP":
                for dispatch in fragment.dispatches:
                    peer = (canonical_address(dispatch.address), dispatch.port)
                    self._index.setdefault(peer, []).append((fragment, dispatch))
        for found in self._index.values():
            found.sort(key=lambda frontend: frontend[0].name)
        self.ports = frozenset(port for _, port in self._index)

    def at(self, address: str, port: int) -> list[tuple[Fragment, Dispatch]]:
        """Return the frontends that a datagram to `address` and `port` can be meant for."""
        named = self._index.get((address, port), [])
        node_ports = self._index.get(("", port), [])
        if not node_ports or not self._serves_node_ports(address):
            return named
        return [*named, *node_ports]

    def _serves_node_ports(self, address: str) -> bool:
        settings = self._settings
        return settings.is_node_address(address) and settings.answers_node_ports(address)

    def endpoints(self, fragment: Fragment) -> frozenset[Peer]:
        """Return every endpoint of the service port that is used or could be."""
        if fragment.name not in self._endpoints:
            used = [(node.address, node.port) for node in fragment.translates]
            self._endpoints[fragment.name] = frozenset(
                (canonical_address(address), port) for address, port in (*used, *fragment.unused)
            )
        return self._endpoints[fragment.name]


def _leads_somewhere(fragment: Fragment, node_id: str) -> bool:
    """Return whether some client's packet at a node of the fragment comes to an endpoint."""
    node = fragment.node(node_id)
    if isinstance(node, Balance):
        return True
    return any(_leads_somewhere(fragment, target) for target in successors(node))
