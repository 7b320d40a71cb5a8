"""The page of all rules, in Markdown: docs/reference/checks.md below its introduction."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.check.explanation import is_shown, mend_lines
from svcnet.check.registry import GROUPS
from svcnet.check.rule import CheckRule


def sections() -> str:
    """Return a section for each hundred of rules, with one for each rule."""
    return "\n".join(part for group, rules in GROUPS for part in _group(group, rules))


def _group(title: str, rules: tuple[CheckRule, ...]) -> Iterator[str]:
    yield f"## {title}\n"
    for rule in rules:
        yield from _rule(rule)


def _rule(rule: CheckRule) -> Iterator[str]:
    yield f"### {rule.check}\n"
    yield f"**{rule.severity.capitalize()}.** {rule.summary}\n"
    yield f"{rule.remedy}\n"
    if is_shown(rule):
        language = "yaml" if _is_yaml(rule) else "text"
        yield f"`{rule.file}`:\n```{language}\n{rule.wrong}```\n"
        yield f"It is right so:\n\n```diff\n{mend_lines(rule)}```\n"
    elif rule.example:
        yield f"{rule.example}"
    if rule.source:
        yield f"Source: {rule.source}.\n"


def _is_yaml(rule: CheckRule) -> bool:
    """Return whether an example is YAML to a reader that takes nothing after an end."""
    return "\n...\n" not in rule.wrong
