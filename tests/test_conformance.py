"""Every conformance case: what the real kube-proxy v1.36.2 makes of it, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.graph import RuleGraph, diff
from svcnet.models import Host, IPFamily
from svcnet.renderers import ipvs
from svcnet.renderers.iptables import delta, full
from svcnet.renderers.ipvs.rules import FILTER_CHAINS, JUMPS, NAT_CHAINS
from svcnet.sources import load, load_config, load_host
from svcnet.testing import FakeIPTables
from tests.conformance import compare
from tests.renderers.ipvs_model import Machine

CASES = Path(__file__).parent / "conformance" / "cases"
FAMILIES: tuple[IPFamily, ...] = ("IPv4", "IPv6")
EXPECTED = sorted(CASES.glob("*/iptables.ipv[46].txt"))
SECOND = sorted(CASES.glob("*/iptables.ipv[46].second.txt"))

EXPECTED_IPVS = sorted(CASES.glob("*/ipvs.ipv[46].json"))
SECOND_IPVS = sorted(CASES.glob("*/ipvs.ipv[46].second.json"))


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
    assert len(EXPECTED) >= 179
    assert len(SECOND) >= 20
    assert len(EXPECTED_IPVS) >= 179
    assert len(SECOND_IPVS) >= 20


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


def assert_is_the_references(expected: Path, tables: ipvs.IPVSTables) -> None:
    """Compare as the reference's README does, and then to the byte."""
    ours = ipvs.document(tables)
    assert compare.ipvs(ours) == compare.ipvs(expected.read_text())
    assert ours == expected.read_text()


@pytest.mark.parametrize("expected", EXPECTED_IPVS, ids=case_id)
def test_ipvs_document_is_the_references(expected: Path) -> None:
    """A full sync in IPVS mode is the reference's, in every field."""
    graph = compile_case(expected.parent, family_of_file(expected))
    assert_is_the_references(expected, ipvs.full(graph))


@pytest.mark.parametrize("expected", SECOND_IPVS, ids=case_id)
def test_ipvs_second_state_is_where_the_reference_arrives(expected: Path) -> None:
    """The second state is the reference's, from nothing and from the first one."""
    family = family_of_file(expected)
    first = compile_case(expected.parent, family)
    second = compile_case(expected.parent, family, "objects.second.yaml")
    assert_is_the_references(expected, ipvs.full(second))
    tables, change = ipvs.advance(ipvs.full(first), diff(first, second))
    assert_is_the_references(expected, tables)
    assert tables == ipvs.full(second)
    machine = Machine.of(ipvs.full(first))
    machine.step(change)
    assert machine == Machine.of(ipvs.full(second))


def test_ipvs_jumps_are_the_references() -> None:
    """The chains and the jumps from the built-in ones are those that the reference ensures."""
    chains = [f"-t nat -N {chain}" for chain in NAT_CHAINS]
    chains += [f"-t filter -N {chain}" for chain in FILTER_CHAINS]
    ours = [*chains, *(f"-t {jump.table} -I {jump.chain} {jump.rule}" for jump in JUMPS)]
    assert ours == (CASES.parent / "jumps.ipvs.txt").read_text().splitlines()
