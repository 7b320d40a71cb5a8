"""Names and endpoints: lookups, zone files, a server beside Knot, and slices from Pods."""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from attrs import evolve

from svcnet.discovery.dns import DNSOptions, Zones, lookup, records
from svcnet.discovery.dns.zonefile import zone_file
from svcnet.discovery.endpoints import Selections, slices_of
from svcnet.models import ClusterState, Endpoint, EndpointSlice, Pod, Service
from svcnet.testing import make_pod, make_service, make_slice
from tests.bench import clusters
from tests.kernel.dns.knot import PORT, knot
from tests.kernel.dns.test_serve import serving
from tests.kernel.ipvs.netlink import own_namespace

ENDPOINTS = 10
SECONDS = 2
ROUNDS = 5
SERVED = 2_000
NEW = 200_000
ASKED = ("each in turn", "any case", "not there", "all of these")
FORWARD = DNSOptions(("cluster.local",))


@cache
def headless(services: int) -> Zones:
    """Return the zone of headless Services with ten endpoints that have names each."""
    objects: list[Service | EndpointSlice] = []
    for number in range(services):
        name = f"svc-{number:05d}"
        objects.append(make_service(name, cluster_ips=("None",)))
        endpoints = (
            Endpoint((clusters.address("10", 128, number * ENDPOINTS + n),), hostname=f"pod-{n}")
            for n in range(ENDPOINTS)
        )
        objects.append(make_slice(name, *endpoints))
    return records(ClusterState.of(objects), FORWARD)


@pytest.mark.parametrize("services", [1_000, 10_000])
def test_zone_file(benchmark: Any, services: int) -> None:
    """All records of headless Services as the text of a zone file."""
    zones = headless(services)
    text = benchmark.pedantic(lambda: zone_file(zones, "cluster.local."), rounds=2, iterations=1)
    benchmark.extra_info["records"] = text.count("\n")


@pytest.mark.parametrize("kind", ["endpoint", "service", "missing"])
def test_lookups(benchmark: Any, kind: str) -> None:
    """A thousand questions in one process: their number by the time is the rate."""
    zones = headless(10_000)
    name = {
        "endpoint": "pod-3.svc-{:05d}.shop.svc.cluster.local.",
        "service": "svc-{:05d}.shop.svc.cluster.local.",
        "missing": "nothing-{:05d}.shop.svc.cluster.local.",
    }[kind]
    asked = [name.format(number) for number in range(0, 10_000, 10)]

    def ask() -> None:
        for name in asked:
            lookup(zones, name, "A")

    benchmark(ask)
    benchmark.extra_info["per_second"] = round(len(asked) / benchmark.stats.stats.min)


@pytest.mark.parametrize("kind", ["virtual", "headless"])
def test_serve_beside_knot(tmp_path: Path, benchmark: Any, kind: str) -> None:
    """Questions a second of dnsperf to svcnet and to Knot, one thread each, of the same zone."""
    if not shutil.which("dnsperf") or not shutil.which("knotd"):
        pytest.skip("needs Debian's packages dnsperf and knot")
    manifest = tmp_path / "cluster.yaml"
    text = clusters.as_yaml(SERVED)
    if kind == "headless":
        text = re.sub(rb"clusterIP: \S+", b"clusterIP: None", text)
    manifest.write_bytes(text)
    command = [sys.executable, "-m", "svcnet", "dns", "zone", str(manifest)]
    command += ["--zone", "cluster.local"]
    zone = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (tmp_path / "knot").mkdir()
    with (
        own_namespace(),
        knot(tmp_path / "knot", [("cluster.local.", zone)]),
        serving(tmp_path, "--listen", "127.0.0.1:0") as served,
    ):
        pid = int((tmp_path / "knot" / "knot.pid").read_text())
        servers = {"svcnet": (served.port, served.process.pid), "knot": (PORT, pid)}
        for _, process in servers.values():
            os.sched_setaffinity(process, {0})
        for asked in ASKED:
            names = tmp_path / asked
            names.write_text("".join(f"{name} A\n" for name in questions(asked)))
            rounds = [
                {server: rate(*where, names) for server, where in servers.items()}
                for _ in range(ROUNDS)
            ]
            print(f"\n{kind}, {asked}: {beside(rounds)}")
    benchmark.pedantic(lambda: None, rounds=1)


