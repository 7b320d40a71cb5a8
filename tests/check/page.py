"""Writes the sections of docs/reference/checks.md anew: ``python -m tests.check.page``."""

from svcnet.check.page import sections
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "reference" / "checks.md"
FIRST = "## Files and syntax\n"


def whole(text: str) -> str:
    """Return the page with its introduction as it is in `text`, and all sections anew."""
    return text.partition(FIRST)[0] + sections()


if __name__ == "__main__":
    PAGE.write_text(whole(PAGE.read_text("utf-8")), "utf-8")
