"""Every conformance case: the iptables text of the real kube-proxy v1.30.5, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.graph import RuleGraph, diff
from svcnet.models import Host, IPFamily
from svcnet.renderers.iptables import delta, full
from svcnet.sources import load, load_config, load_host
from svcnet.testing import FakeIPTables

CASES = Path(__file__).parent / "conformance" / "cases"
FAMILIES: tuple[IPFamily, ...] = ("IPv4", "IPv6")
EXPECTED = sorted(CASES.glob("*/iptables.ipv[46].txt"))
SECOND = sorted(CASES.glob("*/iptables.ipv[46].second.txt"))


def compile_case(case: Path, family: IPFamily, objects: str = "objects.yaml") -> RuleGraph:
    """Return the graph of one case, from its files."""
    host = case / "host.yaml"
    state = load([case / objects]).state
    config = load_config(case / "config.yaml")
    facts = load_host(host) if host.exists() else Host()
    return compile_state(state, node_view(state, config, facts, family=family))


def family_of_file(path: Path) -> IPFamily:
    return "IPv4" if "ipv4" in path.name else "IPv6"


def case_id(path: Path) -> str:
    return f"{path.parent.name}-{family_of_file(path)}"


def test_there_are_cases() -> None:
    """The cases are found at all."""
    assert len(EXPECTED) >= 122
    assert len(SECOND) >= 4


@pytest.mark.parametrize("expected", EXPECTED, ids=case_id)
def test_text_is_the_references(expected: Path) -> None:
    """A full sync is the reference's to the byte."""
    graph = compile_case(expected.parent, family_of_file(expected))
    assert full(graph).text == expected.read_text()


@pytest.mark.parametrize("expected", SECOND, ids=case_id)
def test_second_state_is_where_the_reference_arrives(expected: Path) -> None:
    """A delta leaves the tables as the reference's own partial sync leaves them."""
    family = family_of_file(expected)
    first = compile_case(expected.parent, family)
    second = compile_case(expected.parent, family, "objects.second.yaml")
    reference, ours, cold = FakeIPTables(), FakeIPTables(), FakeIPTables()
    reference.restore(full(first).text)
    reference.restore(expected.read_text())
    ours.restore(full(first).text)
    ours.restore(delta(diff(first, second)).text)
    cold.restore(full(second).text)
    assert ours.order_free() == reference.order_free() == cold.order_free()


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("expected", EXPECTED, ids=case_id)
def test_transactions_leave_what_the_text_leaves(expected: Path, size: int) -> None:
    """The text cut into transactions makes the same tables as the whole."""
    artifact = full(compile_case(expected.parent, family_of_file(expected)))
    whole, cut = FakeIPTables(), FakeIPTables()
    whole.restore(artifact.text)
    for transaction in artifact.transactions(size):
        cut.restore(transaction)
    assert cut.tables == whole.tables
