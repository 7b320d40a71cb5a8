"""How packets end once they are translated, for those whose sender nobody asks for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import NamedTuple

from svcnet.meaning.chance import Luck, certain
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Balancer, Branch, Leaf, Meetings, PacketHead
from svcnet.meaning.sources import Sources
from svcnet.meaning.spans import Span

START: Luck = certain()
"""The luck of every packet before any rule."""

End = tuple[str, str, object, frozenset[object]]
"""How packets end: the kind, the source that they have then, the rule that ended them, and what
they met on the way of the rules that somebody wants to know of."""


class Ends:
    """What is known of ends; it fills while packets are looked at.

    Two destinations that no rule on the way tells apart have the same end. ``networks``, ``ports``
    and ``servers`` (of virtual servers, the addresses) are what those rules name; they may ask for
    where packets were headed at first (``asks_for_origin``).
    """

    def __init__(
        self,
        networks: Iterable[Span],
        ports: Iterable[Span],
        servers: Iterable[Span] = (),
        *,
        asks_for_origin: bool = False,
    ) -> None:
        self.asks_for_origin = asks_for_origin
        self.most_steps = MOST_STEPS
        self._known: dict[object, End | None] = {}
        spans = list(networks)
        self._alone = {first for first, last in spans if first == last}
        self._networks = sorted(
            {at for first, last in spans if first != last for at in (first, last + 1)}
        )
        self._ports = sorted({at for first, last in ports for at in (first, last + 1)})
        self._servers = tuple(servers)

    def key(self, header: PacketHead, *others: object) -> object:
        """Return what the end depends on: of a packet, and of what else there is."""
        address = header.address
        return (
            *others,
            *(header.mark, header.connmark, header.is_translated, header.source),
            *(header.is_tracked, header.way, header.is_redirected),
            (address,) if address in self._alone else bisect_right(self._networks, address),
            bisect_right(self._ports, header.port),
            self._server(header.balancer),
        )

    def _server(self, server: Balancer | None) -> object:
        """Return what rules can ask of the virtual server that sent a packet on."""
        if server is None or not self._servers:
            return server is not None
        named = any(first <= server.address <= last for first, last in self._servers)
        return server[:3] if named else True

    def leaf(
        self,
        key: object,
        flow: Branch,
        find: Callable[[PacketHead], End | None],
        meetings: Meetings | None = None,
    ) -> Leaf | None:
        """Return how a flow ends, None if that depends on who sends. `find` is for a new key.

        What is met on the way is noted too, of rules that are the same each time.
        """
        if meetings is not None:
            key = key, True
        if key in self._known:
            end = self._known[key]
        else:
            end = self._known[key] = find(flow.header)
        if end is None:
            return None
        kind, source, rule, met = end
        if meetings is not None:
            meetings.met |= met
        if source != flow.header.source:
            flow = flow.with_header(flow.header.with_source(source))
        return Leaf(kind, flow, rule)


class SenderAsked(Exception):  # noqa: N818  (no error)
    """Somebody asks for the sender."""


class Blind:
    """A sender of whom nothing is known. Raises :class:`SenderAsked` for any question."""

    everybody = 1

    def foresee(self, spans: object) -> None:
        raise SenderAsked

    def network(self, span: object) -> int:
        raise SenderAsked

    def among(self, addresses: object) -> int:
        raise SenderAsked

    def local(self, is_local: object) -> int:
        raise SenderAsked

    def interface(self, pattern: str) -> int:
        raise SenderAsked

    def remembers(self, endpoints: object, seconds: object) -> int:
        raise SenderAsked


def only_leaf(leaves: list[Leaf]) -> Leaf | None:
    """Return how everybody's packets end alike, None if they do not."""
    only = leaves[0]
    if len(leaves) > 1 or only.flow.doubts or only.flow.luck is not START:
        return None
    return only


MOST_STEPS = 100_000
"""So many jumps and dice are followed for one destination. Rules that are of use have far fewer."""

STEPS_ONCE_LOST = 1_000
"""So many are followed for each other one by rules that somebody was lost in."""

MOST_RULES_MET = 10_000
"""So many rules are noted of one way."""


class PacketGroup(NamedTuple):
    """Packets of some senders to one destination, of one protocol.

    ``state`` is what connection tracking says of them. With ``notes`` each flow has the rules that
    it matched. ``meetings`` notes which rules are matched that somebody wants to know of.
    """

    sources: Sources
    address: int
    protocol: str
    port: int
    state: str = "NEW"
    notes: bool = False
    meetings: Meetings | None = None


class EndWalk:
    """Packets of some senders on their way through rules; what ends all of them is found once."""

    def __init__(self, packets: PacketGroup, facts: Facts, ends: Ends) -> None:
        self.sources = packets.sources
        self.start = PacketHead(packets.address, packets.port)
        self.protocol = packets.protocol
        self.state = packets.state
        self.notes = packets.notes
        self.meetings = packets.meetings
        self.facts = facts
        self.ends = ends
        self.steps = 0

    def leaves(self, *, is_node: bool) -> list[Leaf]:
        """Return how packets end that come in by an interface, or that the node itself sends."""
        raise NotImplementedError

    def is_lost(self, flow: Branch) -> bool:
        """Return whether one step more is too many: chains may lead through 2**64 ways."""
        self.steps += 1
        if self.steps <= self.ends.most_steps and len(flow.path) <= MOST_RULES_MET:
            return False
        self.ends.most_steps = STEPS_ONCE_LOST
        return True

    def _end_routed(self, flow: Branch, *, is_node: bool) -> list[Leaf]:
        """Return how packets end from where the kernel has decided which way they go."""
        raise NotImplementedError

    def _ends_by(self, key: object, flow: Branch, *, is_node: bool) -> list[Leaf]:
        """Return how packets end; those of one `key` end alike, unless it depends on who sends."""
        find = self._node_end if is_node else self._outer_end
        leaf = self.ends.leaf(key, flow, find, self.meetings)
        return self._end_routed(flow, is_node=is_node) if leaf is None else [leaf]

    def _node_end(self, header: PacketHead) -> End | None:
        return self._end(header, is_node=True)

    def _outer_end(self, header: PacketHead) -> End | None:
        return self._end(header, is_node=False)

    def _end(self, header: PacketHead, *, is_node: bool) -> End | None:
        """Return how everybody's packets end alike, None if they do not."""
        sources, meetings, met = self.sources, self.meetings, set[object]()
        self.sources = Blind()
        self.meetings = None if meetings is None else Meetings(meetings.rules, met)
        try:
            only = only_leaf(self._end_routed(Branch(1, START, header), is_node=is_node))
        except SenderAsked:
            return None
        finally:
            self.sources, self.meetings = sources, meetings
        if only is None:
            return None
        return only.kind, only.flow.header.source, only.rule, frozenset(met)
