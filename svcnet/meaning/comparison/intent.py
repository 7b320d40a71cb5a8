"""What a graph means for the packets of many senders at once.

It is what :func:`svcnet.graph.evaluate` says of each of them, at the cost of one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from attrs import evolve

from svcnet.graph import (
    Balance,
    Deliver,
    Drop,
    External,
    Firewall,
    GraphNode,
    NodeSettings,
    Outcome,
    Packet,
    Reject,
    RuleGraph,
    Translate,
)
from svcnet.graph.evaluate import FrontendEntry, entries, entry_ways, refusing_entry
from svcnet.meaning.claims import asks_itself, guarding, ranges_of, refusing, table_entry
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


class Heading(NamedTuple):
    """A destination, and whether it is the node itself that sends."""

    address: int
    protocol: str
    port: int
    is_node: bool


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
    endpoints = frozenset(map(place_of, fragment.translates))
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


class Dialect:
    """What a graph means in a mode, as far as that is a way of its own.

    By itself it says what the graph means: of frontends with one destination each is asked in its
    turn, until one has an endpoint for the packet.
    """

    def __init__(self, graph: RuleGraph) -> None:
        self.graph = graph
        self.settings = graph.settings

    def special(self) -> Collection[int]:
        """Return the addresses that are told from others whatever their port."""
        return ()

    def destinations(self) -> Iterable[tuple[int, str, int]]:
        """Return the destinations that no frontend names and that are told from others."""
        return ()

    def where(self, target: Heading) -> tuple[str, str, int]:
        """Return a destination as a graph names it."""
        address = text_of(target.address, self.settings.family)
        return address, target.protocol.upper(), target.port

    def entry(self, target: Heading) -> FrontendEntry | None:
        """Return the frontend that takes the packets, None for those that are no Service's.

        Where it depends on the sender that is the first that takes packets of some.
        """
        found = (each for each in self.claims(target) if not each.refuses)
        return next(found, None) or self.refusing(target)

    def claims(self, target: Heading) -> Sequence[FrontendEntry]:
        """Return the frontends that are asked one after the other."""
        return entries(self.graph, *self.where(target))

    def refusing(self, target: Heading) -> FrontendEntry | None:
        """Return the frontend that refuses what all of them refuse, None if none does."""
        return refusing_entry(self.graph, *self.where(target))

    def answers(self, target: Heading, sources: Sources, mask: int) -> Iterator[Intent]:
        """Yield how packets of some senders end, whoever answers them or nobody."""
        for claim in self.claims(target):
            refused = 0
            for each in self.visit(claim, target, sources, mask):
                if isinstance(each.node, Reject | Drop):
                    refused |= each.mask
                else:
                    yield each
            mask = refused
        if not mask:
            return
        last = self.refusing(target)
        if last is None or (last.refuses and self.is_left_out(target, last)):
            yield from self.astray(last, target, sources, mask)
        else:
            yield from self.visit(last, target, sources, mask)

    def visit(
        self, entry: FrontendEntry, target: Heading, sources: Sources, mask: int
    ) -> Iterator[Intent]:
        """Yield how packets of some senders end that a frontend takes."""
        return _Visit(self, entry, target, sources).start(mask)

    def outcomes(self, meant: Sequence[Intent], packet: Packet) -> tuple[Outcome, ...]:
        """Return how a packet of a Service should end, for people; `meant` is of its sender.

        Whose source is hidden is what rules of the mode do.
        """
        hidden = {each.ending[1:3]: bool(each.ending[3]) for each in meant if len(each.ending) > 3}
        found = entry_ways(self.graph, packet, meant[0].entry)
        return tuple(_with_source(each.outcome, hidden) for each in found)

    def is_left_out(self, target: Heading, entry: FrontendEntry) -> bool:
        """Return whether a refusal is left out."""
        return False

    def elsewhere(self, target: Heading) -> Ending:
        """Return how packets end that no frontend takes."""
        return PASS

    def astray(
        self,
        entry: FrontendEntry | None,
        target: Heading,
        sources: Sources,
        mask: int,
    ) -> Iterator[Intent]:
        """Yield how packets of some senders end that no frontend takes.

        `entry` is of one that would refuse them.
        """
        ending = self.elsewhere(target)
        yield Intent(mask, ending, (1, 1), entry if ending == PASS else None)

    def kept_out(self, target: Heading, sources: Sources) -> int:
        """Return whose packets are dropped before any frontend takes them."""
        return 0

    def hides_from_itself(self, target: Heading, node: Translate) -> bool:
        """Return whether an endpoint that sends to itself gets the node's address as source."""
        return True


def _with_source(outcome: Outcome, hidden: Mapping[tuple[object, ...], bool]) -> Outcome:
    """Return an outcome that hides the source if its endpoint is one of those `hidden` from."""
    verdict = outcome.verdict
    if not isinstance(verdict, Deliver):
        return outcome
    place = number(verdict.address), verdict.port
    return evolve(
        outcome, verdict=evolve(verdict, masquerade=hidden.get(place, verdict.masquerade))
    )


class IptablesDialect(Dialect):
    """Mode iptables.

    KUBE-EXTERNAL-SERVICES is reached from INPUT and FORWARD only: what the node itself sends to a
    refused address that is not its own goes out.
    """

    def is_left_out(self, target: Heading, entry: FrontendEntry) -> bool:
        """Return whether the node itself sends to what is refused to others."""
        address, *_ = self.where(target)
        return (
            target.is_node
            and isinstance(entry.fragment.node(entry.target), Reject)
            and not self.settings.is_node_address(address)
            and entry.dispatch.frontend != "cluster-ip"
        )


