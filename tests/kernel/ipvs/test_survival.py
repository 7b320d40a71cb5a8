"""IPVS mode: kills and restarts that no user of a Service notices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernel.machines import IPVSMachine
from tests.kernel.netns import Cluster
from tests.kernel.survival import kill_again_and_again, restart_again_and_again, small_node

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

KILLS = int(os.environ.get("SVCNET_KILLS", "15"))
LONGEST_SECONDS = 1.0
"""In the guest everything takes longer."""


def test_killed_many_times(cluster: Cluster, tmp_path: Path) -> None:
    """No connection is refused, lost or led astray, and in the end the servers are right."""
    with small_node(tmp_path, IPVSMachine(), cluster) as node:
        kill_again_and_again(node, KILLS, LONGEST_SECONDS)


def test_restarted_under_load(cluster: Cluster, tmp_path: Path) -> None:
    """Traffic loses nothing, and no server of it is made again."""
    with small_node(tmp_path, IPVSMachine(), cluster) as node:
        restart_again_and_again(node, 2)
