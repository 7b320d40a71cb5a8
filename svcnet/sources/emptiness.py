"""Input that says that there is nothing, which is seldom what somebody meant."""

from __future__ import annotations

from svcnet import checks
from svcnet.sources.findings import Findings, ObjectPlace, Source


def check_empty(source: Source, findings: Findings) -> None:
    """Warn of a file without anything in it, not even a comment."""
    if not source.data.strip():
        message = "is empty, as while somebody writes it"
        findings.warning(checks.EMPTY_FILE, _whole(source.file), (), message)


def check_no_object(given: str, findings: Findings, *, has_workloads: bool = False) -> None:
    """Warn of input without an object, unless a file of it is empty; `given` are its paths."""
    if all(finding.check is not checks.EMPTY_FILE for finding in findings.found):
        message = "has no object that svcnet reads"
        if has_workloads:
            message = "has workloads, and no Service that would lead to their Pods"
        findings.warning(checks.NO_OBJECT, _whole(given), (), message)


def _whole(file: str) -> ObjectPlace:
    """Return the place of a file as a whole."""
    return ObjectPlace(Source(file, b""), 0, ())
