"""The page is held to the rules of axe-core, and to what its widgets have to tell a reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from svcnet.cli import main
from tests.browser.test_page import EXAMPLE, FRONT_DOOR, SHOP, shop
from tests.browser.visit import WIDTHS, Visits

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PLACES = ("", FRONT_DOOR, "#/shop/cart")
DIFFERENCE = ("#/default/my-service",)


def violations(page: Page) -> list[str]:
    """Return what axe-core finds on a page, by its rules for WCAG 2.2 and for good practice."""
    from axe_playwright_python.sync_playwright import Axe

    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {node['html'][:120]}: {node.get('failureSummary', '')}"
        for each in found
        for node in each["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 400), ("dark", 1200)])
def test_axe_finds_nothing(visits: Visits, tmp_path: Path, scheme: str, width: int) -> None:
    """On a page of a cluster, on one of a machine that differs, and on one of a packet."""
    pages = {shop(): PLACES, difference(tmp_path): DIFFERENCE, packet(): ("",)}
    for text, places in pages.items():
        for place in places:
            page = visits.open(text, place, scheme=scheme, width=width)
            assert violations(page) == [], place


def difference(folder: Path) -> str:
    """Return the page of a machine that has another endpoint than it should."""
    saved = (EXAMPLE / "iptables-save.txt").read_text("utf-8")
    (folder / "rules.txt").write_text(saved.replace("10.244.2.6:9376", "10.244.2.9:9376"))
    words = ["report", str(EXAMPLE), "--rules", str(folder / "rules.txt")]
    return CliRunner().invoke(main, words).stdout


def packet() -> str:
    words = ["explain", str(SHOP), "--to", "service/shop/cart:80", "--output", "html"]
    return CliRunner().invoke(main, words).stdout


def test_a_rule_that_is_broken_is_found(visits: Visits) -> None:
    """What finds nothing would find it."""
    page = visits.open(shop())
    page.evaluate("document.querySelector('label[for=theme]').remove()")
    assert any(each.startswith("select-name: ") for each in violations(page))


def test_a_reader_is_told_what_is_chosen_and_what_came_of_it(visits: Visits) -> None:
    """The Service in the list, each group of choices by its name, and the verdict as it changes."""
    page = visits.open(shop(), FRONT_DOOR)
    current = page.locator("#list a[aria-current=page]")
    assert current.locator(".name").all_text_contents() == ["front-door"]
    groups = page.get_by_role("group")
    assert groups.count() == page.locator("main fieldset").count() > 1
    assert all(name.strip() for name in page.locator("main fieldset > legend").all_text_contents())
    verdict = page.get_by_role("status").filter(has_text="10.244.1.5:8443")
    before = verdict.inner_text()
    page.get_by_label("*:30443").check()
    assert verdict.inner_text() != before
    assert page.get_by_label("*:30443").is_checked()
    search = page.get_by_label("Search Services")
    search.fill("edge")
    described = search.get_attribute("aria-describedby")
    assert page.locator(f"#{described}[role=status]").inner_text() == "1 of 5 Services"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_choice_of_colours_is_beside_the_title(visits: Visits, width: int) -> None:
    page = visits.open(shop(), width=width)
    brand, theme = (page.locator(each).bounding_box() for each in (".brand", ".theme"))
    assert brand is not None
    assert theme is not None
    assert theme["y"] < brand["y"] + brand["height"]
    assert theme["x"] > brand["x"] + brand["width"] / 2
