"""From a rule graph, or a step between two, to iptables-restore text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import starmap

from svcnet.graph import Fragment, FragmentName, GraphDiff, NodeSettings, RuleGraph
from svcnet.netfilter.restore import declare, delete, rules_by_chain
from svcnet.nogc import without_gc
from svcnet.renderers.iptables import names
from svcnet.renderers.iptables.artifact import Delta, RestoreText, shared_chains
from svcnet.renderers.iptables.block import Block, RuleCount
from svcnet.renderers.iptables.forest import Forest, ForestStep, Piece, forest_of
from svcnet.renderers.iptables.frame import filter_table, nat_table
from svcnet.renderers.iptables.jumps import jumps
from svcnet.renderers.iptables.layout import KUBE_PROXY, Layout


@without_gc()
def full(
    graph: RuleGraph, reuse: RestoreText | None = None, layout: Layout = KUBE_PROXY
) -> RestoreText:
    """Return the text of a full sync.

    `reuse` may be the text of an earlier graph of the same node: the blocks of service
    ports that are the same fragment in both are taken from it. The result does not
    depend on it.
    """
    blocks = _blocks(graph, reuse, layout)
    in_trees = (rule for block in blocks.values() for rule in block.in_trees)
    forest = forest_of(graph.settings.family, layout.most, in_trees)
    return _restore_text(graph, blocks, forest, layout)


@without_gc()
def advance(text: RestoreText, diff: GraphDiff) -> tuple[RestoreText, Delta]:
    """Return the text after a step, in the layout that it has, and the step.

    Blocks that are the same in both and what the step makes of the trees are not made anew.
    """
    step = delta(diff, text.forest, text.layout)
    blocks = _blocks(diff.new, text, text.layout)
    return _restore_text(diff.new, blocks, step.forest, text.layout), step


def delta(diff: GraphDiff, forest: Forest | None = None, layout: Layout = KUBE_PROXY) -> Delta:
    """Return the text that takes a machine from the rules of ``diff.old`` to those of ``diff.new``.

    It names only what changed. New rules go to the head of a shared chain: among rules
    for different destinations the order means nothing, and the rule that must stay last
    in its chain does. `forest` is that of ``diff.old``; a layout with trees makes it if it is
    not given.
    """
    old, new = diff.old, diff.new
    pairs: list[tuple[Block | None, Block | None]] = []
    pairs += [(_block(old, before, layout), None) for before in diff.removed]
    pairs += [
        (_block(old, before, layout), _block(new, after, layout))
        for before, after in _changes(diff)
    ]
    pairs += [(None, _block(new, after, layout)) for after in diff.added]
    gone: set[str] = set()
    growth = RuleCount()
    for before, after in pairs:
        growth += after.rules if after else RuleCount()
        growth -= before.rules if before else RuleCount()
        gone.update(before.chains if before else ())
        gone.difference_update(after.chains if after else ())
    if layout.most:
        trees = full(old, layout=layout).forest if forest is None else forest
        return _in_trees(diff, pairs, trees, gone, growth)
    changed, shared, filters = [], [], []
    for before, after in pairs:
        if after is not None and (before is None or before.own != after.own):
            changed.append(after)
        shared += _line_changes(before.shared if before else "", after.shared if after else "")
        filters += _line_changes(before.filter if before else "", after.filter if after else "")
    fixed_filter, fixed_nat, node_port_jumps = _fixed_changes(old.settings, new.settings)
    return Delta(
        family=new.settings.family,
        filter=fixed_filter + "".join(sorted(filters)),
        nat_first=fixed_nat,
        changed=tuple(changed),
        nat_shared="".join(sorted(shared)) + node_port_jumps,
        deleted=tuple(sorted(gone)),
        growth=growth,
        forest=forest_of(new.settings.family, 0, ()),
    )


def _in_trees(
    diff: GraphDiff,
    pairs: Sequence[tuple[Block | None, Block | None]],
    forest: Forest,
    gone: Iterable[str],
    growth: RuleCount,
) -> Delta:
    """Return the step in a layout with trees: whole chains, each only if it is another."""
    settings = diff.new.settings
    step = ForestStep(
        forest,
        [rule for before, _ in pairs if before is not None for rule in before.in_trees],
        [rule for _, after in pairs if after is not None for rule in after.in_trees],
    )
    fixed_filter, fixed_nat, node_port_jumps = _fixed_changes(diff.old.settings, settings)
    if node_port_jumps:
        step.heads["nat"].add(names.SERVICES)
    shared = {}
    for table, heads in step.heads.items():
        rules = shared_chains(settings, step.new, table)
        shared[table] = Piece.of({chain: rules[chain] for chain in sorted(heads)}).text
    pieces, filter_gone = step.written["filter"], sorted(step.gone["filter"])
    return Delta(
        family=settings.family,
        filter="".join(
            (
                fixed_filter,
                *(piece.declarations for piece in pieces),
                declare(filter_gone),
                *(piece.own for piece in pieces),
                shared["filter"],
                delete(filter_gone),
            )
        ),
        nat_first=fixed_nat,
        changed=(*filter(None, starmap(_difference, pairs)), *step.written["nat"]),
        nat_shared=shared["nat"],
        deleted=tuple(sorted((*gone, *step.gone["nat"]))),
        growth=growth + RuleCount(step.growth["filter"], step.growth["nat"]),
        forest=step.new,
    )


def _difference(before: Block | None, after: Block | None) -> Piece | None:
    """Return the own chains of a service port that are others."""
    if after is None or (before is not None and before.own == after.own):
        return None
    old = before.own_rules if before is not None else {}
    new = {chain: rules for chain, rules in after.own_rules.items() if old.get(chain) != rules}
    return Piece.of(new) if new else None


def _blocks(
    graph: RuleGraph, reuse: RestoreText | None, layout: Layout
) -> Mapping[FragmentName, Block]:
    """Return the block of each service port, in the order of their names."""
    fragments, known = graph.fragments, _reusable(graph, reuse, layout)
    blocks = {}
    for name in sorted(fragments):
        fragment = fragments[name]
        block = known.get(name)
        if block is None or block.fragment is not fragment:
            block = _block(graph, fragment, layout)
        blocks[name] = block
    return blocks


def _restore_text(
    graph: RuleGraph, blocks: Mapping[FragmentName, Block], forest: Forest, layout: Layout
) -> RestoreText:
    settings = graph.settings
    return RestoreText(
        settings=settings,
        filter=filter_table(settings),
        nat=nat_table(settings),
        blocks=blocks,
        is_large=graph.is_large,
        jumps=jumps(settings),
        forest=forest,
        layout=layout,
    )


def _reusable(
    graph: RuleGraph, text: RestoreText | None, layout: Layout
) -> Mapping[FragmentName, Block]:
    if text is None or text.layout != layout:
        return {}
    if text.settings != graph.settings or text.is_large != graph.is_large:
        return {}
    return text.blocks


def _block(graph: RuleGraph, fragment: Fragment, layout: Layout) -> Block:
    return Block.of(fragment, graph.settings, graph.is_large, layout)


def _changes(diff: GraphDiff) -> Iterator[tuple[Fragment, Fragment]]:
    """Yield the fragments to compare: all that both graphs have when the settings changed."""
    if not diff.settings_changed:
        yield from diff.changed
        return
    for after in diff.new:
        before = diff.old.fragments.get(after.name)
        if before is not None:
            yield before, after


def _line_changes(before: str, after: str) -> list[str]:
    """Return ``-D`` lines for rules that went and ``-I`` lines for those that came."""
    if before == after:
        return []
    old, new = Counter(before.splitlines(True)), Counter(after.splitlines(True))
    return [
        *(f"-D{line[2:]}" for line in (old - new).elements()),
        *(f"-I{line[2:]}" for line in (new - old).elements()),
    ]


def _fixed_changes(old: NodeSettings, new: NodeSettings) -> tuple[str, str, str]:
    """Return what changes in the filter table, in the nat table, and in its node port jumps."""
    if old == new:
        return "", "", ""
    before, after = nat_table(old), nat_table(new)
    jumps_went = "".join(f"-D{line[2:]}" for line in before.last.splitlines(True))
    return (
        _rewritten(
            filter_table(old).first + filter_table(old).last,
            filter_table(new).first + filter_table(new).last,
        ),
        _rewritten(before.first, after.first),
        "" if before.last == after.last else jumps_went + after.last,
    )


def _rewritten(before: str, after: str) -> str:
    """Return the text that makes chains with fixed rules only what they are in `after`.

    One that is not there any more stays. That is KUBE-FIREWALL, and nobody takes back the setting
    with which only its rules keep neighbours off the host's loopback.
    """
    old, new = rules_by_chain(before), rules_by_chain(after)
    return Piece.of({chain: rules for chain, rules in new.items() if old.get(chain) != rules}).text
