"""What changed between two graphs of one node."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from svcnet.brief import Brief
from svcnet.graph.fragment import Fragment, FragmentName
from svcnet.graph.rule_graph import RuleGraph


@frozen(repr=False)
class GraphDiff(Brief):
    """The step from one graph to another, in the order of the fragments' names."""

    old: RuleGraph
    new: RuleGraph
    added: tuple[Fragment, ...] = ()
    removed: tuple[Fragment, ...] = ()
    changed: tuple[tuple[Fragment, Fragment], ...] = ()

    @property
    def settings_changed(self) -> bool:
        """Whether something that every fragment's rules depend on changed."""
        return self.old.settings != self.new.settings or self.old.is_large != self.new.is_large

    @property
    def names(self) -> tuple[FragmentName, ...]:
        """The names of the fragments that differ, sorted."""
        changed = (new for _, new in self.changed)
        return tuple(sorted(one.name for one in (*self.added, *self.removed, *changed)))

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.settings_changed)


def diff(old: RuleGraph, new: RuleGraph, names: Iterable[FragmentName] | None = None) -> GraphDiff:
    """Return what changed from `old` to `new`.

    `names`, where the caller knows them, are the only fragments that may differ; the
    cost is then theirs and not the graph's.
    """
    if names is None:
        names = {*old.fragments, *new.fragments}
    added, removed, changed = [], [], []
    for name in sorted(names):
        before, after = old.fragments.get(name), new.fragments.get(name)
        if before is None and after is not None:
            added.append(after)
        elif before is not None and after is None:
            removed.append(before)
        elif before is not None and after is not None and before is not after and before != after:
            changed.append((before, after))
    return GraphDiff(old, new, tuple(added), tuple(removed), tuple(changed))
