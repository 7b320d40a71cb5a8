"""The meaning of a rule graph: what becomes of a packet, with exact chances.

Renderers are tested against this, and it answers "where can my packet go, and why".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import Any, TypeAlias

from attrs import asdict, frozen

from svcnet.addresses import contains
from svcnet.brief import Brief
from svcnet.graph.fragment import Fragment
from svcnet.graph.nodes import (
    Balance,
    Dispatch,
    Drop,
    External,
    Firewall,
    GraphNode,
    Reject,
    Translate,
)
from svcnet.graph.packet import Packet
from svcnet.graph.rule_graph import RuleGraph
from svcnet.graph.settings import NodeSettings


@frozen(repr=False)
class Deliver(Brief):
    """The packet goes to an endpoint; ``masquerade`` if with the node's source address.

    An endpoint on the node's own address keeps the source of what comes from elsewhere:
    such a packet is marked like any other, but never passes the hook that masquerades.
    """

    address: str
    port: int
    masquerade: bool

    def to_dict(self) -> dict[str, str | int]:
        """Return it for JSON: ``kind``, which is deliver, ``address``, ``port``, ``masquerade``."""
        return {"kind": "deliver", **asdict(self)}


@frozen(repr=False)
class Refuse(Brief):
    """The packet is answered with an ICMP error (``reject``) or lost (``drop``)."""

    how: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Return it for JSON: ``kind``, which is reject or drop, and ``reason``."""
        return {"kind": self.how, "reason": self.reason}


@frozen(repr=False)
class Pass(Brief):
    """The packet is none of a Service's: svcnet leaves it alone."""

    def to_dict(self) -> dict[str, str]:
        """Return it for JSON: ``kind``, which is pass."""
        return {"kind": "pass"}


Verdict: TypeAlias = Deliver | Refuse | Pass


@frozen(repr=False)
class Outcome(Brief):
    """One possible end of a packet, its chance, and the ids of the nodes on the way.

    The first element of ``path`` is the fragment's name, empty for :class:`Pass`.
    """

    verdict: Verdict
    probability: Fraction
    path: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``verdict``, ``path``, and ``probability`` as text such as ``1/3``.

        JSON has no exact number for a third.
        """
        verdict = self.verdict.to_dict()
        return {"verdict": verdict, "probability": str(self.probability), "path": [*self.path]}


@frozen(repr=False)
class Decision(Brief):
    """What a node of the graph decided about a packet.

    ``target`` is the node that comes next, empty at the end, and ``share`` the chance of that one.
    ``masquerade`` is whether this node asks for the node's own source address. ``because`` is what
    it went by: of :class:`External` the kind of source, ``pod``, ``node`` or ``outside``; of
    :class:`Firewall` what the source is in, empty for nothing; of :class:`Balance` ``remembered``
    where session affinity decided.
    """

    node: GraphNode
    target: str = ""
    share: Fraction = Fraction(1)
    masquerade: bool = False
    because: str = ""


@frozen(repr=False)
class Way(Brief):
    """One way of a packet through a graph: its decisions one by one, its end and its chance.

    ``fragment`` is whose nodes decide, None for :class:`Pass`.
    """

    verdict: Verdict
    probability: Fraction
    fragment: Fragment | None = None
    decisions: tuple[Decision, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The end and the chance, with the names of those who decided."""
        head = () if self.fragment is None else (str(self.fragment.name),)
        path = (*head, *(decision.node.id for decision in self.decisions))
        return Outcome(self.verdict, self.probability, path)


def evaluate(graph: RuleGraph, packet: Packet) -> tuple[Outcome, ...]:
    """Return every possible outcome for `packet`; the probabilities add up to 1."""
    return tuple([way.outcome for way in ways(graph, packet)])


def ways(graph: RuleGraph, packet: Packet, *, address_first: bool = False) -> tuple[Way, ...]:
    """Return every way that `packet` may go, with all that decides it.

    Of frontends with one destination each is asked in its turn: one that refuses the packet leaves
    it to the next. If all of them do, ranges of sources come first, then cluster IPs, then the rest
    by Service; with `address_first` addresses come before node ports in that rest.
    """
    where = packet.destination, packet.protocol, packet.port
    claims = entries(graph, *where)
    for entry in claims:
        found = entry_ways(graph, packet, entry)
        if not isinstance(found[0].verdict, Refuse):
            return found
    return entry_ways(graph, packet, refusing_entry(graph, *where, address_first=address_first))


def entry_ways(graph: RuleGraph, packet: Packet, entry: FrontendEntry | None) -> tuple[Way, ...]:
    """Return every way of a packet that a frontend takes, or none does."""
    if entry is None:
        return (Way(Pass(), Fraction(1)),)
    return tuple(_Walk(graph.settings, packet, entry).ways())


@frozen(repr=False)
class FrontendEntry(Brief):
    """A frontend that packets are for, and the node that it leads to."""

    fragment: Fragment
    dispatch: Dispatch
    target: str

    @property
    def refuses(self) -> bool:
        """Whether it refuses everybody."""
        return isinstance(self.fragment.node(self.target), Reject | Drop)

    @property
    def asks_sources(self) -> bool:
        """Whether ranges of sources hold for it."""
        firewall = self.fragment.firewall
        return firewall is not None and self.target == firewall.id


