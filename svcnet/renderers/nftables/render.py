"""From a rule graph, or a step between two, to the table that a node has in mode nftables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from immutables import Map

from svcnet.graph import Fragment, FragmentName, GraphDiff, RuleGraph
from svcnet.netfilter.nft import NFTChain, NFTRule, NFTTable
from svcnet.nogc import without_gc
from svcnet.renderers.nftables.block import NFTablesBlock, Place
from svcnet.renderers.nftables.delta import NFTablesDelta
from svcnet.renderers.nftables.frame import FixedParts, make_fixed_parts
from svcnet.renderers.nftables.ruleset import Ruleset
from svcnet.renderers.nftables.service import render_service_port
from svcnet.renderers.nftables.words import words

TABLE = "kube-proxy"
"""The name of the table, in each family, as kube-proxy calls it."""


@without_gc()
def full(graph: RuleGraph, table: str = TABLE) -> Ruleset:
    """Return the whole table, which is called `table`."""
    settings, fragments = graph.settings, graph.fragments
    say = words(settings)
    blocks: dict[FragmentName, NFTablesBlock] = {}
    claims: dict[Place, tuple[FragmentName, ...]] = {}
    for name in sorted(fragments):
        block = blocks[name] = render_service_port(fragments[name], settings, say)
        alone = (name,)
        for place in block.elements:
            before = claims.get(place)
            claims[place] = alone if before is None else (*before, name)
    return Ruleset(
        settings, NFTTable(say.ip, table), make_fixed_parts(settings), Map(blocks), Map(claims)
    )


def advance(ruleset: Ruleset, diff: GraphDiff) -> tuple[Ruleset, NFTablesDelta]:
    """Return the table of ``diff.new``, and the step from `ruleset`, that of ``diff.old``.

    The cost is the change's, unless the node's settings changed.
    """
    if diff.old.settings != diff.new.settings:
        after = full(diff.new, ruleset.table.name)
        return after, between(ruleset, after, {**ruleset.blocks, **after.blocks})
    gone = [*diff.removed, *(before for before, _ in diff.changed)]
    come = [*diff.added, *(after for _, after in diff.changed)]
    after = _replace(ruleset, gone, come)
    return after, between(ruleset, after, diff.names)


def delta(diff: GraphDiff) -> NFTablesDelta:
    """Return what takes a node from ``diff.old`` to ``diff.new``.

    Renders the whole of ``diff.old``: a caller that keeps its table uses :func:`advance`.
    """
    return advance(full(diff.old), diff)[1]


def between(before: Ruleset, after: Ruleset, names: Iterable[FragmentName]) -> NFTablesDelta:
    """Return what takes a node from one table to another that differs in blocks of `names`.

    Chains come first, so that elements may lead to them, and are deleted last.
    """
    pairs = [(before.blocks.get(name), after.blocks.get(name)) for name in sorted(names)]
    pairs = [(old, new) for old, new in pairs if old is not new]
    table = str(after.table)
    step = _Step(table)
    for old, new in pairs:
        step.compare(old, new)
    places = {place: None for pair in pairs for block in pair if block for place in block.elements}
    step.elements(before, after, places)
    fixed_lines = _fixed_changes(before.fixed, after.fixed, table)
    return NFTablesDelta(
        table=after.table,
        family=after.family,
        lines=(*fixed_lines, *step.lines()),
        stale=tuple(step.stale),
    )


class _Step:
    """The lines of a step, each list in the order in which nft has to see them."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.chains: list[str] = []
        self.come: list[str] = []
        self.sets: list[str] = []
        self.rules: list[str] = []
        self.stale: list[str] = []
        self.gone: list[str] = []

    def lines(self) -> list[str]:
        """Return the lines: what comes, and then what goes."""
        flushed = [NFTChain(name).flush(self.table) for name in self.stale]
        return [*self.chains, *self.come, *self.sets, *self.rules, *flushed, *self.gone]

    def compare(self, old: NFTablesBlock | None, new: NFTablesBlock | None) -> None:
        """Add what changes in the chains and sets of a service port."""
        table = self.table
        chains = {} if old is None else old.chains
        sets = {} if old is None else old.sets
        after = {} if new is None else new.chains
        for name, rules in after.items():
            if chains.get(name) != rules:
                self.chains += [NFTChain(name).add(table), NFTChain(name).flush(table)]
                self.rules += [rule.add(table) for rule in rules]
        self.stale += [name for name in chains if name not in after]
        kept = {} if new is None else new.sets
        self.sets += [each.add(table) for each in kept.values() if sets.get(each.name) != each]
        self.gone += [each.delete(table) for each in sets.values() if each.name not in kept]

    def elements(self, before: Ruleset, after: Ruleset, places: Iterable[Place]) -> None:
        """Add what changes in shared sets and maps."""
        for place in places:
            old, new = before.element(place), after.element(place)
            if old == new:
                continue
            if new is None:
                assert old is not None
                self.gone.append(old.delete(self.table))
                continue
            if old is not None:
                self.come.append(old.delete(self.table))
            self.come.append(new.add(self.table))


def _fixed_changes(old: FixedParts, new: FixedParts, table: str) -> list[str]:
    """Return the lines for the fixed part, of which rules change and addresses of node ports."""
    if old == new:
        return []
    rules, wanted = _fixed_rules(old), _fixed_rules(new)
    changed = [chain for chain, own in wanted.items() if rules[chain] != own]
    were = None if old.node_ports is None else dict.fromkeys(old.node_ports)
    are = None if new.node_ports is None else dict.fromkeys(new.node_ports)
    found = [NFTChain(chain).flush(table) for chain in changed]
    if are is None and were is not None:
        found.append(old.node_port_ips.delete(table))
    elif are is not None:
        if were is None:
            found.append(new.node_port_ips.add(table))
        found += [each.delete(table) for each in were or () if each not in are]
        found += [each.add(table) for each in are if each not in (were or ())]
    return found + [rule.add(table) for chain in changed for rule in wanted[chain]]


def _fixed_rules(part: FixedParts) -> Mapping[str, list[NFTRule]]:
    found: dict[str, list[NFTRule]] = {}
    for made in part.objects:
        if type(made) is NFTRule:
            found.setdefault(made.chain, []).append(made)
    return found


def _replace(ruleset: Ruleset, gone: list[Fragment], come: list[Fragment]) -> Ruleset:
    """Return a table without the blocks of some fragments, and with those of others."""
    settings = ruleset.settings
    say = words(settings)
    blocks, claims = ruleset.blocks.mutate(), ruleset.claims.mutate()
    for fragment in gone:
        for place in blocks.pop(fragment.name).elements:
            names = tuple([name for name in claims.pop(place) if name != fragment.name])
            if names:
                claims[place] = names
    for fragment in come:
        block = blocks[fragment.name] = render_service_port(fragment, settings, say)
        for place in block.elements:
            claims[place] = tuple(sorted((*claims.get(place, ()), fragment.name)))
    return Ruleset(settings, ruleset.table, ruleset.fixed, blocks.finish(), claims.finish())
