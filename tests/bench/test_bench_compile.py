"""How long a cluster takes: to load, to compile and render cold, and after one change."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from svcnet.compiler import compile_state, node_view, recompile
from svcnet.graph import diff
from svcnet.renderers.iptables import delta, full
from svcnet.sources import load_bytes
from tests.bench import clusters

SIZES = (1_000, 5_000, 10_000, 20_000)


@cache
def json_of(services: int) -> bytes:
    return clusters.as_json(services)


@cache
def yaml_of(services: int) -> bytes:
    return clusters.as_yaml(services)


def run(benchmark: Any, action: Callable[[], object], rounds: int) -> Any:
    return benchmark.pedantic(action, rounds=rounds, iterations=1, warmup_rounds=1)


@pytest.mark.parametrize("services", SIZES)
def test_load_json(benchmark: Any, services: int) -> None:
    """Bytes of JSON to a checked ClusterState."""
    data = json_of(services)
    run(benchmark, lambda: load_bytes(data), 3)


@pytest.mark.parametrize("services", SIZES)
def test_load_yaml(benchmark: Any, services: int) -> None:
    """Bytes of YAML to a checked ClusterState."""
    data = yaml_of(services)
    benchmark.pedantic(lambda: load_bytes(data), rounds=1 if services > 5_000 else 2, iterations=1)


@pytest.mark.parametrize("services", SIZES)
def test_load_dump(benchmark: Any, services: int) -> None:
    """Bytes of what kubectl prints, one YAML document with managed fields, to a ClusterState."""
    data = clusters.as_dump(services)
    benchmark.pedantic(lambda: load_bytes(data), rounds=1 if services > 5_000 else 2, iterations=1)


@pytest.mark.parametrize("services", SIZES[:1])
def test_parse_yaml_with_pyyaml(benchmark: Any, services: int) -> None:
    """For comparison: the same bytes through PyYAML's C loader alone."""
    import yaml

    data = yaml_of(services)
    run(benchmark, lambda: list(yaml.load_all(data, Loader=yaml.CSafeLoader)), 2)


@pytest.mark.parametrize("services", SIZES)
def test_compile_and_render_cold(benchmark: Any, services: int) -> None:
    """A ClusterState to the text of a full sync, nothing remembered."""
    state = load_bytes(json_of(services)).state
    view = node_view(state)
    text = run(benchmark, lambda: full(compile_state(state, view)).text, 5)
    benchmark.extra_info["bytes"] = len(text)


@pytest.mark.parametrize("services", SIZES)
def test_one_changed_slice(benchmark: Any, services: int) -> None:
    """One slice loses or regains an endpoint: new state, new graph, delta text."""
    state = load_bytes(json_of(services)).state
    view = node_view(state)
    graph = compile_state(state, view)
    number = services // 2
    whole, less = (
        load_bytes(json.dumps(clusters.endpoint_slice(number, n)).encode()).objects
        for n in (clusters.ENDPOINTS, clusters.ENDPOINTS - 1)
    )
    turns = itertools.cycle((less, whole))
    current = (state, graph)

    def change() -> str:
        nonlocal current
        before, old = current
        changed = next(turns)
        after = before.apply(changed)
        new, names = recompile(old, before, after, view, before.services_of(changed))
        current = (after, new)
        return delta(diff(old, new, names)).text

    text = benchmark.pedantic(change, rounds=200, iterations=1, warmup_rounds=10)
    benchmark.extra_info["bytes"] = len(text)
    assert len(text) < 10_000


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.parametrize("mode", ["iptables", "ipvs"])
def test_memory_at_10_000_services(benchmark: Any, tmp_path: Path, mode: str) -> None:
    """A process that loads and renders 10,000 services stays under 1 GB.

    It is started by a small one, since a child's peak counts its parent's at the fork.
    """
    manifest = tmp_path / "cluster.json"
    manifest.write_bytes(json_of(10_000))
    command = [sys.executable, "-c", PEAK, sys.executable, "-m", "svcnet", "render"]
    command += [str(manifest), "--mode", mode, "--to", str(tmp_path / "rules")]
    run_it = functools.partial(subprocess.run, command, check=True, capture_output=True)
    done = benchmark.pedantic(run_it, rounds=1, iterations=1)
    peak = int(done.stdout) // 1024
    benchmark.extra_info["MB"] = peak
    print(f"\npeak memory of svcnet render --mode {mode} at 10,000 services: {peak} MB")
    assert peak < 1000
