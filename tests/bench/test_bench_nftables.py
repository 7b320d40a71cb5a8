"""Mode nftables: its text, one change, and how long nft takes for it, beside iptables mode."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from statistics import median
from typing import Any

import pytest
from attrs import evolve

from svcnet.compiler import NodeView, compile_state, node_view, recompile
from svcnet.executors import nftables as executor
from svcnet.executors.nftables.endpoints import endpoint_drift
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.graph import RuleGraph, diff
from svcnet.models import ClusterState
from svcnet.modes.nftables import NFTABLES
from svcnet.reconciler import Keeper
from svcnet.renderers import iptables
from svcnet.renderers.nftables import (
    Ruleset,
    advance,
    full,
    load,
    text,
    transaction,
)
from svcnet.sources import load_bytes
from tests.bench import clusters
from tests.bench.test_bench_compile import SIZES, json_of, run
from tests.kernel.ipvs.netlink import own_namespace

CHUNKS = (100, 250, 500, 1_000)
"""Of how many Services a transaction makes the chains, for comparison."""
IN_ONE = 5_000
"""With more Services one transaction takes too long to be waited for."""
DAMAGE = "add element ip kube-proxy cluster-ips { 192.0.2.77 }"
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@cache
def cluster(services: int, *, affinity: bool = False) -> tuple[ClusterState, NodeView]:
    state = load_bytes(json_of(services)).state
    if affinity:
        found = [evolve(item, session_affinity="ClientIP") for item in state.services.values()]
        state = state.apply(found)
    return state, node_view(state)


WRITE: dict[str, Callable[[RuleGraph], str]] = {
    "iptables": lambda graph: iptables.full(graph).text,
    "nftables": lambda graph: transaction(full(graph)),
}


@pytest.mark.parametrize("mode", WRITE)
@pytest.mark.parametrize("services", SIZES)
def test_compile_and_render_cold(benchmark: Any, services: int, mode: str) -> None:
    """A ClusterState to what a full sync is given, nothing remembered."""
    state, view = cluster(services)
    made = run(benchmark, lambda: WRITE[mode](compile_state(state, view)), 5)
    benchmark.extra_info["bytes"] = len(made)


@pytest.mark.parametrize("mode", WRITE)
def test_compile_and_render_affinity_cold(benchmark: Any, mode: str) -> None:
    """The same for 10,000 Services that all have session affinity."""
    state, view = cluster(10_000, affinity=True)
    made = run(benchmark, lambda: WRITE[mode](compile_state(state, view)), 5)
    benchmark.extra_info["bytes"] = len(made)


@pytest.mark.parametrize("services", SIZES)
def test_one_changed_slice(benchmark: Any, services: int) -> None:
    """One slice loses or regains an endpoint: new state, new graph, and the step."""
    state, view = cluster(services)
    graph = compile_state(state, view)
    number = services // 2
    whole, less = (
        load_bytes(json.dumps(clusters.endpoint_slice(number, n)).encode()).objects
        for n in (clusters.ENDPOINTS, clusters.ENDPOINTS - 1)
    )
    turns = itertools.cycle((less, whole))
    current = (state, graph, full(graph))

    def change() -> str:
        nonlocal current
        before, old, ruleset = current
        changed = next(turns)
        after = before.apply(changed)
        new, names = recompile(old, before, after, view, before.services_of(changed))
        ruleset, step = advance(ruleset, diff(old, new, names))
        current = (after, new, ruleset)
        return step.text

    made = benchmark.pedantic(change, rounds=200, iterations=1, warmup_rounds=10)
    benchmark.extra_info["bytes"] = len(made)
    assert len(made) < 1_000


def loaded(texts: Iterable[str]) -> float:
    """Return the seconds that nft takes for texts in a network namespace, one after the other."""
    seconds = 0.0
    with own_namespace():
        for each in texts:
            begun = time.perf_counter()
            subprocess.run(("nft", "-f", "-"), input=each, text=True, check=True)
            seconds += time.perf_counter() - begun
    return seconds


def applied(ruleset: Ruleset) -> tuple[float, float]:
    """Return the seconds that apply takes in a network namespace, and those of a second one."""
    with own_namespace():
        begun = time.perf_counter()
        executor.apply(ruleset)
        between = time.perf_counter()
        executor.apply(ruleset)
        return between - begun, time.perf_counter() - between


@NEEDS_ROOT
@pytest.mark.kernel
@pytest.mark.parametrize("services", [1_000, 5_000, 10_000])
def test_apply_beside_nft(benchmark: Any, services: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same table by svcnet's transactions, by others of theirs, and by nft at once."""
    ruleset = full(compile_state(*cluster(services)))
    figures: dict[str, float] = {}
    if services <= IN_ONE:
        figures["nft -f, one transaction, s"] = loaded([text(ruleset)])
    for chunk in CHUNKS:
        monkeypatch.setattr("svcnet.renderers.nftables.load.SERVICE_PORTS", chunk)
        figures[f"nft -f, {chunk} Services each, s"] = loaded(load(ruleset, is_new=True))
    monkeypatch.undo()
    ours, again = benchmark.pedantic(applied, (ruleset,), rounds=1, iterations=1)
    figures |= {"apply, s": ours, "apply again, s": again}
    figures = {name: round(seconds, 2) for name, seconds in figures.items()}
    benchmark.extra_info.update(figures)
    print(f"\nnftables, {services} services: {json.dumps(figures)}")


