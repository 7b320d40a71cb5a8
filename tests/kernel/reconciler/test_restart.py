"""A new process takes over what is there, and writes only the difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.machines import IptablesMachine, NFTablesMachine
from tests.kernel.netns import Cluster
from tests.kernel.survival import restart_again_and_again, small_node

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_restarted_under_load(
    variant: str, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traffic loses nothing, and no rule of it is written again."""
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "xtables.lock"))
    with small_node(tmp_path, IptablesMachine(variant), cluster) as node:
        restart_again_and_again(node, 6)


def test_nftables_restarted_under_load(cluster: Cluster, tmp_path: Path) -> None:
    """The same of mode nftables, where no rule is made anew."""
    with small_node(tmp_path, NFTablesMachine(), cluster) as node:
        restart_again_and_again(node, 2)
