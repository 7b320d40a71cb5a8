"""Very many events: svcnet keeps up, and does not grow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernel.api import api
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.machines import IptablesMachine, Machine, NFTablesMachine, UserspaceMachine
from tests.kernel.nursery import nursery
from tests.kernel.soak import assert_flat, soak

pytestmark = pytest.mark.kernel

MACHINES: tuple[tuple[str, Machine, int], ...] = (
    ("nft", IptablesMachine("nft"), 8000),
    ("legacy", IptablesMachine("legacy"), 8000),
    ("userspace", UserspaceMachine("nft"), 8000),
    ("nftables", NFTablesMachine(), 400),
)


@pytest.mark.parametrize(
    ("machine", "usual"), [pytest.param(*each, id=name) for name, *each in MACHINES]
)
def test_memory_and_files_are_flat(
    machine: Machine, usual: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After thousands of events the process has the memory, files and threads that it had."""
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "xtables.lock"))
    with own_namespace(), api() as server, nursery() as runs:
        events = int(os.environ.get("SVCNET_SOAK_EVENTS", usual))
        assert_flat(soak(tmp_path, machine, server, runs, events))
