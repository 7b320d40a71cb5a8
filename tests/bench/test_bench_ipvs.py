"""IPVS mode: how long rendering takes, and apply on a kernel beside ``ipvsadm --restore``."""

from __future__ import annotations

import itertools
import json
import sys
from typing import Any

import pytest

from svcnet.compiler import compile_state, node_view, recompile
from svcnet.graph import diff
from svcnet.netfilter.ipvs.wire import encode_all
from svcnet.nogc import without_gc
from svcnet.renderers.ipvs import IPVSDelta, advance, full, program
from svcnet.sources import load_bytes
from tests.bench import clusters
from tests.bench.test_bench_compile import json_of
from tests.kernel.uml import guest

SERVICES = 10_000
FAMILY = 30
"""Any number will do for IPVS's family, which the kernel gives out when it starts."""


def test_compile_and_render_cold(benchmark: Any) -> None:
    """A ClusterState of 10,000 Services to every virtual server and every set, sorted."""
    state = load_bytes(json_of(SERVICES)).state
    view = node_view(state)

    def render() -> int:
        tables = full(compile_state(state, view))
        return len(tables.servers) + sum(len(each.entries) for each in tables.sets.values())

    benchmark.pedantic(render, rounds=5, iterations=1, warmup_rounds=1)


def test_messages_cold(benchmark: Any) -> None:
    """The virtual servers of 10,000 Services to the bytes of netlink messages."""
    state = load_bytes(json_of(SERVICES)).state
    tables = full(compile_state(state, node_view(state)))
    encode = without_gc()(lambda: b"".join(encode_all(program(tables), FAMILY)))
    data = benchmark.pedantic(encode, rounds=5, iterations=1, warmup_rounds=1)
    benchmark.extra_info["bytes"] = len(data)


@pytest.mark.parametrize("services", [1_000, SERVICES])
def test_one_changed_endpoint(benchmark: Any, services: int) -> None:
    """One slice loses or regains an endpoint: new state, new graph, new tables and the step."""
    state = load_bytes(json_of(services)).state
    view = node_view(state)
    graph = compile_state(state, view)
    turns = itertools.cycle(
        load_bytes(json.dumps(clusters.endpoint_slice(services // 2, n)).encode()).objects
        for n in (clusters.ENDPOINTS - 1, clusters.ENDPOINTS)
    )
    current = (state, graph, full(graph))

    def change() -> IPVSDelta:
        nonlocal current
        before, old, tables = current
        changed = next(turns)
        after = before.apply(changed)
        new, names = recompile(old, before, after, view, before.services_of(changed))
        tables, step = advance(tables, diff(old, new, names))
        current = (after, new, tables)
        return step

    step = benchmark.pedantic(change, rounds=200, iterations=1, warmup_rounds=10)
    assert len(step.servers) == 1


@pytest.mark.kernel
def test_apply_beside_ipvsadm(benchmark: Any) -> None:
    """Apply takes at most 1.2 times ``ipvsadm --restore`` of its virtual servers alone.

    Both run in one guest, whose times say little but by their ratio. One change takes the
    same number of messages at both sizes.
    """
    command = [sys.executable, "-m", "tests.bench.ipvs_on_kernel", 1_000, 5_000]
    out = benchmark.pedantic(lambda: guest.run(*command), rounds=1, iterations=1)
    small, large = map(json.loads, out.splitlines())
    for figures in (small, large):
        print(f"\n{json.dumps(figures)}")
    benchmark.extra_info.update({"1,000 services": small, "5,000 services": large})
    assert small["messages"] == large["messages"]
