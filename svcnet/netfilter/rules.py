"""What single rules say, as iptables-save prints them."""

from __future__ import annotations

import re

from svcnet.netfilter.words import NAMES, Unended, words

_TARGET = re.compile(r"(?:^| )-[jg] (\S+)")


def target(rule: str) -> str:
    """Return the chain or target that a rule leads to, empty if it only counts.

    Quoted text is not looked at, whatever it says.
    """
    found = _TARGET.findall(rule)
    if '"' not in rule and len(found) < 2:
        return found[0] if found else ""
    parts = iter(_parts(rule))
    for part in parts:
        if part in ("-j", "-g"):
            return next(parts, "")
        if part in NAMES:
            next(parts, "")
    return ""


def can_restore(rule: str) -> bool:
    """Return whether iptables-restore reads a rule as it was printed.

    It reads line by line, and takes every quote for the beginning of a quoted text.
    """
    if "\n" in rule:
        return False
    return '"' not in rule or not any('"' in part for part in _parts(rule) if part[:1] != '"')


def _parts(rule: str) -> list[str]:
    """Return the words of a rule, with the lines that its names may have."""
    found: list[str] = []
    start = 0
    while start <= len(rule):
        try:
            spans = list(words(rule, start))
        except Unended:
            return [*found, *rule[start:].split()]
        found += [rule[begin:end] for begin, end in spans]
        start = spans[-1][1] + 1
    return found
