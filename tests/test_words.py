"""Numbers of things are told by one function, which knows that one of them is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import svcnet
from svcnet.words import count_noun, one_of, plural

ROOT = Path(svcnet.__file__).parent
SOURCES = {path.relative_to(ROOT): path.read_text("utf-8") for path in sorted(ROOT.rglob("*.py"))}
COUNTED = re.compile(r"\b(?:count_noun|one_of)\(.*?, ['\"](?:[\w -]* )?(\w+?)(?: is| has)?['\"]")
NAMES = re.compile(r"(?:\b|\.)(?:name|limit|[A-Z_]+)$")
"""What is no number that can be 1: names, and limits."""
NOT_COUNTED = frozenset({"among", "had", "has", "holds", "is", "of", "the"})
"""Words between a name and things that are not counted by it."""


@pytest.mark.parametrize(
    ("number", "words", "told"),
    [
        (0, ("line",), "0 lines"),
        (1, ("conntrack entry",), "1 conntrack entry"),
        (2, ("conntrack entry",), "2 conntrack entries"),
        (3, ("key",), "3 keys"),
        (12345, ("address",), "12,345 addresses"),
        (1, ("kind of packet", "kinds of packets"), "1 kind of packet"),
        (2, ("kind of packet", "kinds of packets"), "2 kinds of packets"),
    ],
)
def test_a_number_stands_with_its_noun(number: int, words: tuple[str, ...], told: str) -> None:
    assert count_noun(number, *words) == told


def test_one_of_one_is_the_one() -> None:
    assert (one_of(1, "endpoint"), one_of(3, "endpoint")) == (
        "the one endpoint",
        "one of 3 endpoints",
    )


def test_what_is_counted_once_is_counted_so_everywhere() -> None:
    """A text with a number and a plural says ``1 lines`` one day: each noun has the function."""
    nouns = {noun for text in SOURCES.values() for noun in COUNTED.findall(text)}
    assert {"line", "port", "Service", "entry"} <= nouns
    plurals = "|".join(sorted(map(plural, nouns)))
    written = re.compile(rf"\{{([^{{}}\n]+?)(?::[^{{}}]*)?\}} (?:([\w-]+) )?(?:{plurals})\b")
    found = [
        f"{path}: {match[0]}"
        for path, text in SOURCES.items()
        for match in written.finditer(text)
        if not NAMES.search(match[1]) and match[2] not in NOT_COUNTED
    ]
    assert found == []
