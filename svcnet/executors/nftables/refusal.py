"""What is said of a line that the kernel does not take, whoever gave it that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from svcnet import checks
from svcnet.errors import ApplyError, SvcnetError

OriginOf: TypeAlias = Callable[[str], object]
"""What in the input a line came from, None where nothing did."""


def refusal(error: SvcnetError, line: str, origin_of: OriginOf) -> ApplyError:
    """Return the error that says which line was refused, and what in the input it came from.

    An empty line is none that anybody knows.
    """
    if not line:
        return ApplyError(str(error))
    origin = origin_of(line)
    cause = f" (from {origin})" if origin else ""
    return ApplyError(f"{error}\n  refused: {line}{cause}", checks.REFUSED_RULE)