@NEEDS_ROOT
@pytest.mark.kernel
@pytest.mark.parametrize("services", [1_000, 10_000])
def test_changes_beside_a_look(benchmark: Any, services: int) -> None:
    """A look at a damaged table, by nft and by the kernel's own answers, and a change beside it.

    Each change is a step from one graph to another and back, as ``svcnet run`` makes it.
    """
    state, view = cluster(services)
    graph = compile_state(state, view)
    changed = load_bytes(json.dumps(clusters.endpoint_slice(services // 2, 9)).encode()).objects
    less, _ = recompile(graph, state, state.apply(changed), view, state.services_of(changed))
    turns = itertools.cycle((less, graph))

    def measured() -> dict[str, float]:
        adapter = NFTABLES.executor().adapter("IPv4")
        keeper = Keeper(adapter)
        now = graph
        figures: dict[str, float] = {}

        def steps(until: Callable[[], bool]) -> list[float]:
            nonlocal now
            found: list[float] = []
            while not found or not until():
                now = next(turns)
                begun = time.perf_counter()
                keeper.step(now, changed_names)
                found.append(1000 * (time.perf_counter() - begun))
            return found

        changed_names = frozenset(diff(graph, less).names)
        keeper.whole(graph)
        alone = steps(lambda: next(counted) % 20 == 0)
        figures["a change, ms"] = median(alone)
        for way in ("nft", "kernel"):
            if way == "kernel":
                keeper.look(now)
            subprocess.run(("nft", DAMAGE), check=True)
            begun = time.perf_counter()
            inspection = keeper.inspection(now)
            assert inspection is not None
            with ThreadPoolExecutor(1) as pool:
                reading = pool.submit(inspection.read)
                if way == "kernel":
                    beside = steps(reading.done)
                    figures["a change beside it, ms"] = median(beside)
                reading.result()
            done = keeper.repair(inspection)
            assert done is not None
            assert dict(done.differed) == {"elements": 1}, (way, done)
            figures[f"a look by {way}, s"] = time.perf_counter() - begun
        return figures

    counted = itertools.count(1)
    with own_namespace():
        figures = benchmark.pedantic(measured, rounds=1, iterations=1)
    figures = {name: round(value, 2) for name, value in figures.items()}
    benchmark.extra_info.update(figures)
    print(f"\nnftables, {services} services: {json.dumps(figures)}")


@NEEDS_ROOT
@pytest.mark.kernel
@pytest.mark.parametrize("services", [1_000, 10_000, 50_000])
def test_look_at_endpoints(benchmark: Any, services: int) -> None:
    """A look at all endpoints of the flat layout, with nothing changed."""
    ruleset = full(compile_state(*cluster(services)), layout="flat")

    def look() -> None:
        endpoint_drift(ruleset, machine=THIS_MACHINE)

    with own_namespace():
        executor.apply(ruleset, writer=executor.NFTWriter(THIS_MACHINE))
        benchmark.pedantic(look, rounds=3, iterations=1)
