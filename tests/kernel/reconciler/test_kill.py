"""kill -9 at random moments: whoever uses a Service that does not change never notices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernel.machines import IptablesMachine, NFTablesMachine, UserspaceMachine
from tests.kernel.netns import Cluster
from tests.kernel.survival import kill_a_proxy_again_and_again, kill_again_and_again, small_node

pytestmark = pytest.mark.kernel

KILLS = int(os.environ.get("SVCNET_KILLS", "100"))


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_killed_a_hundred_times(
    variant: str, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection is refused, lost or led astray, and in the end the rules are right."""
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "xtables.lock"))
    with small_node(tmp_path, IptablesMachine(variant), cluster) as node:
        kill_again_and_again(node, KILLS)


def test_nftables_killed_again_and_again(cluster: Cluster, tmp_path: Path) -> None:
    """The same of mode nftables, a few times unless told otherwise."""
    with small_node(tmp_path, NFTablesMachine(), cluster) as node:
        kill_again_and_again(node, int(os.environ.get("SVCNET_KILLS", "5")))


def test_a_proxy_that_is_killed_is_taken_over(cluster: Cluster, tmp_path: Path) -> None:
    """New connections work as soon as the next run says that it has the state."""
    with small_node(tmp_path, UserspaceMachine("nft"), cluster) as node:
        kill_a_proxy_again_and_again(node, KILLS // 4)
