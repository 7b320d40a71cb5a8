"""From a rule graph, or a step between two, to the table that a node has in mode nftables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from attrs import evolve
from immutables import Map

from svcnet.graph import Fragment, FragmentName, GraphDiff, RuleGraph
from svcnet.netfilter.nft import NFTChain, NFTTable
from svcnet.nogc import without_gc
from svcnet.renderers.nftables.block import NFTablesBlock, Place
from svcnet.renderers.nftables.commons import count, recount, shared_changes
from svcnet.renderers.nftables.delta import Edit, NFTablesDelta, NFTEdit
from svcnet.renderers.nftables.frame import FixedParts, make_fixed_parts, rules_of
from svcnet.renderers.nftables.layout import Layout
from svcnet.renderers.nftables.ruleset import Ruleset
from svcnet.renderers.nftables.service import render_service_port
from svcnet.renderers.nftables.words import words

TABLE = "kube-proxy"
"""The name of the table, in each family, as kube-proxy calls it."""
NO_ROOM: Mapping[str, int] = MappingProxyType({})
"""No set of a machine is known to be larger than it should be."""


@without_gc()
def full(graph: RuleGraph, table: str = TABLE, layout: Layout = "kube-proxy") -> Ruleset:
    """Return the whole table, which is called `table` and laid out so."""
    settings, fragments = graph.settings, graph.fragments
    say = words(settings)
    blocks: dict[FragmentName, NFTablesBlock] = {}
    claims: dict[Place, tuple[FragmentName, ...]] = {}
    for name in sorted(fragments):
        block = blocks[name] = render_service_port(fragments[name], settings, say, layout)
        alone = (name,)
        for place in block.elements:
            before = claims.get(place)
            claims[place] = alone if before is None else (*before, name)
    fixed, named = make_fixed_parts(settings), NFTTable(say.ip, table)
    made = Ruleset(settings, named, fixed, Map(blocks), Map(claims), layout)
    return made if layout == "kube-proxy" else count(made, blocks, claims)


def advance(
    ruleset: Ruleset, diff: GraphDiff, room: Mapping[str, int] = NO_ROOM
) -> tuple[Ruleset, NFTablesDelta]:
    """Return the table of ``diff.new``, and the step from `ruleset`, that of ``diff.old``.

    The cost is the change's, unless the node's settings changed. With `room` the machine has sets
    of these sizes, which may be larger than those of `ruleset`.
    """
    if diff.old.settings != diff.new.settings:
        after = full(diff.new, ruleset.table.name, ruleset.layout).keep(ruleset.kept)
        return after, between(ruleset, after, {**ruleset.blocks, **after.blocks}, room)
    gone = [*diff.removed, *(before for before, _ in diff.changed)]
    come = [*diff.added, *(after for _, after in diff.changed)]
    after = _replace(ruleset, gone, come)
    return after, between(ruleset, after, diff.names, room)


def delta(diff: GraphDiff) -> NFTablesDelta:
    """Return what takes a node from ``diff.old`` to ``diff.new``.

    Renders the whole of ``diff.old``: a caller that keeps its table uses :func:`advance`.
    """
    return advance(full(diff.old), diff)[1]


def between(
    before: Ruleset,
    after: Ruleset,
    names: Iterable[FragmentName],
    room: Mapping[str, int] = NO_ROOM,
) -> NFTablesDelta:
    """Return what takes a node from one table to another that differs in blocks of `names`.

    Both have one layout, and `room` is as in :func:`advance`. Chains come first, so that elements
    may lead to them, and are deleted last.
    """
    pairs = [(before.blocks.get(name), after.blocks.get(name)) for name in sorted(names)]
    pairs = [(old, new) for old, new in pairs if old is not new]
    step = _Step(before, are_all_first=after.layout == "flat")
    for old, new in pairs:
        step.compare(old, new)
    places = {place: None for pair in pairs for block in pair if block for place in block.elements}
    step.elements(before, after, places)
    fixed = _fixed_changes(before.fixed, after.fixed)
    shared = shared_changes(before, after, places, room)
    return NFTablesDelta(
        after.table,
        after.family,
        (*shared.changes, *fixed, *step.additions(), *step.gone_elements),
        (*step.stale, *shared.stale),
        (*shared.first, *step.first.changes()),
        shared.growth,
        (*shared.last, *step.removals()),
    )


class _Chains:
    """Chains and sets of service ports that come, and their rules."""

    def __init__(self) -> None:
        self.chains: list[Edit] = []
        self.sets: list[Edit] = []
        self.rules: list[Edit] = []

    def changes(self) -> list[Edit]:
        """Return them in the order in which nft has to see them."""
        return [*self.chains, *self.sets, *self.rules]


class _Step:
    """The changes of a step, each list in the order in which nft has to see them.

    Those chains come ``first`` that elements are to lead to which led elsewhere before; or, if they
    `are_all_first`, any element.
    """

    def __init__(self, before: Ruleset, *, are_all_first: bool) -> None:
        self.first = _Chains()
        self.stale: list[str] = []
        self._before = before
        self._are_all_first = are_all_first
        self._own = _Chains()
        self.gone_elements: list[Edit] = []
        self._come: list[Edit] = []
        self._gone_sets: list[Edit] = []

    def additions(self) -> list[Edit]:
        """Return what comes, but for what comes first."""
        own = self._own
        return [*own.chains, *self._come, *own.sets, *own.rules]

    def removals(self) -> list[Edit]:
        """Return what goes, but for elements."""
        emptied = [NFTEdit("flush", NFTChain(name)) for name in self.stale]
        return [*emptied, *self._gone_sets]

    def compare(self, old: NFTablesBlock | None, new: NFTablesBlock | None) -> None:
        """Add what changes in the chains and sets of a service port."""
        chains = {} if old is None else old.chains
        sets = {} if old is None else old.sets
        after = {} if new is None else new.chains
        is_first = new is not None and self._leads_to_any(after.keys() - chains.keys(), new)
        for name, rules in after.items():
            if chains.get(name) != rules:
                # A chain that is there may be on a packet's way already, and is handed over.
                own = self.first if is_first and name not in chains else self._own
                own.chains += [NFTEdit(verb, NFTChain(name)) for verb in ("add", "flush")]
                own.rules += [NFTEdit("add", rule) for rule in rules]
        self.stale += [name for name in chains if name not in after]
        kept = {} if new is None else new.sets
        own = self.first if is_first else self._own
        own.sets += [NFTEdit("add", each) for each in kept.values() if sets.get(each.name) != each]
        gone = [each for each in sets.values() if each.name not in kept]
        self._gone_sets += [NFTEdit("delete", each) for each in gone]

    def _leads_to_any(self, come: Collection[str], block: NFTablesBlock) -> bool:
        """Return whether packets are to be led to a chain of those that come.

        What comes to an address that led nowhere meets what it met before.
        """
        return bool(come) and any(
            element.value.removeprefix("goto ") in come
            for place, element in block.elements.items()
            if self._are_all_first or self._before.element(place) is not None
        )

    def elements(self, before: Ruleset, after: Ruleset, places: Iterable[Place]) -> None:
        """Add what changes in shared sets and maps."""
        for place in places:
            old, new = before.element(place), after.element(place)
            if old == new:
                continue
            if new is None:
                assert old is not None
                self.gone_elements.append(NFTEdit("delete", old))
                continue
            if old is not None:
                self._come.append(NFTEdit("delete", old))
            self._come.append(NFTEdit("add", new))


def _fixed_changes(old: FixedParts, new: FixedParts) -> list[Edit]:
    """Return the changes of the fixed part: of rules, and of addresses of node ports."""
    if old == new:
        return []
    rules, wanted = rules_of(old), rules_of(new)
    changed = [chain for chain, own in wanted.items() if rules[chain] != own]
    were = None if old.node_ports is None else dict.fromkeys(old.node_ports)
    are = None if new.node_ports is None else dict.fromkeys(new.node_ports)
    found: list[Edit] = [NFTEdit("flush", NFTChain(chain)) for chain in changed]
    if are is None and were is not None:
        found.append(NFTEdit("delete", old.node_port_ips))
    elif are is not None:
        if were is None:
            found.append(NFTEdit("add", new.node_port_ips))
        found += [NFTEdit("delete", each) for each in were or () if each not in are]
        found += [NFTEdit("add", each) for each in are if each not in (were or ())]
    return found + [NFTEdit("add", rule) for chain in changed for rule in wanted[chain]]


def _replace(ruleset: Ruleset, gone: list[Fragment], come: list[Fragment]) -> Ruleset:
    """Return a table without the blocks of some fragments, and with those of others."""
    settings, layout = ruleset.settings, ruleset.layout
    say = words(settings)
    blocks, claims = ruleset.blocks.mutate(), ruleset.claims.mutate()
    places: dict[Place, None] = {}
    for fragment in gone:
        for place in blocks.pop(fragment.name).elements:
            places[place] = None
            names = tuple([name for name in claims.pop(place) if name != fragment.name])
            if names:
                claims[place] = names
    for fragment in come:
        block = blocks[fragment.name] = render_service_port(fragment, settings, say, layout)
        alone = (fragment.name,)
        for place in block.elements:
            places[place] = None
            others = claims.get(place)
            claims[place] = alone if others is None else tuple(sorted((*others, *alone)))
    after = evolve(ruleset, blocks=blocks.finish(), claims=claims.finish())
    return after if layout == "kube-proxy" else recount(ruleset, after, places)
