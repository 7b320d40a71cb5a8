"""Numbers of things, and some of many, in words."""

from __future__ import annotations

from collections.abc import Sequence


def count_noun(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1: ``2 addresses``."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def list_some(words: Sequence[str], most: int) -> str:
    """Return words with commas, of more than `most` the first and how many others there are."""
    shown, more = ", ".join(words[:most]), len(words) - most
    return f"{shown} and {more} more" if more > 0 else shown
