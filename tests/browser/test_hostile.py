"""What Services say of themselves is text to the page, and nothing gets out of it."""

from __future__ import annotations

import pytest
from attrs import evolve

import svcnet
from svcnet.models import ClusterState, ServicePort
from svcnet.testing import make_node, make_service, make_slice
from tests.browser.visit import Visits

pytestmark = pytest.mark.browser

TEXTS = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!--<script>",
    "{{ 7 * 7 }}${7 * 7}",
    '"><svg onload=alert(1)>',
    "__proto__",
    "#/a%zz?b&amp;c",
    "\u202e\u00a0",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_name_is_a_text(visits: Visits, text: str) -> None:
    """A Service of that name, with a port, a selector and endpoints of the same."""
    service = make_service(
        text, selector={text: text}, ports=(ServicePort(80, text, target_port=8080),)
    )
    found = make_slice(text, "10.244.1.5")
    ports = (evolve(found.ports[0], name=text),)
    state = ClusterState.of([make_node(), service, evolve(found, ports=ports)])
    page = visits.open(svcnet.report(state))
    assert page.locator("script").count() == 3
    page.get_by_role("link", name="shop").first.click()
    page.wait_for_selector(".flow")
    heading = page.locator("h1").evaluate("e => e.textContent")
    assert heading == page.locator("#list .name").first.evaluate("e => e.textContent")
    if text.isprintable():
        assert heading == text
        assert text in page.locator(".steps .told").first.inner_text()
    assert page.locator("script").count() == 3
    assert page.locator("img").count() == 0


def test_the_page_cannot_be_made_to_run_or_ask_for_anything(visits: Visits) -> None:
    page = visits.open(svcnet.report(ClusterState.of([make_node()])))
    ran = page.evaluate(
        """() => {
          const script = document.createElement("script");
          try { script.textContent = "window.ran = 1"; document.head.append(script); } catch {}
          try { document.body.innerHTML += "<img src=x onerror='window.ran = 2'>"; } catch {}
          return window.ran ?? 0;
        }"""
    )
    assert ran == 0
    asked = page.evaluate("fetch('https://192.0.2.1/').then(() => 'answered', () => 'kept in')")
    assert asked == "kept in"
    assert all("Content Security Policy" in each or "Trusted" in each for each in visits.noise)
    assert visits.noise
    visits.noise.clear()
