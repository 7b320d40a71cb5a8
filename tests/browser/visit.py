"""A page in a tab: opened from disk, and watched for what it must never do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

WIDTHS = (400, 800, 1200, 1600)
SCHEMES = ("light", "dark")


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
