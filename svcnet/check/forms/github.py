"""Findings as workflow commands of GitHub Actions, which become annotations of files.

Source: actions/toolkit, packages/core/src/command.ts.
"""

from __future__ import annotations

from collections.abc import Mapping

from svcnet.check.forms.listing import summary
from svcnet.check.result import CheckResult
from svcnet.errors import Diagnostic, one_line

_IN_DATA: Mapping[str, str] = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTIES: Mapping[str, str] = {**_IN_DATA, ":": "%3A", ",": "%2C"}


def github(result: CheckResult) -> str:
    """Return a command for each finding, and a line that counts them."""
    return "".join(f"{line}\n" for line in (*map(_command, result.findings), summary(result)))


def _command(finding: Diagnostic) -> str:
    properties = {"file": one_line(finding.file), "title": str(finding.check)}
    if finding.line:
        properties["line"] = str(finding.line)
    shown = ",".join(f"{key}={_escape(text, _IN_PROPERTIES)}" for key, text in properties.items())
    about = [part for part in (finding.object, finding.field, finding.message) if part]
    return f"::{finding.severity} {shown}::{_escape(one_line(': '.join(about)), _IN_DATA)}"


def _escape(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(letter, letter) for letter in text)
