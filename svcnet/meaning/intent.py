"""What a graph means for the packets of many senders at once.

It is what :func:`svcnet.graph.evaluate` says of each of them, at the cost of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from svcnet.graph import (
    Balance,
    Drop,
    External,
    Firewall,
    GraphNode,
    NodeSettings,
    Reject,
    RuleGraph,
    Translate,
)
from svcnet.graph.evaluate import FrontendEntry, entries
from svcnet.meaning.sources import Distinctions, Endpoint, Sources
from svcnet.meaning.spans import LOOPBACK, Span, network, number, text_of

Ending = tuple[object, ...]
"""How packets end, as it is compared: deliver, drop, reject or pass, and where to."""

Ratio = tuple[int, int]
"""A chance as a numerator and a denominator that have nothing in common."""

PASS: Ending = ("pass", "")


class Intent(NamedTuple):
    """How packets of some senders should end, with what chance, and who decides it.

    ``entry`` is None for packets that are no Service's.
    """

    mask: int
    ending: Ending
    chance: Ratio
    entry: FrontendEntry | None = None
    node: GraphNode | None = None


Excuse = Callable[[RuleGraph, "Heading", FrontendEntry], bool]
"""Says of a refusal whether a mode leaves it out, as its reference does."""


class Heading(NamedTuple):
    """A destination, and whether it is the node itself that sends."""

    address: int
    protocol: str
    port: int
    is_node: bool


def entry_of(graph: RuleGraph, target: Heading) -> FrontendEntry | None:
    """Return the frontend that takes the packets, None for those that are no Service's."""
    address = text_of(target.address, graph.settings.family)
    found = entries(graph, address, target.protocol.upper(), target.port)
    return found[0] if found else None


def distinctions(settings: NodeSettings, entry: FrontendEntry | None) -> Distinctions:
    """Return what a graph tells senders apart by, of packets for one of its frontends."""
    networks: set[Span] = {(number(each), number(each)) for each in settings.addresses}
    networks.add(LOOPBACK if settings.family == "IPv4" else (1, 1))
    interfaces = set()
    detector = settings.local_detector
    if detector.kind == "cidr":
        networks.add(network(detector.value))
    elif detector.kind == "bridge":
        interfaces.add(detector.value)
    elif detector.kind == "prefix":
        interfaces.add(f"{detector.value}+")
    if entry is None:
        return Distinctions(frozenset(networks), frozenset(interfaces))
    fragment = entry.fragment
    endpoints = frozenset(map(_place, fragment.translates))
    networks.update((address, address) for address, _ in endpoints)
    if fragment.firewall is not None:
        networks.update(map(network, fragment.firewall.ranges))
        networks.update(map(network, fragment.firewall.own_addresses))
    balance = fragment.cluster or fragment.local
    seconds = balance.affinity if balance is not None else 0
    return Distinctions(
        frozenset(networks),
        frozenset(interfaces),
        endpoints if seconds else frozenset(),
        frozenset((seconds,)) if seconds else frozenset(),
    )


def intents(
    graph: RuleGraph, entry: FrontendEntry | None, target: Heading, sources: Sources, excuse: Excuse
) -> list[Intent]:
    """Return how packets should end."""
    everybody = sources.everybody
    if entry is None or (entry.refuses and excuse(graph, target, entry)):
        return [Intent(everybody, PASS, (1, 1))]
    return list(_Visit(graph.settings, entry, target, sources).start())


