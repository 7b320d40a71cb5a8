"""Findings a line each, and as a list of JSON."""

from __future__ import annotations

import json
from collections import Counter

from svcnet.check.result import CheckResult
from svcnet.words import count_noun


def text(result: CheckResult) -> str:
    """Return a line for each finding, and one that counts them."""
    lines = [*map(str, result.findings), summary(result)]
    return "".join(f"{line}\n" for line in lines)


def summary(result: CheckResult) -> str:
    """Return how many findings of each severity there are, in how many objects."""
    counts = Counter(finding.severity for finding in result.findings)
    found = " and ".join(count_noun(counts[each], each) for each in ("error", "warning"))
    known = f"; {result.known} more of the baseline" if result.known else ""
    if not result.findings:
        found = "no findings"
    return f"{found} in {count_noun(result.objects, 'object')}{known}"


def json_list(result: CheckResult) -> str:
    """Return a list of findings, an object each."""
    findings = [
        {
            "rule": finding.check.name,
            "severity": finding.severity,
            "file": finding.file,
            "line": finding.line,
            "object": finding.object,
            "field": finding.field,
            "message": finding.message,
        }
        for finding in result.findings
    ]
    return json.dumps(findings, indent=2) + "\n"