class TreesDialect(IptablesDialect):
    """Mode iptables in trees: of those that refuse, one with the address comes first."""

    def refusing(self, target: Heading) -> FrontendEntry | None:
        """Return the frontend that refuses what all of them refuse, None if none does."""
        return refusing_entry(self.graph, *self.where(target), address_first=True)


class OneClaimDialect(Dialect):
    """A mode in which one frontend alone is asked, whoever else claims its destination."""

    def claims(self, target: Heading) -> Sequence[FrontendEntry]:
        """Return the frontend that is asked, if there is one."""
        found = self.entry(target)
        return () if found is None else (found,)

    def refusing(self, target: Heading) -> FrontendEntry | None:
        """Return the same, which refuses what it does not take."""
        return self.entry(target)


class NFTablesDialect(OneClaimDialect):
    """Mode nftables.

    - Addresses that do not answer node ports refuse none of them either.
    - A port of a cluster IP that no Service has is rejected, if the packet goes on from here, and
      what is for other addresses of ServiceCIDRs is dropped.
    - Ranges of sources hold also for a load balancer's address that has no endpoints.
    - An endpoint of another node that sends to itself by way of this one keeps its source.
    - Of Services that claim one destination the last has it (:mod:`svcnet.meaning.claims`).
    """

    def __init__(self, graph: RuleGraph) -> None:
        super().__init__(graph)
        # In an order that does not change.
        self._cluster_ips = dict.fromkeys(map(number, graph.cluster_ips))
        self._ranges = list(map(network, graph.settings.service_cidrs))
        self._here = {
            (fragment.name.protocol.lower(), *place_of(each))
            for fragment in graph
            for each in fragment.translates
            if each.local
        }

    def special(self) -> Collection[int]:
        """Return the cluster IPs."""
        return self._cluster_ips

    def is_left_out(self, target: Heading, entry: FrontendEntry) -> bool:
        """Return whether a node port is refused where none is served."""
        where = self.where(target)
        return where not in self.graph.frontends and not self.settings.answers_node_ports(where[0])

    def elsewhere(self, target: Heading) -> Ending:
        """Return how packets end that no frontend takes: refused where a Service could be."""
        if self.settings.is_node_address(text_of(target.address, self.settings.family)):
            return PASS
        if target.address in self._cluster_ips:
            return ("reject",)
        if any(first <= target.address <= last for first, last in self._ranges):
            return ("drop",)
        return PASS

    def entry(self, target: Heading) -> FrontendEntry | None:
        """Return the frontend that takes the packets, None for those that are no Service's."""
        return table_entry(self.graph, *self.where(target))

    def visit(
        self, entry: FrontendEntry, target: Heading, sources: Sources, mask: int
    ) -> Iterator[Intent]:
        """Yield how packets of some senders end that a frontend takes."""
        firewall = entry.fragment.firewall
        kept_out = firewall.otherwise if firewall is not None else ""
        for each in super().visit(entry, target, sources, mask):
            if isinstance(each.node, Reject | Drop) and each.node.id != kept_out:
                where = self.where(target)
                node = refusing(self.graph, *where, is_of_node=target.is_node) or each.node
                yield each._replace(ending=_refusal(node), node=node)
            else:
                yield each

    def kept_out(self, target: Heading, sources: Sources) -> int:
        """Return who is in no range of sources of a load balancer that is another's frontend."""
        guard = guarding(self.graph, *self.where(target))
        entry = self.entry(target) if guard is not None else None
        if guard is None or entry is None or asks_itself(entry, guard[0]):
            return 0
        spans = list(map(network, ranges_of(self.graph, guard[0])))
        sources.foresee(spans)
        inside = 0
        for span in spans:
            inside |= sources.network(span)
        return sources.everybody & ~inside

    def hides_from_itself(self, target: Heading, node: Translate) -> bool:
        """Return whether an endpoint is on this node."""
        return (target.protocol, *place_of(node)) in self._here


def intents(
    dialect: Dialect, entry: FrontendEntry | None, target: Heading, sources: Sources
) -> list[Intent]:
    """Return how packets should end."""
    everybody = sources.everybody
    out = dialect.kept_out(target, sources)
    found = [Intent(out, ("drop",), (1, 1), entry)] if out else []
    return [*found, *dialect.answers(target, sources, everybody & ~out)]


class _Visit:
    """The way of many senders' packets through one fragment."""

    def __init__(
        self, dialect: Dialect, entry: FrontendEntry, target: Heading, sources: Sources
    ) -> None:
        self.dialect = dialect
        self.settings = dialect.settings
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

    def start(self, everybody: int) -> Iterator[Intent]:
        """Yield how packets of some senders end."""
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
            case Reject() | Drop():
                yield Intent(mask, _refusal(node), chance, self.entry, node)

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
                place = frozenset((place_of(translate),))
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
        address, port = place_of(node)
        if not self.target.is_node and self.settings.is_node_address(node.address):
            # It is marked like any other, and never passes the hook that masquerades.
            hidden = 0
        else:
            hidden = mask & masquerade
            if self.dialect.hides_from_itself(self.target, node):
                hidden |= mask & self.sources.network((address, address))
        if hidden:
            yield Intent(hidden, ("deliver", address, port, "node"), chance, self.entry, node)
        if mask & ~hidden:
            yield Intent(mask & ~hidden, ("deliver", address, port, ""), chance, self.entry, node)


def _refusal(node: Reject | Drop) -> Ending:
    return ("reject",) if isinstance(node, Reject) else ("drop",)


def place_of(node: Translate) -> Endpoint:
    """Return the address and port of an endpoint."""
    return number(node.address), node.port
