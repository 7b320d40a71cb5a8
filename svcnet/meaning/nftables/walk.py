"""The way of packets through chains of nf_tables, rule by rule.

Source: Linux ``net/netfilter/nf_tables_core.c`` (``nft_do_chain``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from svcnet.meaning.ends import START, Ends, EndWalk, PacketGroup
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Branch, Leaf
from svcnet.meaning.nftables.fields import mask_of
from svcnet.meaning.nftables.reading import RuleReader
from svcnet.meaning.nftables.steps import NFTChange, NFTTest, OutBy, Unreadable, Verdicts
from svcnet.meaning.nftables.tables import HookChain, NFTLine, NFTTables, is_for_services
from svcnet.meaning.sources import is_like
from svcnet.meaning.ways_out import leave

_DEEPEST = 16
_MOST_DOUBTS = 6

_ON_THE_WAY_OUT = frozenset(("output", "forward", "postrouting"))

_CHANGES = frozenset(
    (
        *("dnat", "snat", "masquerade", "redirect", "tproxy", "queue", "vmap", "map", "notrack"),
        *("set", "fwd", "synproxy"),
    )
)
"""Words of what a rule may do to a packet, besides a verdict."""


class NFTWalk(EndWalk):
    """Packets of some senders to one destination, of one protocol."""

    def __init__(
        self,
        packets: PacketGroup,
        facts: Facts,
        ends: Ends,
        tables: NFTTables,
        reader: RuleReader,
    ) -> None:
        super().__init__(packets, facts, ends)
        self.tables = tables
        self.reader = reader
        self.leaves_by = False

    def leaves(self, *, is_node: bool) -> list[Leaf]:
        """Return how packets end that come in by an interface, or that the node itself sends."""
        start = Branch(self.sources.everybody, START, self.start)
        if not start.mask:
            return []
        if self.tables.unread:
            return [Leaf("unknown", start, self.tables.unread[0])]
        leaves: list[Leaf] = []
        flows = [start]
        if not is_node:
            flows = self._arrive(flows, leaves)
        for flow in self._hook("output" if is_node else "prerouting", flows, leaves):
            leaves += self._rest(flow, is_node=is_node)
        return leaves

    def _rest(self, flow: Branch, *, is_node: bool) -> list[Leaf]:
        """Return how packets end that are translated, or will never be."""
        if self.notes:
            return self._end_routed(flow, is_node=is_node)
        is_local = self.facts.is_local(flow.header.address)
        first = (self.start.address, self.start.port) if self.ends.asks_for_origin else None
        key = self.ends.key(flow.header, is_node, self.protocol, self.state, is_local, first)
        return self._ends_by(key, flow, is_node=is_node)

    def _end_routed(self, flow: Branch, *, is_node: bool) -> list[Leaf]:
        """Return how packets end from where the kernel has decided which way they go."""
        leaves: list[Leaf] = []
        flows = [flow]
        if not self.facts.is_local(flow.header.address):
            if not is_node:
                flows = self._hook("forward", flows, leaves)
            flows = self._hook("postrouting", flows, leaves)
            flows = self._depart(flows, leaves)
        else:
            if is_node:
                flows = self._hook("postrouting", flows, leaves)
                flows = self._depart(flows, leaves)
                flows = [each.with_header(each.header._replace(is_looped=True)) for each in flows]
                flows = self._arrive(flows, leaves)
                flows = self._hook("prerouting", flows, leaves)
            flows = self._hook("input", flows, leaves)
        leaves += [Leaf("deliver" if each.header.is_translated else "pass", each) for each in flows]
        return leaves

    # The hooks that packets pass.

    def _hook(self, hook: str, flows: list[Branch], leaves: list[Leaf]) -> list[Branch]:
        """Return the flows that all chains of a hook let through."""
        self.leaves_by = hook in _ON_THE_WAY_OUT
        for chain in self.tables.hooks.get(hook, ()):
            through: list[Branch] = []
            for flow in flows:
                header = flow.header
                done = header.is_translated if hook in ("prerouting", "output") else header.source
                # What the node sends to itself was translated on the way out.
                is_late = self.state != "NEW" or done or header.is_looped
                if chain.type == "nat" and is_late:
                    through.append(flow)
                else:
                    self._call(chain, flow, through, leaves)
            flows = through
        return flows

    def _call(
        self, chain: HookChain, flow: Branch, through: list[Branch], leaves: list[Leaf]
    ) -> None:
        """Have a flow pass a chain; what the chain lets through goes to `through`."""
        for left in self._chain(chain.table, chain.chain, flow, through, leaves, 0):
            if chain.policy == "drop":
                leaves.append(Leaf("drop", left, chain))
            else:
                through.append(left)

    def _arrive(self, flows: list[Branch], leaves: list[Leaf]) -> list[Branch]:
        """Return the flows that are let in where they come by: by an interface, or a bridge."""
        self.leaves_by = False
        for chain in self.tables.hooks.get("ingress", ()):
            through: list[Branch] = []
            for flow in flows:
                found = 0
                for name in chain.devices:
                    found |= mask_of("iifname", name, flow.header, self)
                inside = flow.mask & found
                if inside:
                    self._call(chain, flow.of(inside), through, leaves)
                if flow.mask & ~inside:
                    through.append(flow.of(flow.mask & ~inside))
            flows = through
        return self._bridge(("prerouting", "input"), flows, leaves)

    def _depart(self, flows: list[Branch], leaves: list[Leaf]) -> list[Branch]:
        """Return the flows that are let out where they leave: by a bridge, or an interface."""
        flows = self._bridge(("output", "postrouting"), flows, leaves)
        self.leaves_by = True
        for chain in self.tables.hooks.get("egress", ()):
            through: list[Branch] = []
            for flow in flows:
                left = [flow]
                for name in chain.devices:
                    after: list[Branch] = []
                    for each in left:
                        hit = leave(self.facts, name, chain, each, after, is_negated=False)
                        if hit is not None:
                            self._call(chain, hit, through, leaves)
                    left = after
                through += left
            flows = through
        return flows

    def _bridge(
        self, hooks: Iterable[str], flows: list[Branch], leaves: list[Leaf]
    ) -> list[Branch]:
        """Return the flows that bridges let through, if they pass any: nobody says so."""
        for hook in hooks:
            for chain in self.tables.hooks.get(f"bridge {hook}", ()):
                through: list[Branch] = []
                for flow in flows:
                    key = ("bridge", hook, chain.table, chain.chain)
                    through.append(flow.assuming((key, False, chain)))
                    self._call(chain, flow.assuming((key, True, chain)), through, leaves)
                flows = through
        return flows

    def _chain(
        self,
        table: str,
        name: str,
        flow: Branch,
        through: list[Branch],
        leaves: list[Leaf],
        depth: int,
    ) -> list[Branch]:
        """Return what comes back from a chain: what it accepts goes to `through`."""
        alive = [flow]
        back: list[Branch] = []
        meetings = None if is_for_services(table) else self.meetings
        for rule in self.tables.rules.get((table, name), ()):
            after: list[Branch] = []
            for each in alive:
                for hit, verdict in self._rule(rule, each, after, leaves):
                    if meetings is not None:
                        meetings.note(rule)
                    kind, _, where = verdict.partition(" ")
                    if self.is_lost(hit):
                        leaves.append(Leaf("unknown", hit, rule))
                    elif kind in ("jump", "goto") and self._can_go(table, where, depth):
                        came = self._chain(table, where, hit, through, leaves, depth + 1)
                        (after if kind == "jump" else back).extend(came)
                    elif kind == "return":
                        back.append(hit)
                    elif kind == "accept":
                        through.append(hit)
                    elif kind in ("drop", "reject"):
                        leaves.append(Leaf(kind, hit, rule))
                    elif kind in ("", "continue"):
                        after.append(hit)
                    else:
                        leaves.append(Leaf("unknown", hit, rule))
            alive = after
            if not alive:
                break
        return back + alive

    def _can_go(self, table: str, name: str, depth: int) -> bool:
        return depth < _DEEPEST and (table, name) in self.tables.rules

    def _rule(
        self, rule: NFTLine, flow: Branch, after: list[Branch], leaves: list[Leaf]
    ) -> Verdicts:
        """Return the flows that a rule matches with its verdict; the others go to `after`."""
        before = flow.path
        for step in self.reader.steps(rule):
            try:
                if isinstance(step, NFTTest):
                    mask = step.mask(flow.header, self) & flow.mask
                    if mask != flow.mask:
                        after.append(flow.of(flow.mask & ~mask))
                        if not mask:
                            return ()
                        flow = flow.of(mask)
                elif isinstance(step, NFTChange):
                    flow = flow.with_header(step.apply(flow.header))
                elif isinstance(step, OutBy):
                    hit = self._leave(step, rule, flow, after)
                    if hit is None:
                        return ()
                    flow = hit
                elif isinstance(step, Unreadable):
                    return self._assume(rule, step.at, flow, after, leaves)
                else:
                    done = step.verdicts(rule, flow, after, self, notes=self.notes)
                    return [(self._note(each, rule, before), verdict) for each, verdict in done]
            except ValueError:
                return self._assume(rule, step.at, flow, after, leaves)
        return ((self._note(flow, rule, before), ""),)

    def _leave(
        self, step: OutBy, rule: NFTLine, flow: Branch, after: list[Branch]
    ) -> Branch | None:
        """Return the flow if it leaves by an interface; before it is routed that has no name."""
        pattern, is_negated = step.pattern, step.is_negated
        if self.leaves_by:
            return leave(self.facts, pattern, rule, flow, after, is_negated=is_negated)
        if is_like("", pattern) != is_negated:
            return flow
        after.append(flow)
        return None

    def _note(self, flow: Branch, rule: NFTLine, before: tuple[object, ...]) -> Branch:
        """Return the flow with the rule on its path, if somebody wants to know."""
        if not self.notes or flow.path[len(before) :]:
            return flow
        return flow.past(rule)

    def _assume(
        self, rule: NFTLine, at: int, flow: Branch, after: list[Branch], leaves: list[Leaf]
    ) -> Verdicts:
        """Return what a rule does whose words nobody understands from some place on.

        If they can change a packet nobody can say; else the rule matches, or it does not.
        """
        rest = rule.words[at:]
        # What nft says in JSON and nobody can put in words.
        is_strange = not at and rule.text[:1] in ("[", "{")
        if is_strange or _CHANGES & set(rest) or len(flow.doubts) >= _MOST_DOUBTS:
            leaves.append(Leaf("unknown", flow, rule))
            return ()
        verdict = _verdict(rest)
        if not verdict:
            after.append(flow)
            return ()
        key = (rule, len(flow.doubts))
        after.append(flow.assuming((key, False, rule)))
        return ((flow.assuming((key, True, rule)), verdict),)

    def remembers(self, container: tuple[str, str], seconds: int | None) -> int:
        """Return for whom rules have put an address into a set, no longer ago than that."""
        endpoints = self.tables.lists.get(container, frozenset())
        return self.sources.remembers(endpoints, seconds)


def _verdict(words: Sequence[str]) -> str:
    """Return the verdict at the end of a rule, empty for none."""
    for at, word in enumerate(words):
        if word in ("accept", "drop", "reject", "return"):
            return word
        if word in ("jump", "goto"):
            return f"{word} {words[at + 1]}"
    return ""
