"""Rules that a mode writes for a graph, as the mode's interpreter reads them."""

from __future__ import annotations

from attrs import evolve

from svcnet import modes
from svcnet.graph import RuleGraph
from svcnet.meaning import Facts, MachineRules
from svcnet.meaning.dump import forms_of, read_dump


def rendered(graph: RuleGraph, mode: str) -> MachineRules:
    """Return the rules that svcnet renders for a graph in a mode, on a machine without a bridge."""
    chosen = modes.get(mode)
    artifact = chosen.full(graph)
    texts = [
        (f"{mode}, {form}", chosen.forms[form].full(artifact, {"jumps": True}).text)
        for form in forms_of(mode)
    ]
    settings = graph.settings
    dump = evolve(read_dump(texts), may_bridge=False)
    return dump.rules(mode, settings.family, Facts.of(settings))
