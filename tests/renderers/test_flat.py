"""The layout with trees of chains: it means what kube-proxy's does; a change costs the change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.executors.iptables import plan
from svcnet.graph import Deliver, Packet, RuleGraph, diff
from svcnet.meaning import Facts, iptables, verify
from svcnet.models import ClusterState, KubeProxyConfiguration, Node, ServicePort
from svcnet.models.state import ClusterObject
from svcnet.modes.iptables.account import account
from svcnet.netfilter import SavedTables
from svcnet.renderers.iptables import FLAT, KUBE_PROXY, Layout, RestoreText, advance, delta, full
from svcnet.renderers.iptables.prefixes import PrefixTree
from svcnet.testing import FakeIPTables, make_node, make_service, make_slice
from tests import strategies
from tests.conftest import ROOT
from tests.fuzz import examples
from tests.renderers.test_meaning import aimed, meant
from tests.test_conformance import EXPECTED, SECOND, case_id, compile_case, family_of_file
from tests.walk import ends, outcomes

DATA = ROOT / "tests" / "data"
TINY = (Layout("flat", 1), Layout("flat", 2))
"""Layouts in which a few Services make a tree."""


def graph_of(objects: Sequence[Any], config: KubeProxyConfiguration | None = None) -> RuleGraph:
    state = ClusterState.of(objects)
    return compile_state(state, node_view(state, config, node="node-a"))


def loaded(*texts: str) -> FakeIPTables:
    tables = FakeIPTables("IPv6" if "::" in "".join(texts) else "IPv4")
    for text in texts:
        tables.restore(text)
    return tables


@settings(max_examples=examples(150), deadline=None)
@given(
    strategies.clusters,
    strategies.nodes,
    strategies.configurations,
    st.sampled_from(TINY),
    st.data(),
)
def test_trees_do_what_the_graph_means(
    objects: list[ClusterObject],
    node: Node,
    config: KubeProxyConfiguration,
    layout: Layout,
    data: st.DataObject,
) -> None:
    """Any packet has the same outcomes with the same chances; the account has lines of these."""
    graph = graph_of([*objects, node], config)
    packet = aimed(graph, data)
    note(packet)
    text = full(graph, layout=layout)
    assert outcomes(text, packet) == meant(graph, packet)
    written = set(text.text_with_jumps.splitlines())
    found = account(text, graph, packet)
    assert sum(each.kernel for each in found.passages) == pytest.approx(1)
    assert {
        line.text for each in found.passages for stage in each.stages for line in stage.lines
    } <= written


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(strategies.clusters, min_size=2, max_size=4),
    strategies.configurations,
    strategies.configurations,
    st.sampled_from(TINY),
)
def test_steps_lead_to_what_a_full_text_does(
    history: list[list[ClusterObject]],
    first: KubeProxyConfiguration,
    second: KubeProxyConfiguration,
    layout: Layout,
) -> None:
    """Text, trees and tables depend on the graph, and not on those before it."""
    configs = [first] * (len(history) - 1) + [second]
    graphs = [graph_of([*o, make_node()], c) for o, c in zip(history, configs, strict=True)]
    text = full(graphs[0], layout=layout)
    tables, rules = loaded(text.text), text.rules
    for before, after in pairwise(graphs):
        text, step = advance(text, diff(before, after))
        for transaction in step.transactions(1):
            tables.restore(transaction)
        # What no Service has is not counted.
        is_same_frame = before.settings == after.settings
        rules = rules + step.growth if is_same_frame else full(after, layout=layout).rules
        whole = full(after, layout=layout)
        assert text.text == whole.text
        assert step.forest == whole.forest
        assert rules == whole.rules
        assert without_firewall(tables) == without_firewall(loaded(whole.text))


def without_firewall(tables: FakeIPTables) -> object:
    """Return the tables in any order, and without what no step removes."""
    return [
        {chain: rules for chain, rules in chains.items() if chain != "KUBE-FIREWALL"}
        for chains in tables.tables.values()
    ]


@pytest.mark.parametrize("expected", SECOND, ids=case_id)
def test_second_states_of_conformance(expected: Path) -> None:
    """A step leads where the whole does, in each case of the reference, as does a plan."""
    family = family_of_file(expected)
    old, new = (compile_case(expected.parent, family, f"objects{n}.yaml") for n in ("", ".second"))
    text = full(old, layout=TINY[0])
    wanted = full(new, layout=TINY[0])
    step = delta(diff(old, new), text.forest, TINY[0])
    assert delta(diff(old, new), layout=TINY[0]).text == step.text
    stepped = loaded(text.text, step.text)
    planned = loaded(text.text_with_jumps)
    for transaction in plan(wanted, SavedTables(planned.tables), 0).transactions:
        planned.restore(transaction)
    assert stepped.tables == loaded(wanted.text).tables
    assert planned.tables == loaded(wanted.text_with_jumps).tables


@pytest.mark.parametrize("expected", EXPECTED[::4], ids=case_id)
def test_conformance_cases_are_verified(expected: Path) -> None:
    """Rules in trees do with every packet what the graph of a case means."""
    graph = compile_case(expected.parent, family_of_file(expected))
    text = full(graph, layout=TINY[0])
    rules = iptables.read(text.text_with_jumps, Facts.of(graph.settings))
    found = verify(graph, rules)
    assert not found.differences
    assert not found.unknown
    for size in (0, 1):
        assert loaded(*text.transactions(size)).tables == loaded(text.text).tables


def many(count: int, endpoints: int = 1, first: int = 0) -> Iterator[ClusterObject]:
    """Yield Services of several ports and kinds with their endpoints."""
    for number in range(first, first + count):
        address = f"10.96.{number * 7 % 200}.{number // 250 % 250 + 1}"
        ports = (ServicePort(80, "http", node_port=30000 + number),)
        yield make_service(f"s{number}", address, type="NodePort", ports=ports)
        pods = [f"10.244.{number % 100}.{each + 1}" for each in range(endpoints)]
        yield make_slice(f"s{number}", *pods)


def test_golden_text() -> None:
    """The text is the one that was looked at: ``tests/data/flat.iptables.txt``."""
    pods = [f"10.244.9.{n}" for n in range(1, 18)]
    group = [make_service("group", "10.96.9.9"), make_slice("group", *pods)]
    graph = graph_of([make_node(), *many(17), *group])
    assert full(graph, layout=FLAT).text == (DATA / "flat.iptables.txt").read_text()


def tables_of(transactions: Sequence[str], start: FakeIPTables) -> Iterator[FakeIPTables]:
    for transaction in transactions:
        start.restore(transaction)
        yield start


@pytest.mark.parametrize("layouts", [(KUBE_PROXY, FLAT), (FLAT, KUBE_PROXY), (FLAT, FLAT)])
def test_no_packet_misses_a_rule_meanwhile(layouts: tuple[Layout, Layout]) -> None:
    """After each transaction of a switch, and of a large change, what stays is served."""
    stay = [make_node(), *many(60, 20)]
    old = graph_of([*stay, *many(40, first=100)])
    new = graph_of([*stay, *many(40, first=300)])
    before, after = full(old, layout=layouts[0]), full(new, layout=layouts[1])
    probes = [
        Packet("10.244.9.9", f"10.96.{number * 7 % 200}.1", 80, interface="eth0")
        for number in range(0, 60, 5)
    ]
    probes += [Packet("198.51.100.9", "192.0.2.10", 30000 + n) for n in range(0, 60, 9)]
    tables = loaded(before.text_with_jumps)
    transactions = plan(after, SavedTables(tables.tables), 20).transactions
    assert len(transactions) > 2
    for now in tables_of(transactions, tables):
        for probe in probes:
            found = ends(now, new.settings, probe)
            assert len(found) == 20
            assert all(isinstance(end, Deliver) for end in found)
    again = loaded(after.text_with_jumps)
    assert tables.order_free() == again.order_free()


def test_a_change_costs_the_change() -> None:
    """One Service more is a few chains, one endpoint of many as well, at any size."""
    for count in (100, 2000):
        objects = [make_node(), *many(count)]
        old = graph_of(objects)
        text = full(old, layout=FLAT)
        new = graph_of([*objects, *many(1, first=count)])
        step = delta(diff(old, new), text.forest, FLAT)
        assert step.text.count("\n:") <= 10
        assert step.text.count("\n-A ") <= 60
        assert not step.filter


def test_an_endpoint_of_many() -> None:
    """Endpoints are chosen by groups, all alike; one more writes a few of them."""
    pods = [f"10.244.{n // 250}.{n % 250 + 1}" for n in range(900)]
    service = make_service("web", "10.96.0.10")
    old = graph_of([make_node(), service, make_slice("web", *pods)])
    text = full(old, layout=FLAT)
    found = outcomes(text, Packet("10.1.1.1", "10.96.0.10", 80, interface="eth0"))
    assert set(found.values()) == {Fraction(1, 900)}
    longest = max(map(len, loaded(text.text).tables["nat"].values()))
    assert longest <= FLAT.most + 1
    new = graph_of([make_node(), service, make_slice("web", *pods, "10.244.9.9")])
    step = delta(diff(old, new), text.forest, FLAT)
    assert step.text.count("\n-A ") < 40
    passages = account(text, old, Packet("10.1.1.1", "10.96.0.10", 80)).passages
    assert all(abs(each.kernel * 900 - 1) < 1e-5 for each in passages)


def test_claims_of_one_address_keep_their_order() -> None:
    """Of Services that claim one address and port the first one has it, as without trees."""
    others = [
        make_service(f"s{n}", f"10.96.0.{n + 1}", external_ips=("203.0.113.7",)) for n in range(30)
    ]
    slices = [make_slice(f"s{n}", f"10.244.1.{n + 1}") for n in range(1, 30)]
    graph = graph_of([make_node(), *others, *slices])
    packet = Packet("198.51.100.9", "203.0.113.7", 80, interface="eth0")
    flat = outcomes(full(graph, layout=FLAT), packet)
    assert flat == outcomes(full(graph), packet) == meant(graph, packet)


@settings(max_examples=examples(300), deadline=None)
@given(st.sets(st.integers(0, (1 << 18) - 1), min_size=1, max_size=60), st.integers(1, 5))
def test_each_part_has_all_keys_that_begin_as_it_does(keys: set[int], most: int) -> None:
    """A leaf is short, and each part has the keys with its prefix and no others."""
    tree = PrefixTree([(key,) for key in sorted(keys)], 18, most)
    parts = list(tree.below(tree.root()))
    assert len({(part.prefix, part.length) for part in parts}) == len(parts)
    for part in parts:
        held = {tree.entries[place][0] for place in range(part.start, part.end)}
        if part.length or not part.is_leaf:
            assert held == {key for key in keys if key >> (18 - part.length) == part.prefix}
        assert not part.is_leaf or len(held) <= most
        assert part.is_leaf or len(held) > most
    for key in keys:
        *_, leaf = tree.way(key)
        assert (key,) in tree.entries[leaf.start : leaf.end]


def origins(text: RestoreText) -> list[str]:
    return [
        str(text.origin_of_line(line))
        for line in text.text.splitlines()
        if line.startswith("-A") and "KUBE-FLAT" not in line.split(" -")[-1]
    ]


def test_lines_are_traced_to_their_objects() -> None:
    """A rule in a tree has the origin that it has without."""
    graph = graph_of([make_node(), *many(30, 2)])
    flat, plain = full(graph, layout=FLAT), full(graph)
    assert sorted(origins(flat)) == sorted(origins(plain))
    for line in flat.text.splitlines():
        if line.startswith("-A KUBE-FLAT-") and " -j KUBE-SVC-" in line:
            assert str(plain.origin_of_line(line)).endswith("spec.clusterIPs[0]")
