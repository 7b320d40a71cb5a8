"""Regular expressions that every Python which svcnet runs on reads in the same way."""

from __future__ import annotations

import re
from pathlib import Path

import svcnet

SOURCES = sorted(Path(svcnet.__file__).parent.rglob("*.py"))
# An atomic group, or a possessive quantifier behind a group, in a raw string.
WRONG = re.compile(r"""\b(?:r|rb|br)["'].*?(?:\(\?>|(?<!\\)\)(?:[*+?]|\{[0-9,]+\})\+)""")


def test_no_group_is_possessive() -> None:
    """Python before 3.11.5 matches some of such groups in part (CPython issue 106052)."""
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if WRONG.search(line)
    ]
    assert not found, "\n".join(found)


def test_the_search_finds_them() -> None:
    """It sees what svcnet had, and passes over characters and classes."""
    assert WRONG.search("""_QUOTED = re.compile(r'"(?:[^"]++|.)*+"')""")
    assert WRONG.search('rb"(?>%b)" % _LINE')
    assert not WRONG.search(r"""_INDENT = rb"[ ]{0,58}+(?:a++|\))" """)
