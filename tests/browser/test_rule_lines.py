"""Rules on the documents' pages: nothing of a line is cut, and it breaks before an option."""

from __future__ import annotations

import runpy
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
WIDTHS = (400, 1280)

FIRSTS = """() => {
  const firsts = [];
  for (const option of document.querySelectorAll(".option")) {
    const box = option.getBoundingClientRect();
    firsts.push([option.textContent, box.left, box.right]);
  }
  return firsts;
}"""


@pytest.mark.parametrize("mode", ["iptables", "nftables", "userspace"])
@pytest.mark.parametrize("width", WIDTHS)
def test_lines_break_at_options(chromium: Browser, mode: str, width: int) -> None:
    text = (ROOT / f"examples/my-service/golden.{mode}.txt").read_text("utf-8")
    change = runpy.run_path(str(DOCS / "rule_lines.py"))["break_at_options"]
    shown = f'<div><pre><span class="go">{escape(text)}</span></pre></div>'
    html = change(shown)
    page = chromium.new_page(viewport={"width": width, "height": 800})
    try:
        page.set_content(f"<style>{(DOCS / '_static/rules.css').read_text('utf-8')}</style>{html}")
        assert page.evaluate("document.querySelector('pre').textContent") == text
        for where in ("document.documentElement", "document.querySelector('pre')"):
            assert page.evaluate(f"{where}.scrollWidth <= {where}.clientWidth")
        boxes = page.evaluate(FIRSTS)
        assert (len(boxes) > 10) is (mode != "nftables")
        for option, left, right in boxes:
            assert 0 <= left < right <= width, option
            # An option with its value stands in one piece wherever it has room.
            assert option.startswith("-")
    finally:
        page.close()
