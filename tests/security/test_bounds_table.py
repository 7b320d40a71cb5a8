"""The table of bounds on the security page names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs/explanation/security.md"


def rows() -> list[str]:
    section = PAGE.read_text().partition("## What bounds each server\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert lines[0] == "| server | bound | when it is full | test |"
    return lines[2:]


@pytest.mark.parametrize("row", rows())
def test_each_bound_has_a_test(row: str) -> None:
    """Each row has four cells, and the last names one test or several that exist."""
    cells = row.strip("|").split("|")
    assert len(cells) == 4
    names = re.findall(r"`(test_\w+)`", cells[3])
    assert names
    written = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    for name in names:
        assert f"def {name}(" in written
