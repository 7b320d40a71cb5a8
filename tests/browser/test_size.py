"""A page of many Services: it opens, and its search is quick, in the browser's own time."""

from __future__ import annotations

import pytest
from attrs import evolve

from svcnet.compiler import node_view
from svcnet.meaning.explanation.question import Question
from svcnet.models import ClusterState
from svcnet.modes import get
from svcnet.page.html import page
from svcnet.page.site import SiteContent, content
from svcnet.testing import make_node, make_service, make_slice
from tests.browser.visit import SHAPES, Visits, wait_for

pytestmark = pytest.mark.browser

MANY = 5000
SEARCH = """texts => texts.map((text) => {
  const field = document.getElementById("search");
  const before = performance.now();
  field.value = text;
  field.dispatchEvent(new Event("input"));
  void document.body.offsetHeight;
  return performance.now() - before;
})"""
"""How many milliseconds each search takes, until what it found is laid out."""


def many() -> SiteContent:
    """Return a page of many Services that are all alike but for their names."""
    state = ClusterState.of([make_node(), make_service("web"), make_slice("web", "10.244.1.5")])
    question = Question(state, node_view(state), get("iptables"))
    one = content([question])
    names = [f"web-{number:04}" for number in range(MANY)]
    entries = [["shop", name, "ClusterIP", "10.96.0.10 80", ""] for name in names]
    services = [{**one.services[0], "name": name} for name in names]
    return evolve(one, head={**one.head, "services": entries}, services=services)


def test_five_thousand_services_are_searched_at_once(visits: Visits) -> None:
    """Within a tenth of a second; the quickest of three counts, as others use the machine too."""
    text = page(many())
    assert len(text) < 20_000_000
    tab = visits.open(text)
    searches = ["w", "web", "web-4", "4999", "shop/web-12 80", "nothing", ""]
    rounds = [tab.evaluate(SEARCH, searches) for _ in range(3)]
    assert max(map(min, zip(*rounds, strict=True))) < 100
    tab.get_by_label("Search Services").fill("web-4321")
    assert tab.locator("#list .name").all_text_contents() == ["web-4321"]
    tab.keyboard.press("Enter")
    wait_for(tab, "web-4321")
    assert tab.locator(".flow").count() == 1


def test_more_than_a_screen_is_shown_on_demand(visits: Visits) -> None:
    tab = visits.open(page(many()))
    assert tab.locator("#list li").count() == 200
    tab.get_by_role("button", name="Show 200 more").click()
    assert tab.locator("#list li").count() == 400
    # What came goes on where the keys are.
    assert tab.evaluate("document.activeElement.dataset.number") == "200"


def test_of_many_endpoints_the_first_are_drawn_until_all_are_asked_for(visits: Visits) -> None:
    addresses = [f"10.244.1.{number}" for number in range(1, 101)]
    state = ClusterState.of([make_node(), make_service("web"), make_slice("web", *addresses)])
    text = page(content([Question(state, node_view(state), get("iptables"))]))
    tab = visits.open(text, "#/shop/web")
    assert tab.locator("#ends .node").count() == 24
    assert tab.locator("#ends .part").first.inner_text() == "1/100"
    tab.get_by_role("button", name="Show all 100").click()
    assert tab.locator("#ends .node").count() == 100
    assert tab.evaluate(SHAPES) == []
