"""Collecting what is wrong with the input, and finding its line only when there is something.

While objects are read, a finding remembers a file, the number of a document in it and a
path of keys. Lines are looked up afterwards, once a file, so good input costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from attrs import define, field, frozen

from svcnet import checks
from svcnet.checks import Check, Severity
from svcnet.errors import Diagnostic, InputError
from svcnet.sources.positions import RepeatedKey, lines_of

Key: TypeAlias = str | int
Path: TypeAlias = tuple[Key, ...]

MAX_KEY = 100
REPEATED = "is written twice in one mapping; the last one counts"
CAUSES = (checks.UNKNOWN_FIELD, checks.REPEATED_KEY)
MAX_FINDINGS = 10_000
"""How many findings about fields anybody would read."""


@frozen
class Source:
    """One file's bytes and the name to report it by.

    What did not come as a file has no bytes, and so no lines. Of text inside a file ``offset`` is
    how many lines are before its first; if its lines are not those of the file it has no bytes
    here, and all of it is on that line. ``is_found`` says that nobody named the file: it was in a
    folder that somebody named.
    """

    file: str
    data: bytes = field(repr=False)
    offset: int = 0
    is_found: bool = False


@define  # Frozen it would take twice the time to make, and each object has one.
class ObjectPlace:
    """An object in a file: its document's number, its path in there, and what to call it.

    Warnings of ``ignored`` checks are not to be told of it. ``is_old`` says that it is of a version
    that no server takes any more.
    """

    source: Source
    document: int
    path: Path
    label: str = ""
    ignored: frozenset[Check] = frozenset()
    is_old: bool = False


@frozen
class FieldFinding:
    """Something about a field of an object; ``path`` is relative to the object."""

    check: Check
    place: ObjectPlace
    path: Path
    message: str
    severity: Severity


@define
class Findings:
    """Everything found so far, in the order of finding.

    Of errors and of warnings about fields the first ``most`` are kept, so that what is wrong a
    million times does not take the room of a million findings.
    """

    most: int = MAX_FINDINGS
    found: list[FieldFinding] = field(factory=list)
    plain: list[Diagnostic] = field(factory=list)
    ignored: dict[int, set[Check]] = field(factory=dict)
    """What objects had ignored that would have been told, by the ``id`` of their places."""
    _counts: dict[Severity, int] = field(factory=lambda: {"error": 0, "warning": 0})

    def error(self, check: Check, place: ObjectPlace, path: Path, message: str) -> None:
        """Add an error about a field."""
        self._add(FieldFinding(check, place, path, message, "error"))

    def warning(self, check: Check, place: ObjectPlace, path: Path, message: str) -> None:
        """Add a warning about a field, unless the object has it ignored."""
        if check in place.ignored:
            self.ignored.setdefault(id(place), set()).add(check)
            return
        self._add(FieldFinding(check, place, path, message, "warning"))

    def _add(self, finding: FieldFinding) -> None:
        self._counts[finding.severity] += 1
        if self._counts[finding.severity] <= self.most:
            self.found.append(finding)

    def file_error(self, check: Check, file: str, line: int, message: str) -> None:
        """Add an error about a file as a whole, or one line of it."""
        self.plain.append(Diagnostic(file, line, "", "", message, check=check))

    def is_full(self, severity: Severity) -> bool:
        """Return whether no more of a severity are kept."""
        return self._counts[severity] >= self.most

    def remark(self, check: Check, file: str, line: int, message: str) -> None:
        """Add a warning about one line of a file."""
        self.plain.append(Diagnostic(file, line, "", "", message, "warning", check=check))

    def has_errors(self) -> bool:
        """Return whether anything but warnings was found."""
        return bool(self._counts["error"]) or any(d.severity == "error" for d in self.plain)

    def refuses_files(self) -> bool:
        """Return whether a file could not be read: that is more than what is wrong in one."""
        return any(d.severity == "error" for d in self.plain)

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return all findings with their lines, in the order of files and lines."""
        by_source: dict[int, list[FieldFinding]] = {}
        for finding in self.found:
            by_source.setdefault(id(finding.place.source), []).append(finding)
        located = [d for group in by_source.values() for d in _locate(group)]
        return tuple(sorted({*self.plain, *located}))

    def refusal(self) -> InputError:
        """Return the errors, with those warnings about the same objects that may say why.

        A field that is missing may be there under nearly its name, or twice.
        """
        found = self.diagnostics()
        wrong = {(d.file, d.object) for d in found if d.severity == "error"}
        return InputError(
            d
            for d in found
            if d.severity == "error" or (d.check in CAUSES and (d.file, d.object) in wrong)
        )


def warn_of_repeated(
    place: ObjectPlace, repeated: Iterable[RepeatedKey], findings: Findings
) -> None:
    """Add a warning for each key of an object that is written twice in one mapping."""
    above = len(place.path)
    for document, path, _ in repeated:
        if document == place.document and path[:above] == place.path:
            findings.warning(checks.REPEATED_KEY, place, path[above:], REPEATED)


def _locate(group: Sequence[FieldFinding]) -> Iterable[Diagnostic]:
    source = group[0].place.source
    wanted = [(f.place.document, (*f.place.path, *f.path)) for f in group]
    lines = lines_of(source.data, wanted) if source.data else [0] * len(group)
    for finding, line in zip(group, lines, strict=True):
        yield Diagnostic(
            source.file,
            source.offset + line,
            finding.place.label,
            join_path(finding.path),
            finding.message,
            finding.severity,
            check=finding.check,
        )


def join_path(path: Path) -> str:
    """Return a path as ``spec.ports[0].port``; keys that are no plain word are quoted.

    Of one that is very long the beginning is shown.
    """
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
            continue
        short = key if len(key) <= MAX_KEY else f"{key[:MAX_KEY]}…"
        if key.replace("_", "").isalnum():
            text += f".{short}" if text else short
        else:
            text += f"[{short!r}]"
    return text
