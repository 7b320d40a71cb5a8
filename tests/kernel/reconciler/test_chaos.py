"""A random history with everything that may go wrong in it ends where a cold apply does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.chaos import LEFT_OPEN, changes, chaos
from tests.kernel.machines import IptablesMachine, Machine, NFTablesMachine, UserspaceMachine

pytestmark = [pytest.mark.kernel, LEFT_OPEN]

MACHINES: tuple[tuple[str, Machine, int], ...] = (
    ("nft", IptablesMachine("nft"), 1500),
    ("legacy", IptablesMachine("legacy"), 1500),
    ("userspace", UserspaceMachine("nft"), 1500),
    ("nftables", NFTablesMachine(), 100),
)


@pytest.mark.parametrize(
    ("machine", "usual"), [pytest.param(*each, id=name) for name, *each in MACHINES]
)
def test_rules_after_chaos(
    machine: Machine, usual: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of changes, faults, restarts, kills and damages leave the rules of a cold apply."""
    # The namespace's rules are ours alone: the machine's lock need not be waited for.
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "xtables.lock"))
    with chaos(tmp_path, machine) as everything:
        everything.go_on(changes(usual))
