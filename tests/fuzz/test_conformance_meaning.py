"""One meaning, however it is written: by the graph, svcnet, the kernel's tools, and kube-proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcnet.family import IPFamily
from svcnet.graph import RuleGraph
from svcnet.meaning import Facts, MachineRules, verify
from svcnet.meaning.comparison.diff import rules_diff
from svcnet.meaning.dump import read_dump
from svcnet.renderers.iptables import full
from svcnet.testing import FakeIPTables, FakeNFT
from tests import test_conformance, test_conformance_nftables
from tests.fuzz import examples
from tests.meaning.rendering import rendered
from tests.test_conformance import CASES, case_id, family_of_file

SAMPLE = examples(12)


def sample(pattern: str) -> list[Path]:
    """Return some expected files of a pattern; all when the fuzz tests go on."""
    found = sorted(CASES.glob(pattern))
    return found[:: max(1, len(found) // SAMPLE)]


def read(text: str, mode: str, family: IPFamily, graph: RuleGraph) -> MachineRules:
    """Return rules that a text says, or restores."""
    return read_dump([("text", text)]).rules(mode, family, Facts.of(graph.settings))


def assert_one_meaning(graph: RuleGraph, ours: MachineRules, others: list[MachineRules]) -> None:
    """Compare rules with the graph, and with each other, over all packets."""
    for each in (ours, *others):
        found = verify(graph, each)
        assert (found.differences, found.unknown) == ((), ())
    for each in others:
        step = rules_diff(ours, each)
        assert (step.frontends, step.unknown) == ((), ())


@pytest.mark.parametrize("expected", sample("*/iptables.ipv[46].txt"), ids=case_id)
def test_iptables(expected: Path) -> None:
    """What kube-proxy v1.36 restores and what a kernel lists of ours do as the objects say."""
    family = family_of_file(expected)
    graph = test_conformance.compile_case(expected.parent, family)
    machine = FakeIPTables(family)
    machine.restore(full(graph).text_with_jumps)
    others = [expected.read_text(), machine.save()]
    assert_one_meaning(
        graph,
        rendered(graph, "iptables"),
        [read(text, "iptables", family, graph) for text in others],
    )


@pytest.mark.parametrize("expected", sample("*/nftables.ipv[46].txt"), ids=case_id)
def test_nftables(expected: Path) -> None:
    """Kube-proxy's table and transaction, and what nft lists of it, do as the objects say."""
    family = family_of_file(expected)
    graph = test_conformance_nftables.compile_case(expected.parent, family)
    transaction = expected.with_name(f"tx.{expected.stem}.first.txt")
    machine = FakeNFT(set())
    machine.load(transaction.read_text())
    listed = machine.run(["list", "ruleset"], "", may=True).text
    others = [expected.read_text(), transaction.read_text(), listed]
    assert_one_meaning(
        graph,
        rendered(graph, "nftables"),
        [read(text, "nftables", family, graph) for text in others],
    )


@pytest.mark.parametrize("expected", sample("*/ipvs.ipv[46].json"), ids=case_id)
def test_ipvs(expected: Path) -> None:
    """Virtual servers, sets and rules as svcnet writes them do as the objects say."""
    graph = test_conformance.compile_case(expected.parent, family_of_file(expected))
    assert_one_meaning(graph, rendered(graph, "ipvs"), [])
