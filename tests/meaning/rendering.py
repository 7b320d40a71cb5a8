"""Rules that a mode writes for a graph, as the mode's interpreter reads them."""

from __future__ import annotations

from svcnet import modes
from svcnet.graph import RuleGraph
from svcnet.meaning import Facts, MachineRules
from svcnet.meaning.dump import read_dump


def rendered(graph: RuleGraph, mode: str) -> MachineRules:
    """Return the rules that svcnet renders for a graph in a mode."""
    chosen = modes.get(mode)
    text = chosen.forms["text"].full(chosen.full(graph), {}).text
    settings = graph.settings
    return read_dump([(mode, text)]).rules(mode, settings.family, Facts.of(settings))
