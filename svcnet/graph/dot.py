"""A graph as a picture, in the language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.graph.dump import describe
from svcnet.graph.fragment import Fragment, successors
from svcnet.graph.nodes import Balance, GraphNode
from svcnet.graph.rule_graph import RuleGraph

_SHAPES = {
    "Dispatch": "cds",
    "Firewall": "diamond",
    "External": "diamond",
    "Balance": "ellipse",
    "Translate": "box",
    "Accept": "box",
    "Reject": "octagon",
    "Drop": "octagon",
}


def dot(graph: RuleGraph) -> str:
    """Return the graph as a digraph with a cluster for each service port."""
    lines = [
        "digraph svcnet {",
        "  rankdir=LR;",
        '  node [fontname="Helvetica", fontsize=11];',
        '  edge [fontname="Helvetica", fontsize=10];',
    ]
    for number, fragment in enumerate(graph):
        lines += _cluster(fragment, number)
    return "\n".join([*lines, "}\n"])


def _cluster(fragment: Fragment, number: int) -> Iterator[str]:
    yield f"  subgraph cluster_{number} {{"
    yield f"    label={quote(str(fragment.name))};"
    for node in fragment.nodes():
        label = describe(node).split(" -> ")[0]
        shape = _SHAPES[type(node).__name__]
        yield f"    {_id(number, node.id)} [shape={shape}, label={quote(label)}];"
    for node in fragment.nodes():
        for target in successors(node):
            yield f"    {_id(number, node.id)} -> {_id(number, target)}{_edge_label(node, target)};"
    yield "  }"


def _edge_label(node: GraphNode, target: str) -> str:
    if isinstance(node, Balance) and len(node.targets) > 1:
        return f' [label="1/{len(node.targets)}"]'
    if getattr(node, "keep_source", False) and target == getattr(node, "cluster", None):
        return ' [label="pods and node"]'
    if target in ("drop", "reject", "drop-source"):
        return " [style=dashed]"
    return ""


def _id(number: int, node_id: str) -> str:
    return quote(f"{number}/{node_id}")


def quote(text: str) -> str:
    """Return a text as Graphviz reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
