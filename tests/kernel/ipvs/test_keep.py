"""``svcnet run --mode ipvs``: it follows and repairs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.reconciler.test_keep import MANIFEST, Kept, until

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]


def servers() -> str:
    return run("ipvsadm", "-S", "-n")


def test_servers_are_followed_and_repaired(tmp_path: Path) -> None:
    """An endpoint that changes, and servers that somebody cleared, are put right."""
    (tmp_path / "cluster.yaml").write_text(MANIFEST)
    with own_namespace(), Kept(tmp_path, "--mode", "ipvs", "--variant", "legacy") as process:
        process.wait("operations")
        until(lambda: "10.244.1.5:8080" in servers())
        process.manifest.write_text(MANIFEST.replace("10.244.1.5", "10.244.1.6"))
        until(lambda: "10.244.1.6:8080" in servers())
        time.sleep(3)
        assert not any("somebody else" in line for line in process.lines)
        run("ipvsadm", "-C")
        process.wait("somebody else changed the rules")
        assert '"services":["default/web"]' in process.first("somebody else")
        until(lambda: "10.244.1.6:8080" in servers())
        process.manifest.write_text(MANIFEST.replace("10.96.0.10", "10.96.0.11"))
        until(lambda: "-A -t 10.96.0.11:80" in servers() and "10.96.0.10" not in servers())
