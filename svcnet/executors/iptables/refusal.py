"""What is said of restore text that iptables refuses."""

from __future__ import annotations

from collections.abc import Callable

from svcnet import checks
from svcnet.checks import Check
from svcnet.errors import ApplyError
from svcnet.executors.iptables.commands import RestoreError
from svcnet.netfilter.restore import line_at


def explain(
    error: RestoreError | ApplyError, text: str, origin_of_line: Callable[[str], object]
) -> str:
    """Say which line of `text` was refused, and what in the input it came from."""
    line = line_at(text, error.line) if isinstance(error, RestoreError) else ""
    if not line:
        return str(error)
    origin = origin_of_line(line)
    cause = f" (from {origin})" if origin else ""
    return f"{error}\n  refused: {line}{cause}"


def check_of(error: RestoreError | ApplyError) -> Check | None:
    """Return the kind of refusal: of a rule, if a line is to blame, else what the error says."""
    return checks.REFUSED_RULE if isinstance(error, RestoreError) and error.line else error.check
