"""The modes' differences are known by the same names to scenarios and to readers."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from tests.kernel.differences import DIFFERENCES, HIDDEN_SOURCE
from tests.kernel.scenarios import SCENARIOS, Change, Mode
from tests.kernel.ways import WAYS

PAGES: dict[str, set[Mode]] = {
    "ipvs-differences.md": {"ipvs", "iptables"},
    "userspace-differences.md": {"userspace"},
    "nftables.md": {"nftables"},
}
SECTION = re.compile(r"^## `(?P<name>[a-z-]+)`\n\n(?P<first>.+?)\n\n", re.MULTILINE | re.DOTALL)


def tried(modes: set[Mode]) -> set[str]:
    """Return the names of the differences that are tried in some of `modes`."""
    steps = [step for scenario in SCENARIOS for step in scenario.steps]
    found = {
        differs.name
        for step in steps
        if not isinstance(step, Change)
        for differs in step.differs
        if differs.mode in modes
    }
    return found | {HIDDEN_SOURCE for way in WAYS if way.hides_sources and way.mode in modes}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_every_difference_of_its_mode(page: str) -> None:
    """The page has a section for each difference, which begins with its sentence."""
    text = (ROOT / "docs/explanation" / page).read_text("utf-8")
    sections = {match["name"]: " ".join(match["first"].split()) for match in SECTION.finditer(text)}
    assert sections == {name: DIFFERENCES.get(name) for name in tried(PAGES[page])}


def test_every_difference_is_tried() -> None:
    """Scenarios use every difference of the table and no other."""
    assert set().union(*map(tried, PAGES.values())) == DIFFERENCES.keys()
