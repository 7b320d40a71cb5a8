"""The userspace proxy beside haproxy and a direct connection, in one run and one namespace.

Each round measures every way in turn. What is compared are medians of the rounds' ratios:
the machine's speed moves too much between rounds, and far too much between runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.bench.userspace_load import BACKEND, Load, Way, ways
from tests.kernel.ipvs.netlink import own_namespace

pytestmark = pytest.mark.kernel

ROUNDS = 5
SECONDS = 1
STREAMS = (1, 64)
AT_ONCE = 16
FLOWS = (1, 50)
IDLE = (1_000, 4_000)

Figures = dict[str, list[float]]
"""Each round's value, by what was measured."""


def test_userspace_beside_haproxy(benchmark: Any, tmp_path: Path) -> None:
    """At least 1.2 times haproxy's bytes for no more CPU, and 0.7 of its new connections."""
    load = Load.compiled(tmp_path)
    with own_namespace(), ways(load, tmp_path, sum(IDLE) + 1_000) as found:
        proxies = {name: way for name, way in found.items() if way.pid is not None}
        idle = {name: memory(load, way) for name, way in proxies.items()}
        figures = rounds(benchmark, found, ROUNDS, lambda way: measured(load, way))
    for name, kilobytes in idle.items():
        add_latency(figures[name], figures["direct"])
        figures[name]["kB for 1,000 idle connections"] = [kilobytes]
    print("\n" + table(figures))

    ours, theirs = figures["svcnet"], figures["haproxy"]
    for streams in STREAMS:
        assert ratio(ours, theirs, f"Gbit/s, {label(streams, 'stream')}") >= 1.2
        assert ratio(ours, theirs, f"CPU s per GB, {label(streams, 'stream')}") <= 1
    assert ratio(ours, theirs, "new connections a second") >= 0.7


def test_two_workers_beside_two_threads(benchmark: Any, tmp_path: Path) -> None:
    """New connections and small messages, of two processes and of two threads of haproxy."""
    load = Load.compiled(tmp_path)
    with own_namespace(), ways(load, tmp_path, 1_000, workers=2) as found:
        figures = rounds(benchmark, found, 2 * ROUNDS, lambda way: small(load, way))
    print("\n" + table(figures))


def rounds(
    benchmark: Any,
    ways: Mapping[str, Way],
    count: int,
    measure: Callable[[Way], Iterable[tuple[str, float]]],
) -> dict[str, Figures]:
    """Return what is measured of each way, all of them in each of so many rounds."""
    figures: dict[str, Figures] = {name: {} for name in ways}

    def take_turns() -> None:
        for name, way in ways.items():
            for what, value in measure(way):
                figures[name].setdefault(what, []).append(value)

    benchmark.pedantic(take_turns, rounds=count, iterations=1)
    return figures


def measured(load: Load, way: Way) -> Iterator[tuple[str, float]]:
    """Yield what there is to know of one way, by name."""
    for streams in STREAMS:
        before, all_before = way.cpu(), way.cpu_of_all()
        found = load.run("bulk", way.tcp, BACKEND, SECONDS, streams)
        yield f"Gbit/s, {label(streams, 'stream')}", found["Gbit/s"]
        if way.pid is not None:
            used = (way.cpu() - before) / found["GB"]
            yield f"CPU s per GB, {label(streams, 'stream')}", used
        used = (way.cpu_of_all() - all_before) / found["GB"]
        yield f"the same of all three processes, {label(streams, 'stream')}", used
    yield from small(load, way)
    if way.udp is not None:
        found = load.run("echo", "udp", way.udp, SECONDS, AT_ONCE)
        yield "UDP echoes a second", found["a second"]


def small(load: Load, way: Way) -> Iterator[tuple[str, float]]:
    """Yield how many connections are made, and how long a byte there and back takes."""
    found = load.run("connect", way.tcp, SECONDS, AT_ONCE)
    yield "new connections a second", found["a second"]
    for flows in FLOWS:
        found = load.run("echo", "tcp", way.tcp, SECONDS, flows)
        for quantile in ("median", "p99"):
            yield latency(flows, quantile), found[f"{quantile} us"]


def memory(load: Load, way: Way) -> float:
    """Return the kB that 1,000 idle connections take, beyond what the first ones did."""
    first, more = IDLE
    with load.holding(way, first):
        before = way.memory()
        with load.holding(way, more):
            return (way.memory() - before) / more * 1_000


def add_latency(figures: Figures, direct: Figures) -> None:
    """Add what each round of a way took longer than a direct connection did in that round."""
    for flows in FLOWS:
        for quantile in ("median", "p99"):
            name = latency(flows, quantile)
            pairs = zip(figures[name], direct[name], strict=True)
            figures[f"added: {name}"] = [ours - theirs for ours, theirs in pairs]


def label(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count > 1 else ''}"


def latency(flows: int, quantile: str) -> str:
    return f"µs there and back, {label(flows, 'connection')}, {quantile}"


def ratio(ours: Figures, theirs: Figures, what: str) -> float:
    """Return the median of the rounds' ratios."""
    return median(a / b for a, b in zip(ours[what], theirs[what], strict=True))


def table(figures: Mapping[str, Figures]) -> str:
    """Return the medians as Markdown, with svcnet's ratio to each haproxy.

    A difference of two times is near nothing too often for a ratio.
    """
    ours = figures["svcnet"]
    others = [name for name in figures if name.startswith("haproxy")]
    heads = ["", *figures, *(f"svcnet to {name}" for name in others)]
    rows = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for what in ours:
        cells = [shown(figures[name].get(what)) for name in figures]
        ratios = [
            f"{ratio(ours, figures[name], what):.2f}"
            if what in figures[name] and not what.startswith("added")
            else ""
            for name in others
        ]
        rows.append([what, *cells, *ratios])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def shown(values: list[float] | None) -> str:
    if not values:
        return ""
    value = median(values)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
