"""Numbers of things, and some of many, in words."""

from __future__ import annotations

from collections.abc import Sequence


def count_noun(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1: ``2 addresses``."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


MOST_CHARACTERS = 2000
"""So much of a line people are shown: nobody reads more, and a terminal takes long."""


def cut_line(line: str) -> str:
    """Return a line, of one that is very long the beginning and its length."""
    if len(line) <= MOST_CHARACTERS:
        return line
    return f"{line[:MOST_CHARACTERS]}… ({len(line):,} characters)"


def list_some(words: Sequence[str], most: int) -> str:
    """Return words with commas, of more than `most` the first and how many others there are."""
    shown, more = ", ".join(words[:most]), len(words) - most
    return f"{shown} and {more} more" if more > 0 else shown
