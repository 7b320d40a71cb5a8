"""The way of packets through the tables to a proxy, and of its own connections to endpoints.

Source: docs/explanation/userspace.md, and :mod:`svcnet.servers.userspace`, which does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import or_

from svcnet.meaning.chance import of_turns
from svcnet.meaning.ends import Blind, PacketGroup, SenderAsked
from svcnet.meaning.facts import OWN
from svcnet.meaning.flow import Branch, Leaf
from svcnet.meaning.iptables.walk import Walk, WalkRules
from svcnet.meaning.sources import Endpoint, Memory, OneSender, Sender, Sources
from svcnet.meaning.userspace.table import ListenerEntry

NO_TABLE = "its table is not known; svcnet status --proxy-table prints that of one that runs"
"""What stands in the place of a rule where nobody says what the proxy does."""

Dial = Callable[[str, Endpoint], Leaf]
"""Says how a connection of the node to an endpoint ends."""


class ProxyWalk(Walk):
    """Packets of some senders to one destination, of one protocol, past a proxy.

    ``listeners`` are its, None if nobody knows them; then ``ports`` are those that rules for
    Services lead to. ``dial`` says how it gets to an endpoint.
    """

    def __init__(
        self,
        packets: PacketGroup,
        rules: WalkRules,
        listeners: Mapping[tuple[str, int], ListenerEntry] | None,
        ports: frozenset[tuple[str, int]],
        dial: Dial,
    ) -> None:
        super().__init__(packets, rules)
        self.listeners = listeners
        self.ports = ports
        self.dial = dial

    def leaves(self, *, is_node: bool) -> list[Leaf]:
        """Return how packets end that come in by an interface, or that the node itself sends."""
        found = super().leaves(is_node=is_node)
        return [end for leaf in found for end in self._arrive(leaf)]

    def _arrive(self, leaf: Leaf) -> Iterator[Leaf]:
        """Yield how packets end, those of the proxy's ports at their endpoints."""
        header = leaf.flow.header
        is_here = leaf.kind in ("deliver", "pass") and self.facts.is_local(header.address)
        if not is_here or self.state != "NEW":
            yield leaf
            return
        place = self.protocol, header.port
        if self.listeners is None:
            is_of_proxy = header.is_translated and place in self.ports
            yield Leaf("unknown", leaf.flow, NO_TABLE) if is_of_proxy else leaf
            return
        listener = self.listeners.get(place)
        if listener is None:
            yield leaf
            return
        yield from self._serve(listener, leaf.flow.past(listener) if self.notes else leaf.flow)

    def _serve(self, listener: ListenerEntry, flow: Branch) -> Iterator[Leaf]:
        """Yield how packets end that a listener gets."""
        if listener.answer != "serve":
            how = "reject" if listener.answer == "refuse" else "drop"
            yield Leaf(how, flow, listener)
            return
        if listener.sources:
            if flow.header.source:
                # Which of the node's addresses it is that the proxy sees, nobody says.
                yield Leaf("unknown", flow, listener)
                return
            self.sources.foresee(listener.sources)
            inside = reduce(or_, map(self.sources.network, listener.sources))
            if outside := flow.mask & ~inside:
                yield Leaf("drop", flow.of(outside), listener)
            flow = flow.of(flow.mask & inside)
        if listener.seconds:
            for endpoint in listener.endpoints:
                known = flow.mask & self.sources.remembers(frozenset((endpoint,)), listener.seconds)
                if known:
                    yield self._hand(flow.of(known), endpoint)
                    flow = flow.of(flow.mask & ~known)
        if flow.mask:
            luck, _ = flow.luck.split(of_turns(len(listener.endpoints)))
            for endpoint in listener.endpoints:
                yield self._hand(flow.by(luck), endpoint)

    def _hand(self, flow: Branch, endpoint: Endpoint) -> Leaf:
        """Return how packets end whose connection the proxy carries to an endpoint."""
        onward = self.dial(self.protocol, endpoint)
        header = onward.flow.header
        if onward.kind == "unknown":
            return Leaf("unknown", flow, onward.rule)
        sent = flow.header.with_destination(header.address, header.port)
        sent = sent.with_source(header.source or "node")
        sent = sent._replace(is_redirected=header.is_redirected)
        return Leaf("deliver", flow.with_header(sent), None)


class Dialer:
    """Says how the node's own connections to endpoints end, each found out once.

    `walk` follows packets of a sender to a destination.
    """

    def __init__(
        self, own: frozenset[int], walk: Callable[[Sources, str, Endpoint], list[Leaf]]
    ) -> None:
        self._own = own
        self._walk = walk
        self._known: dict[tuple[str, Endpoint], Leaf] = {}

    def dial(self, protocol: str, endpoint: Endpoint) -> Leaf:
        """Return the end of a connection; unknown for all but those that get somewhere."""
        key = protocol, endpoint
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._dial(protocol, endpoint)
        return found

    def _dial(self, protocol: str, endpoint: Endpoint) -> Leaf:
        leaves = self._leaves(protocol, endpoint)
        first = leaves[0]
        ends = {(leaf.kind, leaf.flow.header, bool(leaf.flow.doubts)) for leaf in leaves}
        has_arrived = first.kind in ("pass", "deliver") and first.flow.header.address != OWN
        if len(ends) == 1 and has_arrived and not first.flow.doubts:
            return first
        # An endpoint that a rule keeps from it is passed over for another: that is not followed.
        rules = [leaf.rule for leaf in leaves if leaf.rule is not None]
        rules += [doubt[2] for leaf in leaves for doubt in leaf.flow.doubts]
        return Leaf("unknown", first.flow, rules[0] if rules else NO_TABLE)

    def _leaves(self, protocol: str, endpoint: Endpoint) -> list[Leaf]:
        """Return how packets to an endpoint end, of every address that the node can have."""
        try:
            return self._walk(Blind(), protocol, endpoint)
        except SenderAsked:
            return [
                leaf
                for address in sorted(self._own)
                for leaf in self._walk(
                    OneSender(Sender(address, "", Memory()), frozenset()), protocol, endpoint
                )
            ]
