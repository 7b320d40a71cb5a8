"""What a graph means in mode ipvs: a virtual server for each address and port, and a few rules.

A virtual server knows no sources, so some packets end otherwise than the graph says. Source of the
behaviour: ``syncProxyRules`` and ``writeIptablesRules`` in pkg/proxy/ipvs/proxier.go of Kubernetes
v1.36.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from svcnet.addresses import contains
from svcnet.graph import (
    Balance,
    Deliver,
    Dispatch,
    Drop,
    Fragment,
    Outcome,
    Packet,
    Pass,
    Refuse,
    Reject,
    RuleGraph,
    Translate,
)
from svcnet.graph.evaluate import FrontendEntry, Verdict
from svcnet.meaning.comparison.intent import (
    PASS,
    Ending,
    Heading,
    Intent,
    OneClaimDialect,
    place_of,
)
from svcnet.meaning.ipvs.schedulers import choice, shares
from svcnet.meaning.sources import Sources
from svcnet.meaning.spans import LOOPBACK, Span, network, number, text_of
from svcnet.netfilter.ipvs.messages import SCHED1, SCHED2


class _Server(NamedTuple):
    """A frontend that has a virtual server for an address and port."""

    fragment: Fragment
    dispatch: Dispatch


class IPVSDialect(OneClaimDialect):
    """Mode ipvs.

    - The addresses of Services are the node's own. A port of one that no Service has is refused.
    - Of several frontends with one address and port the last one's endpoints are taken, and the
      sets of all.
    - A policy Local without endpoints here leads to those of other nodes.
    - Pods and the node itself meet the same endpoints as others; a source is hidden by what the
      address is.
    - Ranges of sources hold also without endpoints, and for the node itself only if it sends from
      the load balancer's address.
    """

    def __init__(self, graph: RuleGraph) -> None:
        super().__init__(graph)
        own = self.settings
        self._served = frozenset(
            each
            for each in (
                own.addresses if own.node_port_addresses is None else own.node_port_addresses
            )
            if each != "::1" and not each.startswith(("127.", "fe80:"))
        )

    @property
    def _loopback(self) -> Span:
        return LOOPBACK if self.settings.family == "IPv4" else (1, 1)

    def special(self) -> Collection[int]:
        """Return the addresses that are put on the machine for Services."""
        return self._addresses

    @cached_property
    def _addresses(self) -> Mapping[int, None]:
        """The addresses that are put on the machine for Services, in the order of the Services."""
        return dict.fromkeys(
            number(dispatch.address)
            for fragment in self.graph
            for dispatch in fragment.dispatches
            if dispatch.frontend == "cluster-ip"
            or (dispatch.address and not self.settings.is_node_address(dispatch.address))
        )

    @cached_property
    def _checks(self) -> frozenset[int]:
        """The ports of health checks, which are let in everywhere."""
        return frozenset(
            fragment.health_check.port
            for fragment in self.graph
            if fragment.health_check is not None
            and (self._served or all(d.frontend != "node-port" for d in fragment.dispatches))
        )

    @cached_property
    def _loops(self) -> frozenset[tuple[str, int, int]]:
        """The endpoints on this node, which get the node's address when they send to themselves."""
        return frozenset(
            (fragment.name.protocol.lower(), number(each.address), each.port)
            for fragment in self.graph
            for each in fragment.local_endpoints
        )

    def destinations(self) -> Iterable[tuple[int, str, int]]:
        """Return the endpoints on this node."""
        return ((address, protocol, port) for protocol, address, port in sorted(self._loops))

    def servers(self, target: Heading) -> Sequence[_Server]:
        """Return the frontends of an address and port, the one last whose endpoints are taken."""
        address = text_of(target.address, self.settings.family)
        where = (target.protocol.upper(), target.port)
        found = list(self.graph.frontends.get((address, *where), ()))
        if address in self._served:
            found += self.graph.frontends.get(("", *where), ())
        claims = [_Server(fragment, dispatch) for fragment, dispatch in found]
        return sorted(claims, key=lambda claim: claim.fragment.name)

    def entry(self, target: Heading) -> FrontendEntry | None:
        """Return the frontend whose endpoints are taken, None for packets that are no Service's."""
        claims = self.servers(target)
        if not claims:
            return None
        fragment, dispatch = claims[-1]
        return FrontendEntry(fragment, dispatch, dispatch.target)

    def elsewhere(self, target: Heading) -> Ending:
        """Return how packets end that no frontend takes: refused on a Service's address."""
        if target.address in self._addresses and target.port not in self._checks:
            return ("reject",)
        return PASS

    def astray(
        self, entry: FrontendEntry | None, target: Heading, sources: Sources, mask: int
    ) -> Iterator[Intent]:
        """Yield how packets end that no frontend takes: the rules hide some sources all the same.

        They are those of an endpoint that sends to itself, of a process that sends from a cluster
        IP to a port which that has, and of the node to its own address and the number of a node
        port.
        """
        ending = self.elsewhere(target)
        hidden = 0
        is_own = self.settings.is_node_address(text_of(target.address, self.settings.family))
        if ending == PASS and (target.is_node or not is_own):
            if target.is_node:
                hidden = self._from_cluster_ip(target, sources)
                if self._is_node_port(target):
                    hidden = sources.everybody
                hidden &= ~sources.network(self._loopback)
            if (target.protocol, target.address, target.port) in self._loops:
                hidden |= sources.network((target.address, target.address))
        for some, end in ((mask & hidden, ("pass", "node")), (mask & ~hidden, ending)):
            if some:
                yield Intent(some, end, (1, 1), entry if ending == PASS else None)

    def kept_out(self, target: Heading, sources: Sources) -> int:
        """Return who is in no range of sources of a load balancer."""
        claims = self.servers(target)
        itself = (target.address, target.address)
        spans: list[Span] = []
        keeps_itself_out = False
        for fragment, dispatch in claims:
            ranges = fragment.policy.source_ranges
            if dispatch.frontend == "load-balancer" and ranges:
                lets_node_in = any(contains(each, self.settings.node_ip) for each in ranges)
                keeps_itself_out |= not lets_node_in
                spans += [*map(network, ranges), *([itself] if lets_node_in else ())]
        if not spans:
            return 0
        if target.is_node:
            is_sent = keeps_itself_out and self._reals(claims[-1])
            return sources.network(itself) if is_sent else 0
        sources.foresee(spans)
        inside = 0
        for span in spans:
            inside |= sources.network(span)
        return sources.everybody & ~inside

    def visit(
        self, entry: FrontendEntry, target: Heading, sources: Sources, mask: int
    ) -> Iterator[Intent]:
        """Yield how packets of some senders end that a frontend takes."""
        fragment = entry.fragment
        reals = self._reals(_Server(fragment, entry.dispatch))
        weights = [each.weight for each in reals]
        scheduler = fragment.policy.scheduler or self.settings.ipvs.scheduler
        parts = shares(scheduler, weights)
        if not any(parts):
            node = next((each for each in fragment.refusals), None)
            yield Intent(mask, ("reject",), (1, 1), entry, node)
            return
        flags = SCHED1 | (SCHED2 if scheduler == "mh" else 0)
        how = ", ".join(choice(scheduler, flags, weights))
        marked = self._mask_by_address(target, sources)
        balance = fragment.cluster or fragment.local
        if balance is not None and balance.affinity:
            for each, part in zip(reals, parts, strict=True):
                if part:
                    place = frozenset((place_of(each),))
                    known = mask & sources.remembers(place, balance.affinity)
                    yield from self._send(entry, each, (1, 1), how, known, marked, target, sources)
                    mask &= ~known
        for each, part in zip(reals, parts, strict=True):
            if part:
                ratio = part.as_integer_ratio()
                yield from self._send(entry, each, ratio, how, mask, marked, target, sources)

    def outcomes(self, meant: Sequence[Intent], packet: Packet) -> tuple[Outcome, ...]:
        """Return how a packet of a Service should end, for people."""
        return tuple(Outcome(self._verdict(each), Fraction(*each.chance), ()) for each in meant)

    def _verdict(self, meant: Intent) -> Verdict:
        match meant.ending:
            case ("deliver", int(address), int(port), source, *_):
                return Deliver(text_of(address, self.settings.family), port, bool(source))
            case ("pass", _):
                return Pass()
        how = str(meant.ending[0])
        if how == "drop":
            return Refuse(how, "does not accept this source")
        reason = meant.node.reason if isinstance(meant.node, Reject | Drop) else ""
        return Refuse(how, reason or "has no endpoint that takes connections")

    def _reals(self, claim: _Server) -> list[Translate]:
        """Return the endpoints that a virtual server has."""
        fragment, dispatch = claim
        if dispatch.frontend == "cluster-ip":
            is_local = dispatch.target in ("local", "drop")
        else:
            is_local = fragment.policy.external_local
        balance: Balance | None = fragment.cluster
        if is_local:
            balance = fragment.local or fragment.cluster
        if balance is None:
            return []
        chosen = frozenset(balance.targets)
        return [each for each in fragment.translates if each.id in chosen]

    def _send(
        self,
        entry: FrontendEntry,
        node: Translate,
        chance: tuple[int, int],
        how: str,
        mask: int,
        marked: int,
        target: Heading,
        sources: Sources,
    ) -> Iterator[Intent]:
        """Yield how packets end that go to an endpoint."""
        address, port = place_of(node)
        hidden = 0
        if target.is_node or not self.settings.is_node_address(node.address):
            hidden = mask & marked
            if (target.protocol, address, port) in self._loops:
                hidden |= mask & sources.network((address, address))
        ends = ("deliver", address, port)
        label = (how,) if how else ()
        for some, source in ((hidden, "node"), (mask & ~hidden, "")):
            if some:
                yield Intent(some, (*ends, source, *label), chance, entry, node)

    def _mask_by_address(self, target: Heading, sources: Sources) -> int:
        """Return whose packets get the node's address, by what the address is."""
        claims = self.servers(target)
        found = self._from_cluster_ip(target, sources)
        kinds: dict[str, list[Fragment]] = {}
        for fragment, dispatch in claims:
            kinds.setdefault(dispatch.frontend, []).append(fragment)
        balancers = kinds.get("load-balancer", ())
        if balancers and not any(each.policy.external_local for each in balancers):
            found = sources.everybody
        if "cluster-ip" in kinds:
            found |= self._mask_of_cluster_ip(sources)
        outside = kinds.get("external-ip", ())
        if any(not each.policy.external_local for each in outside):
            found = sources.everybody
        if not outside and self._is_node_port(target):
            found = sources.everybody
        return found & ~sources.network(self._loopback)

    def _is_node_port(self, target: Heading) -> bool:
        """Return whether packets for a port are taken for those of a node port that hides sources.

        The rules ask for the number of the port, whichever of the node's addresses it is at.
        """
        address = text_of(target.address, self.settings.family)
        is_own = self.settings.is_node_address(address) or target.address in self._addresses
        if target.protocol == "sctp":
            is_own = address in self._served
        ports = self.graph.frontends.get(("", target.protocol.upper(), target.port), ())
        return (
            is_own
            and bool(self._served)
            and bool(ports)
            and not any(fragment.policy.external_local for fragment, _ in ports)
        )

    def _mask_of_cluster_ip(self, sources: Sources) -> int:
        """Return whose packets for a cluster IP get the node's address."""
        settings = self.settings
        everybody = sources.everybody
        if settings.masquerade_all:
            return everybody
        detector = settings.local_detector
        match detector.kind:
            case "cidr":
                return everybody & ~sources.network(network(detector.value))
            case "bridge":
                return everybody & ~sources.interface(detector.value)
            case "prefix":
                return everybody & ~sources.interface(f"{detector.value}+")
        return 0

    def _from_cluster_ip(self, target: Heading, sources: Sources) -> int:
        """Return who sends from a cluster IP that has the port, where pods are not known."""
        if not target.is_node or self.settings.masquerade_all:
            return 0
        if self.settings.local_detector.kind != "none":
            return 0
        there = self._cluster_ips.get((target.protocol, target.port))
        return sources.among(there) if there else 0

    @cached_property
    def _cluster_ips(self) -> Mapping[tuple[str, int], frozenset[int]]:
        """The cluster IPs that have a protocol and port; the node can send from each."""
        found: dict[tuple[str, int], set[int]] = {}
        for (address, protocol, port), there in self.graph.frontends.items():
            if any(dispatch.frontend == "cluster-ip" for _, dispatch in there):
                found.setdefault((protocol.lower(), port), set()).add(number(address))
        return {key: frozenset(addresses) for key, addresses in found.items()}
