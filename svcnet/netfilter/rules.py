"""What single rules say, as iptables-save prints them."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

from attrs import field, frozen

from svcnet.netfilter.words import NAMES, OpenQuote, words


@frozen
class Rule:
    """One rule of one chain; ``text`` is the rule without ``-A CHAIN``.

    ``cause`` is what it was written for, as its writer knows that; it is no part of what it says.
    """

    table: str
    chain: str
    text: str
    cause: str = field(default="", eq=False, repr=False)


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


def leading_to(chains: Mapping[str, list[str]], wanted: str) -> str:
    """Return a rule that leads to a chain, as a line of restore text; empty if there is none."""
    return next(
        (
            f"-A {chain} {rule}"
            for chain, rules in chains.items()
            for rule in rules
            if wanted in rule and target(rule) == wanted
        ),
        "",
    )


def is_made_of(rule: str, options: Container[str]) -> bool:
    """Return whether a rule has no other options than these, and one value for each.

    iptables-restore reads such a rule as it was printed. Of others nobody knows: it reads line by
    line, and takes blanks and quotes of a name for its end.
    """
    parts = iter(_parts(rule))
    for part in parts:
        if part == "!":
            continue
        value = next(parts, "\n")
        if part not in options or "\n" in value or ('"' in value and value[0] != '"'):
            return False
    return True


def _parts(rule: str) -> list[str]:
    """Return the words of a rule, with the lines that its names may have."""
    found: list[str] = []
    start = 0
    while start <= len(rule):
        try:
            spans = list(words(rule, start))
        except OpenQuote:
            return [*found, *rule[start:].split()]
        found += [rule[begin:end] for begin, end in spans]
        start = spans[-1][1] + 1
    return found
