"""Every rule is found in its example and in nothing else, and not any more where that is mended."""

from pathlib import Path

import pytest

from svcnet import checks
from svcnet.check import CheckReport, CheckRule, check, find_rule
from svcnet.check.registry import RULES
from svcnet.check.rule import CONFIGURATION
from svcnet.sources import open_config
from tests.check.page import PAGE, whole

FOUND = [rule for rule in RULES if rule.is_found_in_manifests]
NODE = "apiVersion: v1\nkind: Node\nmetadata: {name: w1}\n"


def look(rule: CheckRule, text: str, folder: Path) -> CheckReport:
    data = text.encode("utf-8", "surrogateescape")
    if rule.file != CONFIGURATION:
        return check(data)
    file = folder / rule.file
    file.write_bytes(data)
    return check((rule.beside or NODE).encode(), config=open_config(file))


@pytest.mark.parametrize("rule", FOUND, ids=lambda rule: rule.name)
def test_an_example_has_its_mistake_and_no_other(rule: CheckRule, tmp_path: Path) -> None:
    """What is found is of the rule, as bad as it says; of the mended example nothing is."""
    found = look(rule, rule.wrong, tmp_path).findings
    assert {(each.check, each.severity) for each in found} == {(rule.check, rule.severity)}
    assert rule.right != rule.wrong
    assert look(rule, rule.right, tmp_path).findings == ()


def test_rules_are_the_checks_in_their_order() -> None:
    """There is one registry of what is told: each check is a rule, and each rule a check."""
    assert tuple(rule.check for rule in RULES) == checks.every()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_what_to_do_and_has_an_example(rule: CheckRule) -> None:
    """Whatever svcnet tells of can be seen; what it finds in manifests has a source."""
    assert rule.remedy.endswith(".")
    assert rule.fires or rule.example
    assert bool(rule.source) >= rule.is_found_in_manifests
    assert find_rule(rule.name) is find_rule(rule.check.number) is rule


# Told of a node, of a request, of a machine or of a program's own files.
NOT_LOOKED_FOR = {
    *(checks.PASSED_OVER, checks.NO_LOCAL_NODE, checks.NO_ZONE, checks.OTHER_NODE_ADDRESS),
    *(checks.CLEARTEXT, checks.UNVERIFIED_SERVER, checks.EMPTY_NAMESPACE),
    *(checks.CLUSTER_FAMILIES, checks.ASSUMED),
}


def test_every_warning_about_objects_is_looked_for() -> None:
    """A warning that is new is a finding too, or stands here with the reason why not."""
    missed = {rule.check for rule in RULES if rule.severity == "warning"} - {
        rule.check for rule in FOUND
    }
    assert {each for each in missed if not each.number.startswith("S9")} == NOT_LOOKED_FOR


def test_the_page_is_made_of_the_rules() -> None:
    """``python -m tests.check.page`` writes it anew."""
    text = PAGE.read_text("utf-8")
    assert text == whole(text)