def entries(
    graph: RuleGraph, address: str, protocol: str, port: int, *, last: bool = False
) -> list[FrontendEntry]:
    """Return the frontends for packets to `address`, in the order in which they are asked.

    An address that a Service names comes before node ports. Of Services that claim the same that is
    the first of them, or with `last` the last.
    """
    step = -1 if last else 1
    return list(_entries(graph, address, protocol, port, step))


def refusing_entry(
    graph: RuleGraph, address: str, protocol: str, port: int, *, address_first: bool = False
) -> FrontendEntry | None:
    """Return the frontend that refuses what all of them refuse, None if none does.

    Packets are refused after translation, where all that has been translated is gone: ranges of
    sources come first, then health-check ports of the node, which are let in, then cluster IPs,
    then the rest by Service. With `address_first` that rest has addresses before node ports.
    """

    def rank(entry: FrontendEntry) -> tuple[object, ...]:
        if entry.asks_sources:
            return (0,)
        if entry.dispatch.frontend == "cluster-ip":
            return (1,)
        is_port = address_first and entry.dispatch.frontend == "node-port"
        return (2, is_port, entry.fragment.name)

    found = min(entries(graph, address, protocol, port), key=rank, default=None)
    if found is None or found.asks_sources:
        return found
    is_own = graph.settings.is_node_address(address)
    is_check = is_own and protocol == "TCP" and port in graph.health_checks
    return None if is_check else found


def _entries(
    graph: RuleGraph, address: str, protocol: str, port: int, step: int
) -> Iterator[FrontendEntry]:
    """Yield the frontends; an address that a Service names comes first."""
    where = (protocol, port)
    for fragment, dispatch in graph.frontends.get((address, *where), ())[::step]:
        yield FrontendEntry(fragment, dispatch, dispatch.target)
    if not graph.settings.is_node_address(address):
        return
    serves = graph.settings.answers_node_ports(address)
    for fragment, dispatch in graph.frontends.get(("", *where), ())[::step]:
        target = dispatch.target if serves else _refusal(fragment, dispatch)
        if target:
            yield FrontendEntry(fragment, dispatch, target)


def _refusal(fragment: Fragment, dispatch: Dispatch) -> str:
    """Return what refuses outside traffic to `dispatch`, the empty string if nothing does.

    Node ports without endpoints are refused on every address of the node, also on
    those that do not serve node ports (kube-proxy's rule).
    """
    external = fragment.external
    target = external.target if external is not None else dispatch.target
    return target if isinstance(fragment.node(target), Reject | Drop) else ""


@frozen(repr=False)
class _Walk(Brief):
    """One packet's way through one fragment."""

    settings: NodeSettings
    packet: Packet
    entry: FrontendEntry

    @property
    def fragment(self) -> Fragment:
        return self.entry.fragment

    @cached_property
    def translates(self) -> Mapping[str, Translate]:
        return {node.id: node for node in self.fragment.translates}

    def ways(self) -> Iterator[Way]:
        dispatch, target = self.entry.dispatch, self.entry.target
        masquerade = dispatch.masquerade == "always" or (
            dispatch.masquerade == "off-cluster" and not self._from_local_pod()
        )
        yield from self.visit(target, (Decision(dispatch, target, masquerade=masquerade),))

    def visit(self, node_id: str, before: tuple[Decision, ...]) -> Iterator[Way]:
        node = self.translates.get(node_id) or self.fragment.node(node_id)
        match node:
            case Firewall():
                decision = self._past_firewall(node)
                yield from self.visit(decision.target, (*before, decision))
            case External():
                decision = self._past_external(node)
                yield from self.visit(decision.target, (*before, decision))
            case Balance():
                for decision in self._shares(node):
                    yield from self.visit(decision.target, (*before, decision))
            case Translate():
                hairpin = self.packet.source == node.address
                decisions = (*before, Decision(node, masquerade=hairpin))
                masquerade = any(decision.masquerade for decision in decisions)
                yield self.way(Deliver(node.address, node.port, masquerade), decisions)
            case Reject():
                yield self.way(Refuse("reject", node.reason), (*before, Decision(node)))
            case Drop():
                yield self.way(Refuse("drop", node.reason), (*before, Decision(node)))

    def way(self, verdict: Verdict, decisions: tuple[Decision, ...]) -> Way:
        chance = prod((decision.share for decision in decisions), start=Fraction(1))
        return Way(verdict, chance, self.fragment, decisions)

    def _past_firewall(self, node: Firewall) -> Decision:
        source = self.packet.source
        inside = (cidr for cidr in node.ranges if contains(cidr, source))
        own = source if source in node.own_addresses else ""
        found = next(inside, own)
        return Decision(node, node.target if found else node.otherwise, because=found)

    def _past_external(self, node: External) -> Decision:
        source = self._kind_of_source()
        if not node.keep_source:
            return Decision(node, node.target, masquerade=True, because=source)
        if source == "outside":
            return Decision(node, node.target, because=source)
        return Decision(node, node.cluster, masquerade=source == "node", because=source)

    def _kind_of_source(self) -> str:
        if self._from_local_pod():
            return "pod"
        return "node" if self.settings.is_node_address(self.packet.source) else "outside"

    def _from_local_pod(self) -> bool:
        return self.settings.local_detector.is_local(self.packet.source, self.packet.interface)

    def _shares(self, node: Balance) -> list[Decision]:
        if node.affinity:
            for target in node.targets:
                if target in self.packet.remembered:
                    return [Decision(node, target, because="remembered")]
        share = Fraction(1, len(node.targets))
        return [Decision(node, target, share) for target in node.targets]
