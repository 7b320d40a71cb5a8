"""Findings as JUnit's XML, which GitLab, Jenkins and others show as failed tests.

Source: what Jenkins' plugin junit and GitLab's unit test reports read.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

from svcnet.check.forms.listing import summary
from svcnet.check.result import CheckResult
from svcnet.errors import Diagnostic, one_line


def junit(result: CheckResult) -> str:
    """Return a suite for each file with findings, a case each; one case that passes if none."""
    failures = sum(map(result.fails, result.findings))
    tests = max(len(result.findings), 1)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="svcnet check" tests="{tests}" failures="{failures}" errors="0">',
        *_suites(result),
        "</testsuites>",
    ]
    return "".join(f"{line}\n" for line in lines)


def _suites(result: CheckResult) -> Iterator[str]:
    if not result.findings:
        yield '  <testsuite name="svcnet check" tests="1" failures="0" errors="0">'
        yield f'    <testcase classname="svcnet" name={_attribute(summary(result))}/>'
        yield "  </testsuite>"
    for file, group in groupby(result.findings, key=lambda finding: finding.file):
        findings = list(group)
        failures = sum(map(result.fails, findings))
        counts = f'tests="{len(findings)}" failures="{failures}" errors="0"'
        yield f"  <testsuite name={_attribute(file)} {counts}>"
        for finding in findings:
            yield from _case(finding, result.fails(finding))
        yield "  </testsuite>"


def _case(finding: Diagnostic, fails: bool) -> Iterator[str]:
    """Yield the case of a finding: one that fails nothing is what a passed case says."""
    name = ": ".join(filter(None, (finding.check.name, finding.object, finding.field)))
    line = f' line="{finding.line}"' if finding.line else ""
    about = f"classname={_attribute(finding.file)} name={_attribute(name)}"
    yield f"    <testcase {about} file={_attribute(finding.file)}{line}>"
    message = _attribute(finding.message)
    body = escape(_clean(str(finding)))
    if fails:
        yield f'      <failure type="{finding.severity}" message={message}>{body}</failure>'
    else:
        yield f"      <system-out>{body}</system-out>"
    yield "    </testcase>"


def _attribute(text: str) -> str:
    return quoteattr(_clean(text))


def _clean(text: str) -> str:
    """Return text that XML can hold: on one line, and without what is no character of it."""
    return one_line(text).encode("utf-8", "backslashreplace").decode()
