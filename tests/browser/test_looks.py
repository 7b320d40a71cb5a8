"""How the page looks: at every width and in both schemes nothing overlaps and all can be read."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.browser.test_page import FRONT_DOOR, shop
from tests.browser.visit import SCHEMES, SHAPES, WIDTHS, Visits

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

CHOSEN = f"{FRONT_DOOR}/0/1/outside"

CONTRASTS = """() => {
  const parse = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const wrong = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !e.getClientRects().length) continue;
    const colours = [parse(getComputedStyle(e).color), ground(e)].map(light);
    const ratio = (Math.max(...colours) + 0.05) / (Math.min(...colours) + 0.05);
    if (ratio < 4.5) wrong.push(`${e.className} ${ratio}: ${e.textContent.slice(0, 30)}`);
  }
  return wrong;
}"""
"""Texts that are too like their ground: the rule is 4.5 to 1 (WCAG 2.2, 1.4.3, level AA)."""


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("at", [CHOSEN, ""], ids=["a Service", "all"])
def test_nothing_overlaps_and_all_can_be_read(visits: Visits, at: str, scheme: str) -> None:
    page = visits.open(shop(), at, scheme=scheme)
    assert page.evaluate(CONTRASTS) == []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(SHAPES) == [], width


STRAY = """() => {
  const flow = document.querySelector(".flow").getBoundingClientRect();
  const boxes = [...document.querySelectorAll(".flow .node:not(.lit)")]
    .map((e) => [e.textContent.trim().slice(0, 20), e.getBoundingClientRect()]);
  const wrong = new Set();
  for (const wire of document.querySelectorAll(".wire.lit:not(.bad)")) {
    const length = wire.getTotalLength();
    for (let at = 0; at <= length; at += 4) {
      const point = wire.getPointAtLength(at);
      const [x, y] = [point.x + flow.left, point.y + flow.top];
      for (const [name, box] of boxes) {
        if (x > box.left + 1 && x < box.right - 1 && y > box.top + 1 && y < box.bottom - 1) {
          wrong.add(name);
        }
      }
    }
  }
  return [...wrong];
}"""
"""What a lit way goes through though it decides nothing about the packet."""


@pytest.mark.parametrize("service", ["front-door", "edge"])
def test_a_lit_way_goes_through_nothing_else(visits: Visits, service: str) -> None:
    """Of every frontend and sender, at every width."""
    page = visits.open(shop(), f"#/shop/{service}")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for frontend in page.locator("#frontends input").all():
            frontend.check(force=True)
            for sender in page.locator("#senders input").all():
                sender.check(force=True)
                assert page.evaluate(STRAY) == [], (width, page.evaluate("location.hash"))


def test_a_picture_is_drawn_across_or_down_as_there_is_room(visits: Visits) -> None:
    def places(page: Page) -> list[float]:
        boxes = [page.locator(name).bounding_box() for name in ("#senders", "#ends")]
        return [box[side] for box in boxes if box for side in ("x", "y")]

    left, top, right, same = places(visits.open(shop(), CHOSEN, width=1600))
    assert (left < right, top) == (True, same)
    left, top, same, bottom = places(visits.open(shop(), CHOSEN, width=400))
    assert (left, top < bottom) == (same, True)


def test_each_control_has_a_name_and_headings_follow_each_other(visits: Visits) -> None:
    page = visits.open(shop(), CHOSEN)
    names = """[...document.querySelectorAll('input, select, button, a')]
        .filter(e => !e.labels?.length && !e.textContent.trim()).length"""
    assert page.evaluate(names) == 0
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3')].map(e => Number(e.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert levels.count(1) == 1
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size") == (
        page.evaluate("document.querySelectorAll('[id]').length")
    )


def test_colours_follow_the_system_until_somebody_chooses(visits: Visits) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page = visits.open(shop(), scheme="dark")
    dark = page.evaluate(ground)
    page.get_by_label("Colours").select_option("light")
    light = page.evaluate(ground)
    assert dark != light
    page.reload()
    page.wait_for_function("document.documentElement.dataset.shown !== undefined")
    assert page.evaluate(ground) == light
    page.get_by_label("Colours").select_option("")
    assert page.evaluate(ground) == dark
    other = visits.open(shop())
    assert other.evaluate(ground) == light
    other.get_by_label("Colours").select_option("dark")
    assert other.evaluate(ground) == dark


def test_nothing_moves_for_those_who_ask_for_that(visits: Visits) -> None:
    moves = "getComputedStyle(document.querySelector('.wire')).transitionDuration"
    assert visits.open(shop(), CHOSEN, reduced_motion="reduce").evaluate(moves) == "0s"
    assert visits.open(shop(), CHOSEN).evaluate(moves) != "0s"


def test_on_paper_there_is_the_service_in_dark_on_white(visits: Visits) -> None:
    page = visits.open(shop(), CHOSEN, scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator(".services").is_visible()
    assert page.locator(".steps").is_visible()
    assert page.evaluate(CONTRASTS) == []


WHOLE = """() => {
  const wrong = [];
  for (const e of document.querySelectorAll(".column > h3, .column > legend")) {
    const colour = getComputedStyle(e).backgroundColor.match(/[0-9.]+/g).map(Number);
    if (colour.length > 3 && colour[3] < 1) wrong.push(`${e.textContent}: wires are seen through`);
  }
  for (const e of document.querySelectorAll(".rules .option")) {
    const room = e.closest("code").parentElement.clientWidth;
    const lines = e.clientHeight / parseFloat(getComputedStyle(e).lineHeight);
    if (lines > 1.5 && e.clientWidth < room * 0.6) wrong.push(`${e.textContent}: is broken`);
  }
  if (!document.querySelector(".rules .option")) wrong.push("there are no options");
  return wrong;
}"""
"""Headings that are crossed by a wire, and lines of rules that break within an option."""


@pytest.mark.parametrize("width", WIDTHS)
def test_headings_and_options_of_rules_stay_whole(visits: Visits, width: int) -> None:
    page = visits.open(shop(), CHOSEN, width=width)
    assert page.evaluate(WHOLE) == []
    text = page.locator(".rules code").first.inner_text()
    assert (
        text == '-I PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    )
