"""``svcnet run``: from an EndpointSlice's event to the rule, beside iptables-restore alone.

The same machine gets the same text by the bare command, whole and of one change, so that it
shows what of a time is the kernel's and the command's. IPVS mode runs in the guest, whose times
say little but by what they are made of.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import cycle, islice
from statistics import median
from typing import Any

import pytest

from svcnet.compiler import compile_state, node_view, recompile
from svcnet.executors.iptables import Variant, apply
from svcnet.executors.iptables.plan import most_chains
from svcnet.graph import diff
from svcnet.renderers.iptables import delta, full
from svcnet.sources import load_bytes
from tests.bench import clusters
from tests.bench.figures import keep
from tests.bench.keeping import CHANGES
from tests.bench.test_bench_compile import json_of
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.uml import guest

pytestmark = pytest.mark.kernel

SIZES = (1_000, 10_000)
EVENTS = 30
MOST_MS = 5.0
"""What svcnet's own process may use of the CPU for an event."""
MOST_GROWTH = 1.05
"""How much more memory may be resident after the last half of all events than before it.

The first half fills what a start has given back, and what is remembered of each Service that
changes for the first time.
"""
MOST_RATIO = 1.5
"""How much longer an event may take at 50,000 Services than at 1,000."""
IN_KERNEL = "until the kernel has it"


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("services", SIZES)
def test_iptables(benchmark: Any, services: int, variant: Variant) -> None:
    """An event takes less than 5 ms of svcnet's CPU at each size, and memory does not grow."""
    bare = alone(variant, services)
    given = "iptables", f"variant={variant}", services
    figures = benchmark.pedantic(measured, given, rounds=1, iterations=1)
    figures[f"iptables-{variant}-restore alone"] = bare
    report(benchmark, f"iptables-{variant}, as kube-proxy", services, figures)
    holds(figures)


@pytest.mark.parametrize("services", SIZES)
def test_nftables(benchmark: Any, services: int) -> None:
    """An event takes less than 5 ms of svcnet's CPU at each size, the kernel's told apart."""
    given = "nftables", "layout=kube-proxy", services
    figures = benchmark.pedantic(measured, given, rounds=1, iterations=1)
    report(benchmark, "nftables, as kube-proxy", services, figures)
    holds(figures, by_netlink=True)


def test_nftables_flat(benchmark: Any) -> None:
    """An endpoint that is replaced takes at 50,000 Services half more than at 1,000 at most."""
    every = benchmark.pedantic(flat_at_all_sizes, rounds=1, iterations=1)
    for services, figures in every.items():
        report(benchmark, "nftables flat, by netlink", services, figures)
    for figures in every.values():
        holds(figures, by_netlink=True)
    least, *_, most = [each["event, replaced"]["median, ms"][IN_KERNEL] for each in every.values()]
    assert most < MOST_RATIO * least


def flat_at_all_sizes() -> dict[int, dict[str, Any]]:
    sizes = (*SIZES, 50_000)
    return {services: measured("nftables", "layout=flat", services) for services in sizes}


@pytest.mark.parametrize("services", SIZES)
def test_userspace(benchmark: Any, services: int) -> None:
    """An event takes less than 5 ms at each size where svcnet's own proxy serves, too."""
    given = "userspace", "variant=nft", services
    figures = benchmark.pedantic(measured, given, rounds=1, iterations=1)
    report(benchmark, "userspace", services, figures)
    holds(figures)


@pytest.mark.parametrize("services", SIZES)
def test_ipvs(benchmark: Any, services: int) -> None:
    """In the guest an event costs the same at both sizes, but for what the machine's speed does."""
    command = [sys.executable, "-m", "tests.bench.keeping", "ipvs", "variant=legacy", services]
    command += [clusters.ENDPOINTS, EVENTS]
    out = benchmark.pedantic(lambda: guest.run(*command), rounds=1, iterations=1)
    report(benchmark, "guest: ipvs", services, json.loads(out.splitlines()[-1]))


def measured(mode: str, option: str, services: int) -> dict[str, Any]:
    """Return the figures of a mode on this kernel, in a network namespace."""
    command = [sys.executable, "-m", "tests.bench.keeping", mode, option, str(services)]
    command += [str(clusters.ENDPOINTS), str(EVENTS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def holds(figures: dict[str, Any], *, by_netlink: bool = False) -> None:
    """Fail unless an event is cheap and memory stays what it is.

    What svcnet writes by netlink the kernel carries out in svcnet's own time.
    """
    for name in CHANGES:
        in_kernel = figures[name]["median, ms"]["write"] if by_netlink else 0
        assert figures[name]["own CPU, ms"] - in_kernel < MOST_MS
    assert figures["MB in the end"] < MOST_GROWTH * figures["MB in the middle"]


def report(benchmark: Any, way: str, services: int, figures: dict[str, Any]) -> None:
    """Tell figures, and keep them under a name that docs/charts.py has a style for."""
    benchmark.extra_info.update(figures)
    print(f"\n{services} services, {way}: {json.dumps(figures, indent=1)}")
    of = {"way": way, "services": services, "endpoints": clusters.ENDPOINTS}
    keep("run", {**of, **figures})


def alone(variant: Variant, services: int) -> dict[str, float]:
    """Return the seconds and milliseconds that the bare command takes for the same texts."""
    state = load_bytes(json_of(services)).state
    view = node_view(state)
    graph = compile_state(state, view)
    changed = load_bytes(json.dumps(clusters.endpoint_slice(services - 1, 9)).encode()).objects
    after = state.apply(changed)
    new, names = recompile(graph, state, after, view, state.services_of(changed))
    text = full(graph)
    turns = cycle([delta(diff(graph, new, names)).text, delta(diff(new, graph, names)).text])
    with own_namespace():
        first = restored(variant, text.transactions(most_chains(variant)))
    with own_namespace():
        apply(text, variant=variant)
        changes = [restored(variant, [each]) for each in islice(turns, EVENTS)]
    return {"all, s": round(first, 2), "one change, ms": round(median(changes) * 1000, 2)}


def restored(variant: Variant, texts: Iterable[str]) -> float:
    """Return the seconds that the bare command takes for texts, one after the other."""
    command = [f"iptables-{variant}-restore", "--noflush"]
    seconds = 0.0
    for text in texts:
        begun = time.perf_counter()
        subprocess.run(command, input=text, text=True, check=True)
        seconds += time.perf_counter() - begun
    return seconds
