"""svcnet verify: all rules of a node compared with the objects, for every packet."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.graph import RuleGraph
from svcnet.meaning import Facts, MachineRules, iptables, nftables, verify
from svcnet.renderers import iptables as iptables_text
from svcnet.renderers import nftables as nftables_text
from svcnet.sources import load_bytes
from tests.bench.test_bench_compile import json_of, run
from tests.meaning.ipvs_dump import Dump

SIZES = (1, 1_000, 10_000)


@cache
def graph_of(services: int) -> RuleGraph:
    state = load_bytes(json_of(services)).state
    return compile_state(state, node_view(state))


def rules_of(mode: str, graph: RuleGraph) -> MachineRules:
    """Return what svcnet renders, read as what leaves it on a machine."""
    facts = Facts.of(graph.settings)
    if mode == "ipvs":
        return Dump.of(graph).read(graph)
    if mode == "nftables":
        return nftables.read(nftables_text.text(nftables_text.full(graph)), facts)
    return iptables.read(iptables_text.full(graph).text_with_jumps, facts)


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables"])
@pytest.mark.parametrize("services", SIZES)
def test_verify(benchmark: Any, services: int, mode: str) -> None:
    """Rules that were read to the verdict that every packet ends as it should."""
    graph = graph_of(services)
    found = run(benchmark, lambda: verify(graph, rules_of(mode, graph)), 1)
    benchmark.extra_info["cells"] = found.cells
    assert found.differences == ()
