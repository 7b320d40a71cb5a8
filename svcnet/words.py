"""Numbers of things, and some of many, in words."""

from __future__ import annotations

from collections.abc import Sequence


def count_noun(number: int, noun: str, many: str = "") -> str:
    """Return a number with its noun, in the plural unless it is 1: ``2 addresses``.

    `many` is the plural where it is more than another end of the noun, as of ``kind of packet``.
    """
    return f"{number:,} {noun if number == 1 else many or plural(noun)}"


def plural(noun: str) -> str:
    """Return the plural of a noun: ``addresses``, ``entries``, ``keys``."""
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def one_of(number: int, noun: str) -> str:
    """Return which of some things is chosen: ``one of 3 endpoints``, ``the one endpoint``."""
    return f"one of {count_noun(number, noun)}" if number > 1 else f"the one {noun}"


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
