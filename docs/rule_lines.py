"""Rules on these pages: a line that has no room breaks before an option, and is never cut."""

from __future__ import annotations

import re
from typing import Any

_BLOCK = re.compile(r"<pre>.*?</pre>", re.DOTALL)
_OUTPUT = re.compile(r'(<span class="go">)([^<]*)(</span>)')
_OPTION = re.compile(r"(?<= )-{1,2}[A-Za-z][\w-]*(?: (?!-)(?:&quot;.*?&quot;|[^\s&]\S*))*")
LONG = 60
"""Lines of fewer letters stay as they are."""


def break_at_options(html: str) -> str:
    """Return HTML in which each option of a long line of output is kept in one piece."""
    return _BLOCK.sub(lambda block: _OUTPUT.sub(_pieces, block[0]), html)


def _pieces(found: re.Match[str]) -> str:
    lines = found[2].split("\n")
    return found[1] + "\n".join(map(_piece, lines)) + found[3]


def _piece(line: str) -> str:
    if len(line) < LONG:
        return line
    return _OPTION.sub(lambda option: f'<span class="option">{option[0]}</span>', line)


def _change(_app: Any, _page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    if "body" in context:
        context["body"] = break_at_options(context["body"])


def setup(app: Any) -> dict[str, bool]:
    """Have Sphinx do this to each page."""
    app.connect("html-page-context", _change)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
