"""Zone files and pushes by the command, with a real authoritative server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from svcnet.discovery.dns import DNSOptions, records
from svcnet.discovery.dns.zonefile import zone_file
from svcnet.sources import load
from tests.kernel.dns.knot import PORT, ask, knot
from tests.kernel.dns.test_serve import MANIFEST
from tests.kernel.ipvs.netlink import own_namespace

pytestmark = pytest.mark.kernel

ZONES = ("cluster.local", "96.10.in-addr.arpa", "244.10.in-addr.arpa", "0.0.d.f.ip6.arpa")
EMPTY = """\
$ORIGIN cluster.local.
@ 60 SOA ns hostmaster 1 7200 1800 86400 5
@ 60 NS ns
ns 60 A 127.0.0.1
www 60 A 192.0.2.1
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(MANIFEST)
    return path


def svcnet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "svcnet", "dns", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_server_that_loads_the_files_answers_every_record(tmp_path: Path, manifest: Path) -> None:
    """Each record of each zone is what Knot answers that was given the files."""
    options = [word for zone in ZONES for word in ("--zone", zone)]
    done = svcnet("zone", manifest, *options, "--to", tmp_path / "zones")
    assert done.returncode == 0, done.stderr
    files = {path.name: path.read_text() for path in (tmp_path / "zones").iterdir()}
    assert set(files) == {f"{zone}.zone" for zone in ZONES}
    zones = records(load([manifest]).state, DNSOptions(ZONES))
    expected: dict[tuple[str, str], list[str]] = {}
    for record in zones:
        expected.setdefault((record.name, record.type), []).append(record.data)
    assert len(expected) > 20
    (tmp_path / "knot").mkdir()
    pairs = [(f"{zone}.", files[f"{zone}.zone"]) for zone in ZONES]
    with own_namespace(), knot(tmp_path / "knot", pairs):
        for (name, kind), data in expected.items():
            # For an alias Knot, too, is asked for the alias itself.
            assert ask(name, kind) == sorted(data), (name, kind)


def test_many_zones_are_printed_one_after_the_other(manifest: Path) -> None:
    """Standard output has each zone below its $ORIGIN, in the order of the options."""
    done = svcnet("zone", manifest, "--zone", "k.test", "--zone", "10.244.0.0/15")
    origins = [line for line in done.stdout.splitlines() if line.startswith("$ORIGIN")]
    assert origins == [
        *("$ORIGIN k.test.", "$ORIGIN 244.10.in-addr.arpa.", "$ORIGIN 245.10.in-addr.arpa.")
    ]
    state = load([manifest]).state
    zones = records(state, DNSOptions(("k.test", "10.244.0.0/15")))
    assert done.stdout.startswith(zone_file(zones, "k.test."))


def test_a_push_by_the_command(tmp_path: Path, manifest: Path) -> None:
    """A push brings the records, a second one finds nothing to do, and others' names stay."""
    (tmp_path / "knot").mkdir()
    with own_namespace(), knot(tmp_path / "knot", [("cluster.local.", EMPTY)]):
        to = ("--server", f"127.0.0.1:{PORT}", "--tsig-file", tmp_path / "knot/key")
        dry = svcnet("push", manifest, *to, "--dry-run")
        assert "+ web.shop.svc.cluster.local. 5 IN A 10.96.0.10\n" in dry.stdout
        assert ask("web.shop.svc.cluster.local", "A") == []
        done = svcnet("push", manifest, *to)
        assert done.returncode == 0, done.stderr
        assert ask("web.shop.svc.cluster.local", "A") == ["10.96.0.10"]
        assert ask("db.shop.svc.cluster.local", "A") == ["10.244.1.5", "10.244.1.6"]
        again = svcnet("push", manifest, *to)
        assert "cluster.local. 0 records came, 0 went" in again.stderr
        manifest.write_text(MANIFEST.replace("10.96.0.10", "10.96.0.11"))
        svcnet("push", manifest, *to)
        assert ask("web.shop.svc.cluster.local", "A") == ["10.96.0.11"]
        assert ask("www.cluster.local", "A") == ["192.0.2.1"]
        refused = svcnet("push", manifest, "--server", f"127.0.0.1:{PORT}")
        assert refused.returncode == 3
        assert "zone cluster.local. cannot be read" in refused.stderr
