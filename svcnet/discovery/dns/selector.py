"""Label selectors as text: ``app=web,tier in (a, b),!legacy``.

Source: ``Parse`` and ``Matches`` of apimachinery's pkg/labels of Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from attrs import frozen

from svcnet.errors import UsageError

Operator: TypeAlias = Literal["exists", "in", "notin"]

_KEY = r"[A-Za-z0-9]([A-Za-z0-9./_-]*[A-Za-z0-9])?"
_VALUE = r"[A-Za-z0-9._-]*"
_REQUIREMENT = re.compile(
    rf"\s*(?:(?P<not>!)\s*(?P<absent>{_KEY})|(?P<key>{_KEY})\s*"
    rf"(?:(?P<sign>==|=|!=)\s*(?P<value>{_VALUE})"
    rf"|(?P<word>in|notin)\s*\((?P<values>\s*{_VALUE}\s*(?:,\s*{_VALUE}\s*)*)\))?)\s*(?:,|$)"
)


@frozen
class Requirement:
    """What one part of a selector asks of an object's labels."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()
    negated: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels are as asked; without the key, they are in no set."""
        if self.operator == "exists":
            return (self.key in labels) is not self.negated
        inside = self.key in labels and labels[self.key] in self.values
        return inside is (self.operator == "in")


def parse_selector(text: str) -> tuple[Requirement, ...]:
    """Return the requirements of a selector, all of which must be met. Raises UsageError."""
    found, position = [], 0
    while position < len(text):
        match = _REQUIREMENT.match(text, position)
        if match is None:
            raise UsageError(f"labels {text!r} cannot be read from {text[position:]!r} on")
        found.append(_requirement(match))
        position = match.end()
    return tuple(found)


def _requirement(match: re.Match[str]) -> Requirement:
    if match["not"]:
        return Requirement(match["absent"], "exists", negated=True)
    if match["sign"]:
        values = frozenset((match["value"],))
        return Requirement(match["key"], "notin" if match["sign"] == "!=" else "in", values)
    if match["word"]:
        values = frozenset(value.strip() for value in match["values"].split(","))
        return Requirement(match["key"], "in" if match["word"] == "in" else "notin", values)
    return Requirement(match["key"], "exists")
