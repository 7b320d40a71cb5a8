"""``svcnet verify --dns`` against a real authoritative server, honest and not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.kernel.dns.knot import PORT, knot
from tests.kernel.dns.test_serve import MANIFEST
from tests.kernel.ipvs.netlink import own_namespace

pytestmark = pytest.mark.kernel

ZONES = ("cluster.local", "10.in-addr.arpa", "0.0.d.f.ip6.arpa")
CROWD = """\
---
apiVersion: v1
kind: Service
metadata: {name: crowd, namespace: shop}
spec: {clusterIP: None, selector: {app: crowd}, ports: [{name: x, port: 1}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: crowd-1, namespace: shop, labels: {kubernetes.io/service-name: crowd}}
addressType: IPv4
ports: [{name: x, port: 1}]
endpoints: [%s]
"""
MANY = CROWD % ", ".join(f"{{addresses: [10.245.0.{number}]}}" for number in range(1, 121))
"""So many addresses that they take TCP."""


def svcnet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "svcnet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(MANIFEST + MANY)
    return path


@pytest.fixture
def zones(tmp_path: Path, objects: Path) -> Mapping[str, str]:
    """The zone files of the objects, by origin."""
    words = [word for zone in ZONES for word in ("--zone", zone)]
    done = svcnet("dns", "zone", objects, *words, "--to", tmp_path / "zones")
    assert done.returncode == 0, done.stderr
    return {f"{zone}.": (tmp_path / "zones" / f"{zone}.zone").read_text() for zone in ZONES}


def verify(
    objects: Path, folder: Path, zones: Mapping[str, str]
) -> tuple[int, set[tuple[str, str, str]]]:
    """Return the exit code, and each difference's kind, name and type, of a server with zones."""
    folder.mkdir()
    chosen = [word for zone in ZONES for word in ("--dns-zone", zone)]
    with own_namespace(), knot(folder, list(zones.items())):
        where = f"127.0.0.1:{PORT}"
        done = svcnet("verify", objects, "--dns", where, *chosen, "-o", "json")
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["dns"]["differences"]
    return done.returncode, {(each["kind"], each["name"], each["type"]) for each in found}


def test_a_server_that_loads_the_files_is_as_it_should_be(
    tmp_path: Path, objects: Path, zones: Mapping[str, str]
) -> None:
    """Whatever times to live it has, and capitals it writes; one answer takes TCP."""
    other = {
        origin: text.replace(" 5 ", " 77 ").replace("web.shop", "Web.SHOP")
        for origin, text in zones.items()
    }
    assert verify(objects, tmp_path / "knot", other) == (0, set())


def test_a_server_that_lies_is_told_of(
    tmp_path: Path, objects: Path, zones: Mapping[str, str]
) -> None:
    """Another address, one that is gone, a name of a Service that has none, and a zone refused."""
    cluster = zones["cluster.local."]
    assert "10.96.0.10" in cluster
    lines = [line for line in cluster.splitlines() if "10.244.1.6" not in line]
    lying = "\n".join(lines).replace("10.96.0.10", "10.96.0.99") + "\n"
    code, found = verify(
        objects, tmp_path / "knot", {**zones, "cluster.local.": lying, "10.in-addr.arpa.": ""}
    )
    assert code == 1
    names = {(kind, name.partition(".")[0]) for kind, name, _ in found}
    assert ("other", "web") in names
    assert ("other", "db") in names
    assert ("missing", "db-1") in names
    # What a server refuses or fails at is no word about the name.
    assert {kind for kind, name, _ in found if name.endswith("in-addr.arpa.")} == {"unanswered"}