def questions(asked: str) -> Iterator[str]:
    """Yield names of Services: each in turn, in letters of any case, or such as are not there.

    A search path makes names that are not there: a quarter of the mix, which has another quarter
    in letters of any case.
    """
    dice = random.Random(1)
    names = [f"svc-{n:05d}.{clusters.NAMESPACE}.svc.cluster.local" for n in range(SERVED)]

    def spelt(name: str) -> str:
        return "".join(dice.choice((letter, letter.upper())) for letter in name)

    match asked:
        case "each in turn":
            yield from names
        case "any case":
            yield from (spelt(name) for _ in range(NEW // SERVED) for name in names)
        case "not there":
            yield from (f"n{number}.{names[0].partition('.')[2]}" for number in range(2 * NEW))
        case _:
            for number in range(NEW):
                name = dice.choice(names)
                missing = f"{name}.x{number}.svc.cluster.local"
                yield (name, name, spelt(name), missing)[number % 4]


def beside(rounds: list[dict[str, tuple[float, float]]]) -> str:
    """Return medians of rates and of CPU time, and of the rounds' ratios, with their range."""
    told = []
    for index, what in enumerate(("questions a second", "µs of CPU time a question")):
        ratios = sorted(found["svcnet"][index] / found["knot"][index] for found in rounds)
        ours, knots = (median(found[name][index] for found in rounds) for name in rounds[0])
        told.append(
            f"{what} {ours:.4g} and {knots:.4g}, {median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    return "; ".join(told)


def rate(port: int, pid: int, names: Path) -> tuple[float, float]:
    """Return how many questions a second a server answers, and its µs for each."""
    command = ["taskset", "-c", str(max(os.sched_getaffinity(0))), "dnsperf", "-s", "127.0.0.1"]
    command += ["-p", str(port), "-d", str(names), "-l", str(SECONDS)]
    before = cpu_ns(pid)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    used = cpu_ns(pid) - before
    codes = dict(re.findall(r"(NOERROR|NXDOMAIN) (\d+)", done.stdout))
    completed = re.search(r"Queries completed:\s+(\d+) \(100\.00%\)", done.stdout)
    assert completed is not None, done.stdout
    assert sum(map(int, codes.values())) == int(completed[1]), done.stdout
    found = re.search(r"Queries per second:\s+([\d.]+)", done.stdout)
    assert found is not None
    return float(found[1]), used / 1_000 / int(completed[1])


def cpu_ns(pid: int) -> int:
    """Return the time that all threads of a process have run (proc(5), schedstat)."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)


@cache
def selecting(services: int) -> ClusterState:
    """Return Services, each with ten Pods that its selector finds."""
    objects: list[Service | Pod] = []
    for number in range(services):
        app = {"app": f"svc-{number:05d}"}
        objects.append(make_service(app["app"], selector=app))
        objects += [
            make_pod(
                f"{app['app']}-{n}",
                clusters.address("10", 128, number * ENDPOINTS + n),
                labels=app,
                node_name=f"node-{n}",
            )
            for n in range(ENDPOINTS)
        ]
    return ClusterState.of(objects)


@pytest.mark.parametrize("services", [1_000, 10_000])
def test_slices_cold(benchmark: Any, services: int) -> None:
    """All slices of a cluster from its Pods, ten a Service."""
    state = selecting(services)
    benchmark.pedantic(lambda: slices_of(state), rounds=2, iterations=1)


@pytest.mark.parametrize("services", [1_000, 10_000])
def test_slices_after_one_pod_changed(benchmark: Any, services: int) -> None:
    """One Pod gets ready or not: the slice that changes."""
    selections = Selections.of(selecting(services))
    pod = next(iter(selections.state.pods.values()))
    turns = itertools.cycle((evolve(pod, ready=False), pod))

    def change() -> None:
        nonlocal selections
        selections, step = selections.apply([next(turns)])
        assert len(step.changed) == 1

    benchmark(change)
