"""How likely each end of a packet is, whatever reasons readings word for themselves."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from svcnet.graph import Refuse


def plain(verdict: Any) -> Any:
    """Return a verdict without its reason."""
    return Refuse(verdict.how, "") if isinstance(verdict, Refuse) else verdict


def chances(ends: Iterable[Any]) -> dict[Any, Fraction]:
    """Return the chance of each verdict, of outcomes or of passages."""
    sums: dict[Any, Fraction] = {}
    for each in ends:
        verdict = plain(each.verdict)
        sums[verdict] = sums.get(verdict, Fraction(0)) + each.probability
    return sums
