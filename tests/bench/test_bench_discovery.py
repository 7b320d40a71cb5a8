"""Names and endpoints: lookups, zone files, a server beside Knot, and slices from Pods."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
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
SECONDS = 5
ROUNDS = 3
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
    """Questions a second of dnsperf to svcnet and to Knot, which has the same zone."""
    if not shutil.which("dnsperf") or not shutil.which("knotd"):
        pytest.skip("needs Debian's packages dnsperf and knot")
    services = 1_000
    manifest = tmp_path / "cluster.yaml"
    text = clusters.as_yaml(services)
    if kind == "headless":
        text = re.sub(rb"clusterIP: \S+", b"clusterIP: None", text)
    manifest.write_bytes(text)
    names = tmp_path / "names"
    names.write_text(
        "".join(f"svc-{n:05d}.{clusters.NAMESPACE}.svc.cluster.local A\n" for n in range(services))
    )
    command = [sys.executable, "-m", "svcnet", "dns", "zone", str(manifest)]
    command += ["--zone", "cluster.local"]
    zone = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (tmp_path / "knot").mkdir()
    rates: dict[str, list[float]] = {"svcnet": [], "knot": []}
    with (
        own_namespace(),
        knot(tmp_path / "knot", [("cluster.local.", zone)]),
        serving(tmp_path, "--listen", "127.0.0.1:0") as served,
    ):
        ports = {"svcnet": served.port, "knot": PORT}
        for _ in range(ROUNDS):
            for server, port in ports.items():
                rates[server].append(rate(port, names))
    benchmark.pedantic(lambda: None, rounds=1)
    middle = {server: sorted(found)[ROUNDS // 2] for server, found in rates.items()}
    print(f"\nquestions a second, {kind}: {middle}, ratio {middle['svcnet'] / middle['knot']:.2f}")


def rate(port: int, names: Path) -> float:
    """Return how many questions a second a server answers; each must have its answer."""
    done = subprocess.run(
        ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", names, "-l", str(SECONDS)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"Response codes:\s+NOERROR \d+ \(100\.00%\)", done.stdout), done.stdout
    found = re.search(r"Queries per second:\s+([\d.]+)", done.stdout)
    assert found is not None
    return float(found[1])


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