class _Visit:
    """The way of many senders' packets through one fragment."""

    def __init__(
        self, settings: NodeSettings, entry: FrontendEntry, target: Heading, sources: Sources
    ) -> None:
        self.settings = settings
        self.entry = entry
        self.target = target
        self.sources = sources
        self.nodes = {node.id: node for node in entry.fragment.nodes()}
        self.pods = self._pods()

    def _pods(self) -> int:
        """Return who is a pod of this node."""
        detector = self.settings.local_detector
        match detector.kind:
            case "cidr":
                return self.sources.network(network(detector.value))
            case "bridge":
                return self.sources.interface(detector.value)
            case "prefix":
                own = self.target.is_node
                return 0 if own else self.sources.interface(f"{detector.value}+")
        return 0

    def start(self) -> Iterator[Intent]:
        everybody = self.sources.everybody
        masquerade = {
            "always": everybody,
            "never": 0,
            "off-cluster": everybody & ~self.pods,
        }[self.entry.dispatch.masquerade]
        yield from self.visit(self.entry.target, everybody, (1, 1), masquerade)

    def visit(self, name: str, mask: int, chance: Ratio, masquerade: int) -> Iterator[Intent]:
        """Yield how packets of `mask` end at a node; those in `masquerade` lose their source."""
        if not mask:
            return
        node = self.nodes[name]
        match node:
            case Firewall():
                inside = mask & self._inside(node)
                yield from self.visit(node.target, inside, chance, masquerade)
                yield from self.visit(node.otherwise, mask & ~inside, chance, masquerade)
            case External() if not node.keep_source:
                yield from self.visit(node.target, mask, chance, masquerade | mask)
            case External():
                pods = mask & self.pods
                own = mask & ~self.pods & self._own()
                yield from self.visit(node.cluster, pods | own, chance, masquerade | own)
                yield from self.visit(node.target, mask & ~pods & ~own, chance, masquerade)
            case Balance():
                yield from self._balance(node, mask, chance, masquerade)
            case Translate():
                yield from self._translate(node, mask, chance, masquerade)
            case Reject():
                yield Intent(mask, ("reject",), chance, self.entry, node)
            case Drop():
                yield Intent(mask, ("drop",), chance, self.entry, node)

    def _inside(self, node: Firewall) -> int:
        found = 0
        for text in (*node.ranges, *node.own_addresses):
            found |= self.sources.network(network(text))
        return found

    def _own(self) -> int:
        """Return who sends from an address of the node's."""
        found = 0
        for text in self.settings.addresses:
            found |= self.sources.network((number(text), number(text)))
        if self.settings.family == "IPv4":
            found |= self.sources.network(LOOPBACK)
        return found

    def _balance(
        self, node: Balance, mask: int, chance: Ratio, masquerade: int
    ) -> Iterator[Intent]:
        if node.affinity:
            for name in node.targets:
                translate = self.nodes[name]
                assert isinstance(translate, Translate)
                place = frozenset((_place(translate),))
                known = mask & self.sources.remembers(place, node.affinity)
                yield from self.visit(name, known, chance, masquerade)
                mask &= ~known
        if mask:
            # Nothing before it leaves anything to chance.
            share = (1, len(node.targets))
            for name in node.targets:
                translate = self.nodes[name]
                assert isinstance(translate, Translate)
                yield from self._translate(translate, mask, share, masquerade)

    def _translate(
        self, node: Translate, mask: int, chance: Ratio, masquerade: int
    ) -> Iterator[Intent]:
        address, port = _place(node)
        if not self.target.is_node and self.settings.is_node_address(node.address):
            # It is marked like any other, and never passes the hook that masquerades.
            hidden = 0
        else:
            hidden = mask & (masquerade | self.sources.network((address, address)))
        if hidden:
            yield Intent(hidden, ("deliver", address, port, "node"), chance, self.entry, node)
        if mask & ~hidden:
            yield Intent(mask & ~hidden, ("deliver", address, port, ""), chance, self.entry, node)


def _place(node: Translate) -> Endpoint:
    return number(node.address), node.port


def by_iptables(graph: RuleGraph, target: Heading, entry: FrontendEntry) -> bool:
    """Return whether iptables rules leave out a refusal, as the reference's do.

    KUBE-EXTERNAL-SERVICES is reached from INPUT and FORWARD only: what the node itself sends to a
    refused address that is not its own goes out.
    """
    address = text_of(target.address, graph.settings.family)
    node = entry.fragment.node(entry.target)
    where = (address, target.protocol.upper(), target.port)
    return (
        target.is_node
        and isinstance(node, Reject)
        and not graph.settings.is_node_address(address)
        and all(each.frontend != "cluster-ip" for _, each in graph.frontends.get(where, ()))
    )
