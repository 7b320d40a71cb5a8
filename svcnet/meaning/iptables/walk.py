"""The way of packets through the tables, in the order in which the kernel's hooks call them.

Source: Linux ``include/uapi/linux/netfilter_ipv4.h`` (priorities of hooks) and
``net/ipv4/netfilter/ip_tables.c`` (``ipt_do_table``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import and_, or_
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from svcnet.family import IPFamily
from svcnet.meaning.ends import START, Ends, EndWalk, PacketGroup
from svcnet.meaning.facts import OWN, Facts
from svcnet.meaning.flow import Branch, Leaf, PacketHead
from svcnet.meaning.iptables.rule import InSet, Test, ToNetwork, XTRule
from svcnet.meaning.sources import ALL, Endpoint, is_like
from svcnet.meaning.spans import LOOPBACK
from svcnet.meaning.ways_out import leave

if TYPE_CHECKING:
    from svcnet.meaning.iptables.chain import Chain

_DEEPEST = 64
_MOST_DOUBTS = 8
_WORD = 0xFFFFFFFF

BEFORE_ROUTING = (("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("nat", "PREROUTING"))
INTO_NODE = (("mangle", "INPUT"), ("filter", "INPUT"), ("security", "INPUT"), ("nat", "INPUT"))
THROUGH_NODE = (("mangle", "FORWARD"), ("filter", "FORWARD"), ("security", "FORWARD"))
OUT_OF_NODE = (
    *(("raw", "OUTPUT"), ("mangle", "OUTPUT"), ("nat", "OUTPUT")),
    *(("filter", "OUTPUT"), ("security", "OUTPUT")),
)
AFTER_ROUTING = (("mangle", "POSTROUTING"), ("nat", "POSTROUTING"))

BACK_INTO_NODE = (*BEFORE_ROUTING[:2], *INTO_NODE[:3])
"""Where packets come by that the node sends to itself; they were translated on the way out."""

AFTER_TRANSLATION = (
    *(*INTO_NODE, *THROUGH_NODE, *OUT_OF_NODE[3:], *AFTER_ROUTING),
    *BEFORE_ROUTING[:2],
)
"""Where packets come through once it is known where they go."""

Tables = Mapping[str, Mapping[str, "Chain"]]


class WalkRules(Protocol):
    """Rules that packets are followed through."""

    facts: Facts
    tables: Tables

    @property
    def lists(self) -> Mapping[str, frozenset[Endpoint]]:
        """For each list of ``recent`` the endpoints that a client is sent to who is put on it."""

    @property
    def ends(self) -> Ends:
        """What is known of how packets end once they are translated."""


class Walk(EndWalk):
    """Packets of some senders to one destination, of one protocol."""

    def __init__(self, packets: PacketGroup, rules: WalkRules) -> None:
        super().__init__(packets, rules.facts, rules.ends)
        self.tables = rules.tables
        self.lists = rules.lists
        self.is_node = False

    def leaves(self, *, is_node: bool) -> list[Leaf]:
        """Return how packets end that come in by an interface, or that the node itself sends."""
        start = Branch(self.sources.everybody, START, self.start)
        if not start.mask:
            return []
        leaves: list[Leaf] = []
        self.is_node = is_node
        first = OUT_OF_NODE[:3] if is_node else BEFORE_ROUTING
        for flow in self._hooks(first, [start], leaves):
            self._route(flow, leaves)
        return leaves

    def _route(self, flow: Branch, leaves: list[Leaf]) -> None:
        """Add how packets end of which the kernel decides now which way they go."""
        leaves += self._rest(flow, is_node=self.is_node)

    def _rest(self, flow: Branch, *, is_node: bool) -> list[Leaf]:
        """Return how packets end that are translated, or will never be."""
        if self.notes:
            return self._end_routed(flow, is_node=is_node)
        header = flow.header
        key = self.ends.key(
            header,
            is_node,
            self.protocol,
            self.state,
            self.type_of(header.address),
            (self.start.address, self.start.port) if self.ends.asks_for_origin else None,
        )
        return self._ends_by(key, flow, is_node=is_node)

    def _end_routed(self, flow: Branch, *, is_node: bool) -> list[Leaf]:
        """Return how packets end from where the kernel has decided which way they go."""
        leaves: list[Leaf] = []
        is_local = self.facts.is_local(flow.header.address)
        if is_node:
            flows = self._hooks(OUT_OF_NODE[3:], [flow], leaves)
            flows = self._hooks(AFTER_ROUTING, flows, leaves)
            if is_local:
                looped = [each.with_header(each.header._replace(is_looped=True)) for each in flows]
                flows = self._hooks(BACK_INTO_NODE, looped, leaves)
        elif is_local:
            flows = self._hooks(INTO_NODE, [flow], leaves)
        else:
            flows = self._hooks(THROUGH_NODE, [flow], leaves)
            flows = self._hooks(AFTER_ROUTING, flows, leaves)
        leaves += [Leaf("deliver" if each.header.is_translated else "pass", each) for each in flows]
        return leaves

    # What tests ask.

    def comes_by(self, header: PacketHead, pattern: str) -> int:
        """Return whose packets come in by an interface."""
        if header.is_looped:
            return ALL if is_like("lo", pattern) else 0
        return self.sources.interface(pattern)

    def states(self, header: PacketHead) -> frozenset[str]:
        """Return what connection tracking says of a packet."""
        if not header.is_tracked:
            return _UNTRACKED
        found = {self.state}
        if header.is_translated and header.balancer is None:
            found.add("DNAT")
        if header.source:
            found.add("SNAT")
        return frozenset(found)

    def type_of(self, address: int) -> str:
        """Return the type of an address to the kernel's routes."""
        if self.facts.is_local(address):
            return "LOCAL"
        bits = 32 if self.facts.family == "IPv4" else 128
        first = address >> (bits - 8)
        is_multicast = 224 <= first < 240 if bits == 32 else first == 0xFF
        return "MULTICAST" if is_multicast else "UNICAST"

    def local_senders(self) -> int:
        """Return who sends from an address of the machine's own."""
        return self.sources.local(self.facts.is_local)

    def remembers(self, name: str, seconds: int | None) -> int:
        """Return who is on a list of ``recent``, since no longer than that."""
        return self.sources.remembers(self.lists.get(name, frozenset()), seconds)

    def in_set(self, name: str, directions: tuple[str, ...], header: PacketHead) -> int:
        """Return who is, with this destination, in a set of ipset."""
        asked = self.facts.sets[name].senders(
            directions, header.address, self.protocol, header.port
        )
        if asked.is_anybody:
            return ALL
        found = self.sources.among(asked.addresses) if asked.addresses else 0
        if asked.ranges:
            self.sources.foresee([span for member in asked.ranges for span in member])
        for member in asked.ranges:
            found |= reduce(and_, map(self.sources.network, member))
        return found

    # The way through tables.

    def _hooks(
        self, hooks: Iterable[tuple[str, str]], flows: list[Branch], leaves: list[Leaf]
    ) -> list[Branch]:
        """Return the flows that every hook lets through; the others' ends go to `leaves`."""
        for table, name in hooks:
            chain = self.tables.get(table, {}).get(name)
            if chain is None or not (chain.texts or chain.policy == "DROP") or not flows:
                continue
            through: list[Branch] = []
            for flow in flows:
                if table == "nat" and not (flow.header.is_tracked and self.state == "NEW"):
                    through.append(flow)
                    continue
                for left in self._chain(chain, flow, through, leaves, 0):
                    if chain.policy == "DROP":
                        leaves.append(Leaf("drop", left, chain))
                    else:
                        through.append(left)
            flows = through
        return flows

    def _chain(
        self, chain: Chain, flow: Branch, through: list[Branch], leaves: list[Leaf], depth: int
    ) -> list[Branch]:
        """Return what comes back from a chain: what it accepts goes to `through`."""
        header = flow.header
        back: list[Branch] = []
        alive = [flow]
        is_vague, is_sure = header.address == OWN, True
        for rule, tests in (
            chain.candidates() if is_vague else chain.at(header.address, self.protocol, header.port)
        ):
            after: list[Branch] = []
            for each in alive:
                mask, header = each.mask, each.header
                if is_vague:
                    mask, is_sure = self._ask_of_own(tests, each)
                else:
                    for test in tests:
                        mask &= test.mask(header, self)
                        if not mask:
                            break
                if not mask:
                    after.append(each)
                    continue
                hit = each
                if mask != each.mask:
                    after.append(each.of(each.mask & ~mask))
                    hit = each.of(mask)
                if rule.way is not None or rule.doubt or not is_sure:
                    for sure in self._assume(rule, hit, after, leaves, is_sure=is_sure):
                        self._execute(rule, sure, after, back, through, leaves, depth)
                else:
                    self._execute(rule, hit, after, back, through, leaves, depth)
            alive = after
            if not alive:
                break
        return back + alive if back else alive

    def _ask_of_own(self, tests: Iterable[Test], flow: Branch) -> tuple[int, bool]:
        """Return for whom tests may be true at an address of the machine's own, and if they are.

        Nobody says which address it is: it is sure what is so of each.
        """
        mask, is_sure, header = flow.mask, True, flow.header
        own = [header._replace(address=each) for each in self.facts.addresses] or [header]
        for test in tests:
            answers = [test.mask(each, self) for each in own]
            if not self.facts.addresses and isinstance(test, ToNetwork | InSet):
                answers += (0, ALL)
            possible = reduce(or_, answers)
            is_sure &= not mask & possible & ~reduce(and_, answers)
            mask &= possible
        return mask, is_sure

    def _assume(
        self,
        rule: XTRule,
        flow: Branch,
        after: list[Branch],
        leaves: list[Leaf],
        *,
        is_sure: bool,
    ) -> list[Branch]:
        """Return the flow as it is if a rule matches that nobody can be sure of.

        The flow as it is if the rule does not goes to `after`. It `is_sure` if all of the rule that
        is understood is true of the flow.
        """
        found = [flow]
        if rule.way is not None:
            pattern, is_negated = rule.way
            hit = leave(self.facts, pattern, rule, flow, after, is_negated=is_negated)
            found = [] if hit is None else [hit]
        if (is_sure and not rule.doubt) or rule.action == "nothing":
            return found
        sure: list[Branch] = []
        for each in found:
            if len(each.doubts) >= _MOST_DOUBTS:
                leaves.append(Leaf("unknown", each, rule))
                continue
            key = (rule, len(each.doubts))
            sure.append(each.assuming((key, True, rule)))
            after.append(each.assuming((key, False, rule)))
        return sure

    def _execute(
        self,
        rule: XTRule,
        flow: Branch,
        after: list[Branch],
        back: list[Branch],
        through: list[Branch],
        leaves: list[Leaf],
        depth: int,
    ) -> None:
        """Do what a rule says."""
        if rule.chance is not None:
            if self.is_lost(flow):
                leaves.append(Leaf("unknown", flow, rule))
                return
            taken, left = flow.luck.split(rule.chance)
            if left.kernel:
                after.append(flow.by(left))
            if not taken.kernel:
                return
            flow = flow.by(taken)
        if self.meetings is not None:
            self.meetings.note(rule)
        if self.notes:
            flow = flow.past(rule)
        action = rule.action
        if action in ("jump", "goto"):
            chain = self.tables[rule.table].get(rule.chain)
            if chain is None or depth > _DEEPEST or self.is_lost(flow):
                leaves.append(Leaf("unknown", flow, rule))
                return
            came = self._chain(chain, flow, through, leaves, depth + 1)
            (after if action == "jump" else back).extend(came)
        elif action == "nothing":
            after.append(flow)
        elif action == "return":
            back.append(flow)
        elif action == "accept":
            through.append(flow)
        elif action in ("drop", "reject"):
            leaves.append(Leaf(action, flow, rule))
        else:
            self._change(rule, flow, after, through, leaves)

    def _change(
        self,
        rule: XTRule,
        flow: Branch,
        after: list[Branch],
        through: list[Branch],
        leaves: list[Leaf],
    ) -> None:
        header, (clear, turn) = flow.header, rule.change
        match rule.action:
            case "mark":
                mark = (header.mark & ~clear) ^ turn
                after.append(flow.with_header(header.with_marks(mark, header.connmark)))
            case "connmark":
                mark = (header.connmark & ~clear) ^ turn
                after.append(flow.with_header(header.with_marks(header.mark, mark)))
            case "save-mark":
                mark = (header.connmark & ~turn & _WORD) ^ (header.mark & clear)
                after.append(flow.with_header(header.with_marks(header.mark, mark)))
            case "restore-mark":
                mark = (header.mark & ~clear & _WORD) ^ (header.connmark & turn)
                after.append(flow.with_header(header.with_marks(mark, header.connmark)))
            case "dnat":
                address, port = rule.endpoint
                if address is None:
                    address = header.address
                place = (address, header.port if port is None else port)
                through.append(flow.with_header(header.with_destination(*place)))
            case "redirect":
                self._redirect(rule, flow, through, leaves)
            case "snat":
                source = rule.source
                if source != "node" and rule.endpoint[0] in self.facts.addresses:
                    source = "node"
                through.append(flow.with_header(header.with_source(source)))
            case "untrack":
                # Who comes back by loopback or from a virtual server has a connection already.
                if header.balancer is None and not header.is_looped:
                    header = header._replace(is_tracked=False)
                after.append(flow.with_header(header))
            case _:
                leaves.append(Leaf("unknown", flow, rule))

    def _redirect(
        self, rule: XTRule, flow: Branch, through: list[Branch], leaves: list[Leaf]
    ) -> None:
        """Send a flow to the machine itself: to loopback, or the address that it came in by.

        Source: Linux ``net/netfilter/nf_nat_redirect.c``: who comes by an interface without an
        address is dropped.
        """
        header = flow.header
        _, port = rule.endpoint
        address = _LOOPBACK[self.facts.family] if self.is_node else self.facts.own_address
        bare = 0
        if not self.is_node:
            for name in sorted(self.facts.bare):
                bare |= self.comes_by(header, name)
        if flow.mask & bare:
            leaves.append(Leaf("drop", flow.of(flow.mask & bare), rule))
        if flow.mask & ~bare:
            sent = header.with_own_port(address, header.port if port is None else port)
            through.append(flow.of(flow.mask & ~bare).with_header(sent))


_LOOPBACK: Mapping[IPFamily, int] = MappingProxyType({"IPv4": LOOPBACK[0] + 1, "IPv6": 1})
_UNTRACKED = frozenset(("UNTRACKED",))
