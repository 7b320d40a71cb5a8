"""The modes' differences are known by the same names to scenarios and to readers."""

from __future__ import annotations

import re
from pathlib import Path

from tests.kernel.differences import DIFFERENCES
from tests.kernel.scenarios import SCENARIOS, Change

PAGE = Path(__file__).parent.parent.parent / "docs/explanation/ipvs-differences.md"
SECTION = re.compile(r"^## `(?P<name>[a-z-]+)`\n\n(?P<first>.+?)\n\n", re.MULTILINE | re.DOTALL)


def test_the_page_has_every_difference() -> None:
    """The page has a section for each difference, which begins with its sentence."""
    sections = {
        match["name"]: " ".join(match["first"].split())
        for match in SECTION.finditer(PAGE.read_text("utf-8"))
    }
    assert sections == DIFFERENCES


def test_every_difference_is_tried() -> None:
    """Scenarios use every difference of the table and no other."""
    steps = [step for scenario in SCENARIOS for step in scenario.steps]
    used = {step.differs.name for step in steps if not isinstance(step, Change) and step.differs}
    assert used == DIFFERENCES.keys()
