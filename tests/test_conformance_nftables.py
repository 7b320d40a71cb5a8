"""Every conformance case in mode nftables: what the real kube-proxy v1.36.2 makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.graph import RuleGraph, diff
from svcnet.models import Host, IPFamily
from svcnet.modes.nftables import NFTABLES
from svcnet.renderers.nftables import advance, full, text, transaction
from svcnet.sources import load, load_config, load_host
from tests.conformance import compare
from tests.renderers.nftables_model import Model
from tests.test_conformance import CASES, case_id, family_of_file

NOT_ITS_FULL_SYNC = ("then-affinity-timeout", "then-service-cidr")
"""Cases whose third state is not what a full sync gives, as the reference's README says."""


def cases(pattern: str) -> list[Path]:
    """Return the expected files of a pattern."""
    return sorted(CASES.glob(pattern))


EXPECTED = cases("*/nftables.ipv[46].txt")
SECOND = cases("*/nftables.ipv[46].second.txt")


def compile_case(case: Path, family: IPFamily, objects: str = "objects.yaml") -> RuleGraph:
    """Return the graph of one case, as this mode takes its configuration."""
    host = case / "host.yaml"
    state = load([case / objects]).state
    config = load_config(case / "config.yaml")
    facts = load_host(host) if host.exists() else Host()
    rules = NFTABLES.rules(config)
    return compile_state(state, node_view(state, config, facts, family=family, rules=rules))


def assert_is_the_references(expected: Path, ours: str) -> None:
    """Compare as the reference's README does, and then to the byte."""
    wanted = expected.read_text()
    assert compare.nftables(ours.split("\n")) == compare.nftables(wanted.split("\n"))
    assert ours == wanted


def test_there_are_cases() -> None:
    """The cases are found at all."""
    assert len(EXPECTED) >= 150
    assert len(SECOND) >= 16


@pytest.mark.parametrize("expected", EXPECTED, ids=case_id)
def test_text_is_the_references(expected: Path) -> None:
    """The table is the reference's to the byte."""
    graph = compile_case(expected.parent, family_of_file(expected))
    assert_is_the_references(expected, text(full(graph)))


@pytest.mark.parametrize("expected", EXPECTED, ids=case_id)
def test_transaction_is_the_references(expected: Path) -> None:
    """What nft is given for a full sync is the reference's, and leaves what the text has."""
    graph = compile_case(expected.parent, family_of_file(expected))
    ours = transaction(full(graph))
    assert_is_the_references(expected.with_name(f"tx.{expected.stem}.first.txt"), ours)
    assert Model.of(ours, ours) == Model.of(text(full(graph)))


@pytest.mark.parametrize("expected", SECOND, ids=case_id)
def test_second_state_is_where_the_reference_arrives(expected: Path) -> None:
    """A step and the reference's own lead to the same table, that of a full sync."""
    family = family_of_file(expected)
    first = compile_case(expected.parent, family)
    second = compile_case(expected.parent, family, "objects.second.yaml")
    before = full(first)
    after, step = advance(before, diff(first, second))
    wanted = text(full(second))
    assert text(after) == wanted
    ours = Model.of(text(before), step.text)
    name = expected.name.split(".")[1]
    theirs = Model.of(
        text(before),
        expected.with_name(f"nftables.{name}.second.delta.txt").read_text(),
        expected.with_name(f"tx.nftables.{name}.third.txt").read_text(),
    )
    assert ours == Model.of(wanted)
    assert ours == theirs or expected.parent.name == "then-service-cidr"
    assert Model.of(text(before), step.sync, step.cleanup) == ours
    if expected.parent.name not in NOT_ITS_FULL_SYNC:
        third = expected.with_name(f"third.nftables.{name}.txt").read_text()
        assert compare.nftables(wanted.split("\n")) == compare.nftables(third.split("\n"))
