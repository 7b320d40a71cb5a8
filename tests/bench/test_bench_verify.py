"""svcnet verify and diff: all rules of a node, or all objects, compared for every packet."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.graph import RuleGraph
from svcnet.meaning import Facts, MachineRules, iptables, nftables, verify
from svcnet.meaning.comparison.diff import graphs_diff, rules_diff
from svcnet.renderers import iptables as iptables_text
from svcnet.renderers import nftables as nftables_text
from svcnet.sources import load_bytes
from tests.bench.test_bench_compile import json_of, run
from tests.meaning.ipvs_dump import Dump
from tests.meaning.rendering import rendered

SIZES = (1, 1_000, 10_000)
MODES = ("iptables", "ipvs", "nftables", "userspace", "flat")
"""What is read: rules of a mode, or those of the flat layout of mode nftables."""

ENDPOINT = b'"10.128.0.5"'


@cache
def graph_of(services: int) -> RuleGraph:
    return compiled(json_of(services))


@cache
def changed_graph_of(services: int) -> RuleGraph:
    """Return the same with one endpoint of the first Service another."""
    objects = json_of(services)
    assert ENDPOINT in objects
    return compiled(objects.replace(ENDPOINT, b'"10.200.0.5"'))


def compiled(objects: bytes) -> RuleGraph:
    state = load_bytes(objects).state
    return compile_state(state, node_view(state))


def rules_of(mode: str, graph: RuleGraph) -> MachineRules:
    """Return what svcnet renders, read as what leaves it on a machine."""
    facts = Facts.of(graph.settings)
    if mode == "ipvs":
        return Dump.of(graph).read(graph)
    if mode in ("nftables", "flat"):
        layout: nftables_text.Layout = "flat" if mode == "flat" else "kube-proxy"
        return nftables.read(nftables_text.text(nftables_text.full(graph, layout=layout)), facts)
    if mode == "userspace":
        return rendered(graph, mode)
    return iptables.read(iptables_text.full(graph).text_with_jumps, facts)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("services", SIZES)
def test_verify(benchmark: Any, services: int, mode: str) -> None:
    """Rules that were read to the verdict that every packet ends as it should."""
    graph = graph_of(services)
    found = run(benchmark, lambda: verify(graph, rules_of(mode, graph)), 1)
    benchmark.extra_info["cells"] = found.cells
    assert found.differences == ()


@pytest.mark.parametrize("mode", MODES[:-1])
@pytest.mark.parametrize("services", SIZES)
def test_diff_of_objects(benchmark: Any, services: int, mode: str) -> None:
    """Two states of the objects to what their difference does to packets."""
    old, new = graph_of(services), changed_graph_of(services)
    found = run(benchmark, lambda: graphs_diff(old, new, mode), 1)
    benchmark.extra_info["cells"] = found.cells
    assert len(found.frontends) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("services", SIZES)
def test_diff_of_dumps(benchmark: Any, services: int, mode: str) -> None:
    """Two dumps that were read to what their difference does to packets."""
    old, new = graph_of(services), changed_graph_of(services)
    found = run(benchmark, lambda: rules_diff(rules_of(mode, old), rules_of(mode, new)), 1)
    benchmark.extra_info["cells"] = found.cells
    assert found
