"""Findings as SARIF 2.1.0, which code hosts and editors read.

Source: Static Analysis Results Interchange Format 2.1.0 of OASIS.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from svcnet.check.registry import RULES
from svcnet.check.result import CheckResult
from svcnet.check.rule import CheckRule
from svcnet.errors import Diagnostic, one_line

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
ROOT = "SRCROOT"
"""What a code host calls the folder of a repository."""

FINGERPRINT = "svcnet/v1"


def sarif(result: CheckResult) -> str:
    """Return a log of one run, with those rules that were broken."""
    broken = {finding.check for finding in result.findings}
    rules = [rule for rule in RULES if rule.check in broken]
    document = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "svcnet",
                        "version": result.version,
                        "rules": [_descriptor(rule) for rule in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": _results(result.findings, rules),
            }
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _descriptor(rule: CheckRule) -> dict[str, Any]:
    return {
        "id": rule.check.number,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "help": {"text": rule.remedy},
        "defaultConfiguration": {"level": rule.severity},
    }


def _results(findings: Sequence[Diagnostic], rules: Sequence[CheckRule]) -> list[dict[str, Any]]:
    indexes = {rule.check: index for index, rule in enumerate(rules)}
    seen: dict[str, int] = {}
    results = []
    for finding in findings:
        mark = _fingerprint(finding)
        seen[mark] = seen.get(mark, 0) + 1
        about = ": ".join(filter(None, (finding.object, finding.field, finding.message)))
        results.append(
            {
                "ruleId": finding.check.number,
                "ruleIndex": indexes[finding.check],
                "level": finding.severity,
                "message": {"text": one_line(about)},
                "locations": [_location(finding)],
                "partialFingerprints": {FINGERPRINT: f"{mark}:{seen[mark]}"},
            }
        )
    return results


def _location(finding: Diagnostic) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": _artifact(finding.file)}
    if finding.line:
        place["region"] = {"startLine": finding.line}
    location: dict[str, Any] = {"physicalLocation": place}
    if finding.object:
        name = ": ".join(filter(None, (finding.object, finding.field)))
        location["logicalLocations"] = [{"fullyQualifiedName": one_line(name)}]
    return location


def _artifact(file: str) -> dict[str, str]:
    """Return where a file is: below the root of the repository, or anywhere."""
    path = PurePath(file)
    if path.is_absolute():
        return {"uri": path.as_uri()}
    # quote takes lone surrogates, of names that are no text, with this handler alone.
    return {"uri": quote(path.as_posix(), errors="surrogateescape"), "uriBaseId": ROOT}


def _fingerprint(finding: Diagnostic) -> str:
    """Return what is the same when a file is edited around a finding: no line is in it."""
    parts = (finding.check.name, finding.file, finding.object, finding.field)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
