"""svcnet as the unit of examples/systemd has it run, done by hand where no systemd runs."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.kernel.ipvs.netlink import run
from tests.kernel.reconciler.test_keep import Kept, eventually, rules, until
from tests.kernel.security.least import limited
from tests.kernel.security.test_capabilities import EXPOSED, ROUTE_LOCALNET, folder
from tests.kernel.told import Told

__all__ = ["folder"]

pytestmark = pytest.mark.kernel


def as_in_the_unit(folder: Path) -> tuple[str, ...]:
    """Return what to put before a command."""
    return (*limited(0, folder), sys.executable, "-m", "tests.kernel.security.filtered")


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_rules(folder: Path, variant: str) -> None:
    """Rules and sysctls are kept, and removed at the end."""
    options = ("--variant", variant, "--cleanup-on-exit")
    with Kept(folder, *options, wrap=as_in_the_unit(folder)) as process:
        eventually("to-destination 10.244.1.5:8080", variant)
        until(lambda: run("sysctl", "-n", ROUTE_LOCALNET) == "1\n")
        process.manifest.write_text(EXPOSED.replace("10.244.1.5", "10.244.1.6"))
        eventually("to-destination 10.244.1.6:8080", variant)
    assert "KUBE" not in rules(variant)


def test_a_proxy(folder: Path) -> None:
    """Userspace mode redirects and follows, with more processes than one."""
    options = ("run", "--mode", "userspace", "--variant", "nft", "--drain=0", "--workers=2")
    process = Told(*options, folder / "cluster.yaml", wrap=as_in_the_unit(folder))
    eventually("-d 10.96.0.10/32")
    (folder / "cluster.yaml").write_text(EXPOSED.replace("10.96.0.10", "10.96.0.11"))
    process.process.send_signal(signal.SIGHUP)
    eventually("-d 10.96.0.11/32")
    process.end()
    assert "KUBE" not in rules()
