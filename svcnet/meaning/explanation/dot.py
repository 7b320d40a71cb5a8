"""An explanation as a picture, in the language of Graphviz: ways that part where chances do."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.graph.dot import quote
from svcnet.meaning.explanation.explanation import End, Explanation, WayStep
from svcnet.meaning.explanation.sentences import endpoint_text
from svcnet.meaning.explanation.text import passage_text, verdict_text


def dot(found: Explanation) -> str:
    """Return the ways of a packet as a digraph from its sender to its ends."""
    packet = found.packet
    where = endpoint_text(packet.destination, packet.port)
    start = f"{packet.source}\nto {where}/{packet.protocol}"
    lines = [
        "digraph svcnet {",
        "  rankdir=LR;",
        '  node [fontname="Helvetica", fontsize=11, shape=box];',
        '  edge [fontname="Helvetica", fontsize=10];',
        f"  start [shape=cds, label={quote(start)}];",
        *dict.fromkeys(
            line
            for end in found.outcomes
            for line in _end(end, found.outcomes, passage_text(found))
        ),
    ]
    return "\n".join([*lines, "}\n"])


def _end(end: End, ends: tuple[End, ...], untouched: str) -> Iterator[str]:
    before = "start"
    path: tuple[WayStep, ...] = ()
    for step in end.steps:
        path = (*path, step)
        name = _name(path, ends)
        yield f"  {name} [label={quote(_label(step))}];"
        yield f"  {before} -> {name}{_edge(path, end, ends)};"
        before = name
    name = f"end_{ends.index(end)}"
    shape = "ellipse" if end.to_dict()["verdict"] == "deliver" else "octagon"
    label = verdict_text([(end.verdict, end.probability)], untouched)
    yield f"  {name} [shape={shape}, label={quote(label)}];"
    yield f"  {before} -> {name};"


def _name(path: tuple[WayStep, ...], ends: tuple[End, ...]) -> str:
    """Return the name of a step: that of the first end that comes by this way."""
    first = next(n for n, end in enumerate(ends) if end.steps[: len(path)] == path)
    return f"step_{first}_{len(path)}"


def _edge(path: tuple[WayStep, ...], end: End, ends: tuple[End, ...]) -> str:
    """Return what an edge says: the chance, where ways part."""
    same = [each for each in ends if each.steps[: len(path)] == path]
    before = [each for each in ends if each.steps[: len(path) - 1] == path[:-1]]
    return "" if len(same) == len(before) else f" [label={quote(str(end.probability))}]"


def _label(step: WayStep) -> str:
    place = "" if step.place is None else f"\n{step.place.file}:{step.place.line}"
    field = "" if step.origin is None else f"\n{step.origin}"
    return f"{step.decision}{field}{place}"
