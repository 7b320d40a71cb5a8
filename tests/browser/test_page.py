"""What a person does with the page: searches, chooses, sees a way light up, by mouse or keys."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import svcnet
from svcnet.cli import main
from svcnet.graph import Deliver, Packet
from tests.browser.visit import SHAPES, WIDTHS, Visits, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

EXAMPLE = Path(__file__).parents[2] / "examples/my-service"
SHOP = Path(__file__).parent / "shop.yaml"
FRONT_DOOR = "#/shop/front-door"


@cache
def shop() -> str:
    return svcnet.report(svcnet.load(SHOP))


def lit(page: Page) -> list[str]:
    """Return the titles of what is lit in the picture, from the sender to the ends."""
    titles = page.locator(".flow .node.lit .title")
    return [text.strip() for text in titles.all_text_contents()]


def test_what_is_wrong_comes_first(visits: Visits) -> None:
    page = visits.open(shop())
    kinds = page.locator("main .problems .what").all_text_contents()
    assert kinds[:2] == ["Nobody answers", "Refused"]
    assert kinds[-1] == "Kept out by source ranges"
    first = page.locator("main .problems li").first
    assert "shop/cart: no packet gets to an endpoint: has no endpoints" in first.inner_text()
    names = page.locator("#list .name").all_text_contents()
    assert names == ["cart", "front-door", "db", "edge", "mail"]
    first.get_by_role("link").click()
    wait_for(page, "cart")


def test_a_search_finds_names_addresses_and_ports(visits: Visits) -> None:
    page = visits.open(shop())
    for text, names in {
        "edge": ["edge"],
        "shop/ed": ["edge"],
        "192.0.2.200": ["front-door"],
        "30080": ["edge"],
        "EXTERNALNAME": ["mail"],
        "nothing of the kind": [],
    }.items():
        page.get_by_label("Search Services").fill(text)
        assert page.locator("#list .name").all_text_contents() == names
    assert page.locator("#found").inner_text() == "0 of 5 Services"


def test_a_chosen_way_lights_up_with_its_rules_and_lines(visits: Visits) -> None:
    page = visits.open(shop(), FRONT_DOOR)
    page.get_by_label("*:30443").check()
    ends = ["10.244.1.5:8443", "10.244.1.6:8443"]
    way = ["outside", "*:30443", "policy Local", "one of 2 on this node"]
    assert lit(page) == [*way, *ends]
    packet = Packet("198.51.100.1", "192.0.2.10", 30443)
    found = svcnet.explain(svcnet.load(SHOP), packet)
    delivered = [end.verdict for end in found.outcomes if isinstance(end.verdict, Deliver)]
    assert [f"{each.address}:{each.port}" for each in delivered] == ends
    assert page.locator("#ends .part").all_text_contents() == ["1/2", "1/2"]
    page.get_by_label("10.244.1.6:8443").check()
    assert lit(page) == [*way, ends[1]]
    steps = page.locator(".steps > li")
    assert steps.locator(".told").all_text_contents() == [
        step.decision for step in found.outcomes[1].steps
    ]
    rules = [line.text for step in found.outcomes[1].steps for line in step.lines]
    assert steps.locator(".rules code").all_text_contents() == rules
    assert "externalTrafficPolicy: Local" in steps.nth(1).locator(".very").inner_text()
    # As many wires are lit as there are steps between what is lit.
    assert page.locator(".wire.lit").count() == len(way)


def test_the_address_of_the_page_names_what_is_chosen(visits: Visits) -> None:
    page = visits.open(shop(), FRONT_DOOR)
    page.get_by_label("metrics TCP IPv4").check()
    page.get_by_label("pod of another node").check()
    address = page.evaluate("location.hash")
    again = visits.open(shop(), address)
    assert lit(again) == lit(page)
    assert "10.96.0.20:9090" in lit(again)
    again.go_back()


def test_a_refused_frontend_says_so(visits: Visits) -> None:
    page = visits.open(shop(), FRONT_DOOR)
    page.get_by_label("192.0.2.200:443").check()
    page.locator("#senders").get_by_label("node", exact=False).nth(0).check()
    assert page.locator(".says.refused").inner_text() == "dropped: does not accept this source"
    assert lit(page)[-2:] == ["source ranges", "dropped"]


@pytest.mark.parametrize(
    ("name", "why"), [("db", "It is headless"), ("mail", "It stands for the name mail.example.com")]
)
def test_a_service_without_rules_says_why(visits: Visits, name: str, why: str) -> None:
    page = visits.open(shop(), f"#/shop/{name}")
    assert page.locator("#body").inner_text().startswith(why)


def test_a_difference_of_the_machine_is_drawn_on_the_picture(
    visits: Visits, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.txt"
    saved = (EXAMPLE / "iptables-save.txt").read_text("utf-8")
    rules.write_text(saved.replace("10.244.2.6:9376", "10.244.2.9:9376"))
    words = ["report", str(EXAMPLE), "--rules", str(rules)]
    text = CliRunner().invoke(main, words).stdout
    page = visits.open(text)
    page.locator("main .problems a").first.click()
    wait_for(page, "my-service")
    assert page.locator(".wire.bad").count() == 0
    page.get_by_label("wrong endpoint").check()
    ends = page.locator("#ends .bad .title").all_text_contents()
    assert ends == ["10.244.2.6:9376", "10.244.2.9:9376"]
    assert page.locator("#ends .does").all_text_contents() == [
        "does: never",
        "does: 1/3, source kept",
    ]
    assert page.locator(".wire.bad").count() == 1
    assert "--to-destination 10.244.2.9:9376" in page.locator(".rules").inner_text()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(SHAPES) == [], width
    again = visits.open(text, page.evaluate("location.hash"))
    assert again.locator(".wire.bad").count() == 1
    page.get_by_label("as it should be").check()
    assert page.locator(".wire.bad").count() == 0
    assert "outside" in lit(page)


def test_the_page_of_one_packet_has_its_picture_and_its_changes(visits: Visits) -> None:
    words = ["explain", str(SHOP), "--to", "service/shop/cart:80", "--output", "html"]
    page = visits.open(CliRunner().invoke(main, words).stdout)
    assert page.locator("h1").inner_text() == "A packet to 10.96.0.21:80/TCP"
    assert lit(page) == ["outside", "10.96.0.21:80", "refused"]
    assert page.locator("#list").count() == 0
    words[3] = "10.96.0.22:8080"
    page = visits.open(CliRunner().invoke(main, words).stdout, width=400)
    assert lit(page)[-1] == "left alone"
    changes = page.locator("#changes li").all_text_contents()
    assert any("8080 is its target port" in each for each in changes)
    assert page.evaluate(SHAPES) == []


def test_all_of_it_works_by_keys(visits: Visits) -> None:
    page = visits.open(shop())
    press = page.keyboard.press
    press("/")
    page.keyboard.type("nodeport")
    press("Enter")
    wait_for(page, "edge")
    press("/")
    press("Escape")
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        press(key)
    wait_for(page, "front-door")
    assert page.evaluate("document.activeElement.tagName") == "H1"
    for _ in range(30):
        press("Tab")
        if page.evaluate("document.activeElement.name") == "frontend":
            break
    press("ArrowDown")
    press("ArrowDown")
    assert page.evaluate("document.activeElement.name") == "frontend"
    assert "*:30443" in lit(page)
    press("Tab")
    assert page.evaluate("document.activeElement.name") == "end"
    press("ArrowDown")
    assert lit(page)[-1] == "10.244.1.6:8443"
    outline = "getComputedStyle(document.activeElement.closest('label')).outlineStyle"
    assert page.evaluate(outline) == "solid"
