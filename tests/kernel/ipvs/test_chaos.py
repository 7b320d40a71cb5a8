"""In IPVS mode, too, a random history ends where a cold apply does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernel.chaos import LEFT_OPEN, changes, chaos
from tests.kernel.machines import IPVSMachine

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, LEFT_OPEN]


def test_servers_after_chaos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes, faults, restarts, kills and damages leave what a cold apply makes."""
    monkeypatch.setenv("XTABLES_LOCKFILE", os.fspath(tmp_path / "xtables.lock"))
    with chaos(tmp_path, IPVSMachine()) as node:
        node.go_on(changes(400))
