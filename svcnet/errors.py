"""Every error that svcnet raises on purpose, and the diagnostics that it collects.

The command line prints these without a traceback; anything else that escapes is a bug.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType

from attrs import field as attribute
from attrs import frozen

from svcnet import checks
from svcnet.checks import Check, Severity

MAX_LINES = 100
"""Findings that are told at once; nobody reads more, and a million of them would fill a disk."""

MAX_PART = 500
"""Characters of a diagnostic's object, field and message that are shown."""


def one_line(text: str, most: int | None = None) -> str:
    """Return `text` as at most `most` characters of one line, whatever it holds.

    What would move a terminal's cursor, or end a line of a log, is written as an escape.
    """
    text = text if most is None or len(text) <= most else f"{text[: most - 1]}…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@frozen(order=True)
class Diagnostic:
    """One finding about the input, with the place it is about.

    ``file`` is the path as given (``<stdin>`` for standard input), ``line`` counts from
    1 and is 0 when the finding concerns the file as a whole, ``object`` is like
    ``Service shop/web``, ``field`` is a path like ``spec.ports[0].port``. ``check`` is the
    kind of mistake. As text it is one line.
    """

    file: str
    line: int
    object: str
    field: str
    message: str
    severity: Severity = "error"
    check: Check = attribute(kw_only=True)

    def __str__(self) -> str:
        file = one_line(self.file)
        place = f"{file}:{self.line}" if self.line else file
        about = (one_line(text, MAX_PART) for text in (self.object, self.field))
        parts = [place, self.severity, *about]
        message = f"{one_line(self.message, MAX_PART)} [{self.check}]"
        return ": ".join([*(part for part in parts if part), message])

    def to_dict(self) -> dict[str, str | int]:
        """Return it for JSON: its own names as keys; ``check`` is the code and the name."""
        return {
            "file": self.file,
            "line": self.line,
            "object": self.object,
            "field": self.field,
            "message": self.message,
            "severity": self.severity,
            "check": str(self.check),
        }


def list_findings(diagnostics: Sequence[Diagnostic], most: int = MAX_LINES) -> list[str]:
    """Return findings as lines; of more than `most` the first, and the number of the others."""
    lines = [str(diagnostic) for diagnostic in diagnostics[:most]]
    more = len(diagnostics) - len(lines)
    return [*lines, f"and {more} more"] if more > 0 else lines


class SvcnetError(Exception):
    """The root of svcnet's errors; each kind has the exit code that the command ends with."""

    exit_code = 70
    check: Check | None = None
    """The kind of mistake; None if the text names it."""


class UsageError(SvcnetError):
    """A request that makes no sense, such as a node that the input does not have."""

    exit_code = 2
    check = checks.USAGE


class AbsentError(UsageError):
    """A request for something by a name that the input does not have."""

    check = checks.NOT_IN_INPUT


class InputError(SvcnetError):
    """Input that cannot be used; ``diagnostics`` has every finding, the text the first hundred."""

    exit_code = 2

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics))
        super().__init__("\n".join(list_findings(self.diagnostics)))


class Unsupported(SvcnetError):  # noqa: N818  (a diagnosis, named as the design names it)
    """Something that a renderer cannot express; it names the Service and the field."""

    exit_code = 2
    check: Check | None = checks.UNSUPPORTED


class ApplyError(SvcnetError):
    """The machine refused, or cannot do, what was asked of it."""

    exit_code = 3
    check: Check | None = checks.MACHINE

    def __init__(self, message: str, check: Check | None = None) -> None:
        super().__init__(message)
        self.check = check or self.check


class UnreadMachine(ApplyError):  # noqa: N818  (a state of the machine, not a mistake)
    """What the machine has cannot be read, so nothing can be said of it."""

    exit_code = 2


class Lacking(ApplyError):  # noqa: N818  (a state of the machine, too)
    """The machine lacks what a mode needs; nothing was changed. ``lacks`` names what that is."""

    def __init__(self, message: str, lacks: Iterable[str], check: Check | None = None) -> None:
        super().__init__(message, check)
        self.lacks = tuple(lacks)


class Incomplete(ApplyError):  # noqa: N818  (a state of the machine, not a mistake)
    """The machine refused some of what is wanted; ``report`` is of all else, which is done."""

    def __init__(self, message: str, report: object, check: Check | None = None) -> None:
        super().__init__(message, check)
        self.report = report


class OutputError(SvcnetError):
    """What a result goes to cannot be written; ``error`` is the system's."""

    exit_code = 3
    check = checks.OUTPUT

    def __init__(self, message: str, error: OSError) -> None:
        super().__init__(message)
        self.error = error


EXTRAS = MappingProxyType(
    {
        "aiohttp": "kubernetes",
        "dns": "dns",
        "prometheus_client": "run",
        "rich": "run",
        "structlog": "run",
        "watchfiles": "run",
    }
)
"""The packages that svcnet is installed without, by their import names, and what brings each."""


class MissingExtra(UsageError, ImportError):  # noqa: N818  (it says what is missing)
    """A package that svcnet is installed without; the text says which extra brings it."""

    @classmethod
    def of(cls, error: ModuleNotFoundError) -> ImportError:
        """Return what to raise for a package that cannot be imported.

        That is `error` itself unless an extra brings the package.
        """
        name = (error.name or "").partition(".")[0]
        if name not in EXTRAS:
            return error
        shown = "dnspython" if name == "dns" else name
        return cls(f"{shown} is not installed: pip install 'svcnet[{EXTRAS[name]}]' brings it")


def describe_error(error: SvcnetError) -> str:
    """Return what to tell of an error; its first line ends with the kind of mistake."""
    if error.check is None:
        return str(error)
    first, *rest = str(error).split("\n")
    return "\n".join([f"{first} [{error.check}]", *rest])
