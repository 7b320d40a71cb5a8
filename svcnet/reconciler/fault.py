"""What a mistake of svcnet's own may cost: a line and another try, and never the loop."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from svcnet.errors import MAX_PART, ApplyError, SvcnetError, one_line

MOST_FRAMES = 4
"""How many of the innermost places of a fault are told; they say what a report has to say."""


@contextmanager
def as_refusal() -> Iterator[None]:
    """Have an exception that is none of svcnet's come as an ApplyError that asks for a report.

    For what reads the machine: whatever it holds, and whatever is wrong with the reader, rules
    stay as they are, an operator is told, and it is tried again.
    """
    try:
        yield
    except SvcnetError:
        raise
    except Exception as error:
        raise ApplyError(description(error)) from error


def description(error: BaseException) -> str:
    """Return a line that says what happened, where, and that somebody should know of it."""
    frames = traceback.extract_tb(error.__traceback__)[-MOST_FRAMES:]
    places = " < ".join(f"{_file(f.filename)}:{f.lineno}" for f in reversed(frames))
    what = one_line(f"{type(error).__name__}: {error}", MAX_PART)
    return f"a fault of svcnet's own, please report it: {what} ({places})"


def _file(path: str) -> str:
    """Return a file's path from its package on."""
    return path.rpartition("/svcnet/")[2]
