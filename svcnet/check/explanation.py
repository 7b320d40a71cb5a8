"""A rule as text for people: one at a time, and all as a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import unified_diff
from itertools import islice
from textwrap import indent

from svcnet.check.rule import CheckRule
from svcnet.labels import IGNORE_ANNOTATION

MOST_LINES = 60
"""So much of an example is shown; one that a function makes is longer."""


def rule_list(rules: Iterable[CheckRule]) -> str:
    """Return a line for each rule: number, name, severity and summary."""
    known = list(rules)
    width = max((len(rule.name) for rule in known), default=0)
    lines = (
        f"{rule.check.number} {rule.name:{width}}  {rule.severity:7}  {rule.summary}"
        for rule in known
    )
    return "".join(f"{line}\n" for line in lines)


def explain(rule: CheckRule) -> str:
    """Return what a rule is, why, what to do, and an example of it and without it."""
    return "\n".join(_paragraphs(rule))


def _paragraphs(rule: CheckRule) -> Iterator[str]:
    yield f"{rule.check} ({rule.severity})\n\n{rule.summary}\n\n{rule.remedy}\n"
    if is_shown(rule):
        yield f"It is found in this {rule.file}:\n\n{indent(rule.wrong, '    ')}"
        yield f"and is not found any more with this change:\n\n{indent(mend_lines(rule), '    ')}"
    elif rule.example:
        yield indent(rule.example, "    ")
    if rule.source:
        yield f"Source: {rule.source}"
    if rule.is_found_in_manifests:
        yield f"svcnet check looks for it.{_how_to_ignore(rule)}\n"
    else:
        yield "svcnet check does not look for it: other verbs tell of it.\n"


def _how_to_ignore(rule: CheckRule) -> str:
    if rule.severity == "error":
        return " An error cannot be ignored."
    return (
        f" --ignore {rule.name} leaves it out, and of one object the annotation "
        f"{IGNORE_ANNOTATION}: {rule.name}"
    )


def is_shown(rule: CheckRule) -> bool:
    """Return whether the example of a rule is one to be read, and not a long one."""
    return bool(rule.fires) and not rule.example and rule.wrong.count("\n") <= MOST_LINES


def mend_lines(rule: CheckRule) -> str:
    """Return the lines in which the right example differs from the wrong one."""
    lines = unified_diff(rule.wrong.splitlines(), rule.right.splitlines(), lineterm="", n=0)
    changed = (line for line in islice(lines, 2, None) if not line.startswith("@@"))
    return "".join(f"{line[0]} {line[1:]}\n" for line in changed)
