"""A page in a tab: opened from disk, and watched for what it must never do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

WIDTHS = (400, 800, 1200, 1600)
SCHEMES = ("light", "dark")


SHAPES = """() => {
  const wrong = [];
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) wrong.push(`the page is ${wide} wider than the window`);
  const name = (e) => `${e.className || e.tagName} "${e.textContent.trim().slice(0, 30)}"`;
  const seen = (e) => e.getClientRects().length > 0 && !e.matches(".unseen");
  const boxes = [...document.querySelectorAll(
    ".flow .node, .flow h3, .flow legend, .problems li, .steps > li, #list li a, .facts div, h1, h2"
  )].filter(seen).map((e) => [e, e.getBoundingClientRect()]);
  for (const [e, box] of boxes) {
    if (e.scrollWidth > e.clientWidth + 1) wrong.push(`${name(e)}: text hangs over`);
    if (box.right > innerWidth + 1) wrong.push(`${name(e)}: out of the window`);
  }
  boxes.forEach(([a, one], at) => {
    for (const [b, other] of boxes.slice(at + 1)) {
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      const inList = a.closest("#list") || b.closest("#list");
      if (across > 1 && down > 1 && !inList && !a.contains(b) && !b.contains(a)) {
        wrong.push(`${name(a)} lies on ${name(b)}`);
      }
    }
  });
  return wrong;
}"""
"""What lies where it should not."""


class Visits:
    """Tabs of one test."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser = browser
        self.folder = folder
        self.contexts: list[BrowserContext] = []
        self.noise: list[str] = []
        self.requests: set[str] = set()

    def open(
        self, text: str, at: str = "", *, width: int = 1200, scheme: Any = "light", **options: Any
    ) -> Page:
        """Open a page from disk, at what its address names, and wait until that is shown."""
        file = self.folder / "report.html"
        file.write_text(text, "utf-8")
        size: Any = {"width": width, "height": 900}
        context = self.browser.new_context(viewport=size, color_scheme=scheme, **options)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.noise.append(message.text))
        page.on("pageerror", lambda error: self.noise.append(str(error)))
        page.on("dialog", lambda dialog: self.noise.append(dialog.message))
        page.on("request", lambda request: self.requests.add(request.url.partition("#")[0]))
        page.goto(f"{file.as_uri()}{at}")
        page.wait_for_function("document.documentElement.dataset.shown !== undefined")
        return page

    def close(self) -> None:
        """Close all tabs: nobody complained, and nothing was asked for but the pages."""
        for context in self.contexts:
            context.close()
        assert self.noise == []
        assert self.requests <= {(self.folder / "report.html").as_uri()}


def wait_for(page: Page, title: str) -> None:
    """Wait until a Service is shown."""
    page.wait_for_function(
        "title => document.querySelector('h1')?.textContent === title", arg=title
    )
