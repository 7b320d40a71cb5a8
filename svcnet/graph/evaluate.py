"""The meaning of a rule graph: what becomes of a packet, with exact chances.

Renderers are tested against this, and it answers "where can my packet go, and why".
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, TypeAlias

from attrs import asdict, frozen

from svcnet.graph.fragment import Fragment
from svcnet.graph.nodes import Balance, Dispatch, Drop, External, Firewall, Reject, Translate
from svcnet.graph.rule_graph import RuleGraph
from svcnet.graph.settings import NodeSettings, contains


@frozen
class Packet:
    """The first packet of a connection, as it reaches the node or is sent by it.

    ``interface`` is the one it came in by; empty for packets of the node itself.
    ``remembered`` are the endpoints (``ip:port``) that session affinity still holds for
    this source.
    """

    source: str
    destination: str
    port: int
    protocol: str = "TCP"
    interface: str = ""
    remembered: frozenset[str] = frozenset()


@frozen
class Deliver:
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


@frozen
class Refuse:
    """The packet is answered with an ICMP error (``reject``) or lost (``drop``)."""

    how: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Return it for JSON: ``kind``, which is reject or drop, and ``reason``."""
        return {"kind": self.how, "reason": self.reason}


@frozen
class Pass:
    """The packet is none of a Service's: svcnet leaves it alone."""

    def to_dict(self) -> dict[str, str]:
        """Return it for JSON: ``kind``, which is pass."""
        return {"kind": "pass"}


Verdict: TypeAlias = Deliver | Refuse | Pass


@frozen
class Outcome:
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


def evaluate(graph: RuleGraph, packet: Packet) -> tuple[Outcome, ...]:
    """Return every possible outcome for `packet`; the probabilities add up to 1."""
    entries = sorted(_entries(graph, packet), key=lambda entry: entry.refuses)
    if not entries:
        return (Outcome(Pass(), Fraction(1), ()),)
    return tuple(_Walk(graph.settings, packet, entries[0]).outcomes())


@frozen
class _Entry:
    """A frontend that takes the packet, and the node that it leads to.

    One that leads to an endpoint comes before one that refuses, wherever it stands:
    packets are refused after translation.
    """

    fragment: Fragment
    dispatch: Dispatch
    target: str

    @property
    def refuses(self) -> bool:
        return isinstance(self.fragment.node(self.target), Reject | Drop)


def _entries(graph: RuleGraph, packet: Packet) -> Iterator[_Entry]:
    """Yield the frontends for the packet; an address that a Service names comes first."""
    where = (packet.protocol, packet.port)
    for fragment, dispatch in graph.frontends.get((packet.destination, *where), ()):
        yield _Entry(fragment, dispatch, dispatch.target)
    if not graph.settings.is_node_address(packet.destination):
        return
    serves = graph.settings.answers_node_ports(packet.destination)
    for fragment, dispatch in graph.frontends.get(("", *where), ()):
        target = dispatch.target if serves else _refusal(fragment, dispatch)
        if target:
            yield _Entry(fragment, dispatch, target)


def _refusal(fragment: Fragment, dispatch: Dispatch) -> str:
    """Return what refuses outside traffic to `dispatch`, the empty string if nothing does.

    Node ports without endpoints are refused on every address of the node, also on
    those that do not serve node ports (kube-proxy's rule).
    """
    external = fragment.external
    target = external.target if external is not None else dispatch.target
    return target if isinstance(fragment.node(target), Reject | Drop) else ""


@frozen
class _Walk:
    """One packet's way through one fragment."""

    settings: NodeSettings
    packet: Packet
    entry: _Entry

    @property
    def fragment(self) -> Fragment:
        return self.entry.fragment

    def outcomes(self) -> Iterator[Outcome]:
        dispatch = self.entry.dispatch
        masquerade = dispatch.masquerade == "always" or (
            dispatch.masquerade == "off-cluster" and not self._from_local_pod()
        )
        path = (str(self.fragment.name), dispatch.id)
        yield from self.visit(self.entry.target, path, Fraction(1), masquerade)

    def visit(
        self, node_id: str, path: tuple[str, ...], chance: Fraction, masquerade: bool
    ) -> Iterator[Outcome]:
        node = self.fragment.node(node_id)
        path = (*path, node_id)
        match node:
            case Firewall():
                yield from self.visit(self._past_firewall(node), path, chance, masquerade)
            case External():
                target, external_masquerade = self._past_external(node)
                yield from self.visit(target, path, chance, masquerade or external_masquerade)
            case Balance():
                for target, share in self._shares(node):
                    yield from self.visit(target, path, chance * share, masquerade)
            case Translate():
                hairpin = self.packet.source == node.address
                verdict = Deliver(node.address, node.port, masquerade or hairpin)
                yield Outcome(verdict, chance, path)
            case Reject():
                yield Outcome(Refuse("reject", node.reason), chance, path)
            case Drop():
                yield Outcome(Refuse("drop", node.reason), chance, path)

    def _past_firewall(self, node: Firewall) -> str:
        source = self.packet.source
        inside = source in node.own_addresses or any(contains(r, source) for r in node.ranges)
        return node.target if inside else node.otherwise

    def _past_external(self, node: External) -> tuple[str, bool]:
        if not node.keep_source:
            return node.target, True
        if self._from_local_pod():
            return node.cluster, False
        if self.settings.is_node_address(self.packet.source):
            return node.cluster, True
        return node.target, False

    def _from_local_pod(self) -> bool:
        return self.settings.local_detector.is_local(self.packet.source, self.packet.interface)

    def _shares(self, node: Balance) -> list[tuple[str, Fraction]]:
        if node.affinity:
            for target in node.targets:
                if target in self.packet.remembered:
                    return [(target, Fraction(1))]
        share = Fraction(1, len(node.targets))
        return [(target, share) for target in node.targets]
