"""IPVS mode with CAP_NET_ADMIN and CAP_NET_RAW alone, and as the unit of examples has it run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernel.ipvs.conftest import everything
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.reconciler.test_keep import MANIFEST, Kept, until
from tests.kernel.security.least import NOBODY, limited
from tests.kernel.security.test_unit import as_in_the_unit

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]


def servers() -> str:
    return run("ipvsadm", "-S", "-n")


def as_nobody(folder: Path) -> tuple[str, ...]:
    return limited(NOBODY, folder, lock=0o640)


@pytest.mark.parametrize("begin", [as_in_the_unit, as_nobody])
def test_servers(tmp_path: Path, begin: Callable[[Path], tuple[str, ...]]) -> None:
    """Servers, sets and addresses follow, are repaired and go; what was not tried is told."""
    tmp_path.chmod(0o755)
    (tmp_path / "cluster.yaml").write_text(MANIFEST)
    options = ("--mode", "ipvs", "--variant", "legacy", "--cleanup-on-exit")
    with own_namespace():
        with Kept(tmp_path, *options, wrap=begin(tmp_path)) as process:
            process.wait("was not tried beforehand: that takes CAP_SYS_ADMIN")
            until(lambda: "10.244.1.5:8080" in servers())
            process.manifest.write_text(MANIFEST.replace("10.244.1.5", "10.244.1.6"))
            until(lambda: "10.244.1.6:8080" in servers())
            run("ipvsadm", "-C")
            until(lambda: "10.244.1.6:8080" in servers())
        assert servers() == ""
        left = everything()
    assert "KUBE" not in left
    assert "kube-ipvs0" not in left
