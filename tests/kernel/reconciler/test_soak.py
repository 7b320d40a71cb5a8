"""Very many events: svcnet keeps up, and does not grow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernel.api import api
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.machines import IptablesMachine, Machine, UserspaceMachine
from tests.kernel.nursery import nursery
from tests.kernel.soak import assert_flat, soak

pytestmark = pytest.mark.kernel

MACHINES = (IptablesMachine("nft"), IptablesMachine("legacy"), UserspaceMachine("nft"))
EVENTS = int(os.environ.get("SVCNET_SOAK_EVENTS", "8000"))


@pytest.mark.parametrize("machine", MACHINES, ids=["nft", "legacy", "userspace"])
def test_memory_and_files_are_flat(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After thousands of events the process has the memory, files and threads that it had."""
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "xtables.lock"))
    with own_namespace(), api() as server, nursery() as runs:
        assert_flat(soak(tmp_path, machine, server, runs, EVENTS))
