"""Every error that svcnet raises on purpose, and the diagnostics that it collects.

The command line prints these without a traceback; anything else that escapes is a bug.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from attrs import frozen


@frozen(order=True)
class Diagnostic:
    """One finding about the input, with the place it is about.

    ``file`` is the path as given (``<stdin>`` for standard input), ``line`` counts from
    1 and is 0 when the finding concerns the file as a whole, ``object`` is like
    ``Service shop/web``, ``field`` is a path like ``spec.ports[0].port``.
    """

    file: str
    line: int
    object: str
    field: str
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        parts = [place, self.severity, self.object, self.field]
        return ": ".join([*(part for part in parts if part), self.message])


class SvcnetError(Exception):
    """The root of svcnet's errors."""

    exit_code = 1


class UsageError(SvcnetError):
    """A request that makes no sense, such as a node that the input does not have."""

    exit_code = 2


class InputError(SvcnetError):
    """Input that cannot be used; ``diagnostics`` has every finding, not only the first."""

    exit_code = 2

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics))
        super().__init__("\n".join(map(str, self.diagnostics)))


class Unsupported(SvcnetError):  # noqa: N818  (a diagnosis, named as the design names it)
    """Something that a renderer cannot express; it names the Service and the field."""

    exit_code = 2


class ApplyError(SvcnetError):
    """The machine refused, or cannot do, what was asked of it."""

    exit_code = 3
