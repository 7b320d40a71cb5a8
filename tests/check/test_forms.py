"""Findings in each form: as their readers demand, whatever stands in names and messages."""

from __future__ import annotations

import json
import os
import re
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet import checks
from svcnet.check import check
from svcnet.check.forms import FORMS
from svcnet.check.forms.sarif import sarif
from svcnet.check.registry import RULES
from svcnet.check.result import CheckResult, FailOn
from svcnet.checks import Check
from svcnet.errors import Diagnostic
from tests.conftest import ROOT
from tests.fuzz import examples
from tests.json_schema import faults

SARIF = json.loads((ROOT / "tests/data/sarif-schema-2.1.0.json").read_text("utf-8"))
CHECKS = checks.every()
TEXT = st.text(st.characters(), max_size=20)
NAMES = st.binary(min_size=1, max_size=20).map(os.fsdecode)
FILES = st.one_of(st.just("<stdin>"), NAMES, NAMES.map(lambda name: f"/srv/{name}"))


@st.composite
def results(draw: st.DrawFn) -> CheckResult:
    """Draw findings of any rule, in files, objects and fields of any name."""
    found = []
    for _ in range(draw(st.integers(0, 4))):
        check: Check = draw(st.sampled_from(CHECKS))
        line = draw(st.integers(0, 100))
        file, item, field, text = draw(FILES), draw(TEXT), draw(TEXT), draw(TEXT)
        found.append(Diagnostic(file, line, item, field, text, check.severity, check=check))
    fail_on: FailOn = "error" if draw(st.booleans()) else "warning"
    return CheckResult(sorted(found), fail_on, objects=len(found), version="0.1.0")


@settings(max_examples=examples(60), deadline=None)
@given(results())
def test_any_finding_has_every_form(result: CheckResult) -> None:
    """Each form is what its readers read, and has every finding."""
    texts = {name: form(result) for name, form in FORMS.items()}
    for text in texts.values():
        text.encode()
    count = len(result.findings)
    assert len(json.loads(texts["json"])) == count
    log = json.loads(texts["sarif"])
    assert list(faults(SARIF, log, SARIF)) == []
    assert len(log["runs"][0]["results"]) == count
    assert len(texts["text"].splitlines()) == count + 1
    commands = texts["github"].splitlines()[:-1]
    assert len(commands) == count
    for line in commands:
        assert re.fullmatch(r"::(error|warning) file=[^:,]+,title=[^:,]+(,line=\d+)?::.*", line)
    check_junit(texts["junit"], result)


def check_junit(text: str, result: CheckResult) -> None:
    """Hold XML to what GitLab and Jenkins read: suites, cases with names, failures with types."""
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    cases = [case for suite in root for case in suite]
    assert {suite.tag for suite in root} == {"testsuite"}
    assert all(case.tag == "testcase" and {"name", "classname"} <= {*case.keys()} for case in cases)
    failures = [each for case in cases for each in case if each.tag == "failure"]
    assert all({"type", "message"} <= {*failure.keys()} for failure in failures)
    assert len(failures) == sum(map(result.fails, result.findings)) == int(root.get("failures", ""))
    assert len(cases) == max(len(result.findings), 1) == int(root.get("tests", ""))
    for suite in root:
        assert len(suite) == int(suite.get("tests", ""))
        assert len(suite.findall("*/failure")) == int(suite.get("failures", ""))


def test_sarif_has_places_rules_and_marks() -> None:
    """A result says where, by a URI below the root, and of which rule; its mark has no line."""
    rule = next(rule for rule in RULES if rule.name == "no-pod")
    found = check(rule.wrong.encode()).findings
    moved = check(f"# a line more\n{rule.wrong}".encode()).findings
    logs = [json.loads(sarif(CheckResult(each, version="1.2.3"))) for each in (found, moved)]
    (run,) = logs[0]["runs"]
    driver, (result,) = run["tool"]["driver"], run["results"]
    assert (driver["name"], driver["version"]) == ("svcnet", "1.2.3")
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "S801"
    place = result["locations"][0]["physicalLocation"]
    assert unquote(place["artifactLocation"]["uri"]) == "<argument>"
    assert place["artifactLocation"]["uriBaseId"] == "SRCROOT"
    assert place["region"] == {"startLine": 4}
    other = logs[1]["runs"][0]["results"][0]
    assert other["locations"][0]["physicalLocation"]["region"] == {"startLine": 5}
    assert other["partialFingerprints"] == result["partialFingerprints"]


def test_every_rule_stands_in_sarif() -> None:
    """The description of each rule is as the schema demands."""
    found = [
        Diagnostic("web.yaml", 1, "", "", "x", rule.severity, check=rule.check) for rule in RULES
    ]
    log = json.loads(sarif(CheckResult(found)))
    assert list(faults(SARIF, log, SARIF)) == []
    assert len(log["runs"][0]["tool"]["driver"]["rules"]) == len(RULES)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"version": "2.0.0"}, "is none of"),
        ({"more": 1}, "is not in the schema"),
        ({"runs": [{}]}, "tool is missing"),
        ({"runs": [{"tool": {"driver": {"name": "svcnet"}}, "columnKind": "x"}]}, "is none of"),
    ],
)
def test_the_schema_is_heeded(change: dict[str, object], fault: str) -> None:
    """A log that is wrong is found to be."""
    log = {**json.loads(sarif(CheckResult([]))), **change}
    assert fault in " ".join(faults(SARIF, log, SARIF))


def test_what_fails_nothing_is_no_failed_case() -> None:
    """With --fail-on error a warning is a case that passed and says so."""
    found = [Diagnostic("a.yaml", 1, "", "", "x", "warning", check=checks.NO_POD)]
    text = FORMS["junit"](CheckResult(found, fail_on="error"))
    check_junit(text, CheckResult(found, fail_on="error"))
    assert "<system-out>" in text
