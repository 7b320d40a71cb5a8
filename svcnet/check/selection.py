"""Which rules are asked for, by names, numbers and beginnings of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from svcnet import checks
from svcnet.checks import Check
from svcnet.sources.annotations import ignorable
from svcnet.sources.fields import quote_value
from svcnet.sources.unknown import nearest_of

_BEGINNING = re.compile(r"S\d{0,2}")


def select_checks(names: Iterable[str]) -> frozenset[Check]:
    """Return the rules of these names or numbers; ``S8`` stands for all whose number begins so.

    Raises ValueError for what is none.
    """
    return frozenset(check for name in names for check in _of(name))


def ignore_checks(names: Iterable[str]) -> frozenset[Check]:
    """Return the rules that are not to be told; raise ValueError for what cannot be ignored.

    Errors cannot, and are left out of what a beginning of a number stands for.
    """
    found: set[Check] = set()
    for name in names:
        if _BEGINNING.fullmatch(name):
            found.update(check for check in _of(name) if check.severity == "warning")
        else:
            found.add(ignorable(name))
    return frozenset(found)


def _of(name: str) -> tuple[Check, ...]:
    every = checks.every()
    if _BEGINNING.fullmatch(name):
        found = tuple(check for check in every if check.number.startswith(name))
    else:
        found = tuple(check for check in every if name in (check.name, check.number))
    if not found:
        guess = nearest_of(name, [check.name for check in every])
        hint = f"; did you mean {guess}?" if guess else ""
        raise ValueError(f"there is no check {quote_value(name)}{hint}")
    return found
