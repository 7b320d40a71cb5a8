"""What an operator must know of Services that ask too much of a node."""

from __future__ import annotations

from svcnet import checks
from svcnet.graph import RuleGraph

MOST_TOLD = 5


def left_out(graph: RuleGraph) -> tuple[str, ...]:
    """Return a warning for each Service that a graph leaves out; of very many, how many more."""
    names = sorted(graph.left_out)
    told = [
        f"Service {'/'.join(name)} has no rules: it {graph.left_out[name]}"
        for name in names[:MOST_TOLD]
    ]
    if more := names[MOST_TOLD:]:
        told.append(f"{len(more)} more Services have no rules, since they ask too much of a node")
    return tuple(map(checks.TOO_MANY_ENTRIES.told, told))
