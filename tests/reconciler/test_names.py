"""The command and the loop name no mode."""

from __future__ import annotations

import re
from pathlib import Path

import svcnet

ROOT = Path(svcnet.__file__).parent
NAMES = re.compile(r"""["'](iptables|ipvs|userspace)["']""")


def test_nobody_asks_for_a_mode_by_name() -> None:
    """What differs by mode is asked of the mode: a new one needs no change of theirs."""
    folders = [ROOT / name for name in ("cli", "agent", "inputs", "reconciler", "compiler")]
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        for line in path.read_text("utf-8").splitlines()
        if NAMES.search(line)
    ]
    assert found == []
