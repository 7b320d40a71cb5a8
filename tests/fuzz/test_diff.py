"""What differs between two meanings is exactly what verify, and packets, say of them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import given, note, settings
from hypothesis import strategies as st

from svcnet import modes as modules
from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, Packet, Refuse, RuleGraph
from svcnet.meaning import FrontendChange, MeaningDiff, SenderChange, verify
from svcnet.meaning.comparison.diff import graphs_diff, rules_diff
from svcnet.meaning.comparison.known import modes_diff
from svcnet.meaning.explanation.question import Question
from svcnet.models import ClusterState, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.modes.nftables import NFTABLES
from tests import strategies
from tests.fuzz import examples
from tests.meaning.rendering import rendered
from tests.renderers import test_meaning, test_nftables_meaning
from tests.renderers.test_meaning import aimed

modes = pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables"])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[ClusterObject], list[ClusterObject]]:
    """Two clusters, mostly of the same objects."""
    old = draw(strategies.clusters)
    kept = [each for each in old if draw(st.integers(0, 3))]
    return old, [*kept, *draw(st.lists(strategies.objects, max_size=2))]


def graph_of(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration, mode: str
) -> RuleGraph:
    state = ClusterState.of([*objects, node])
    rules = None
    if mode == "nftables":
        rules = evolve(NFTABLES.rules(config), masquerade_all=config.iptables.masquerade_all)
    return compile_state(state, node_view(state, config, node="node-a", rules=rules))


def mirrored(found: MeaningDiff) -> list[str]:
    """Return what is compared of a difference, seen from the other side."""
    other = {"came": "went", "went": "came", "changed": "changed"}
    return sorted(
        _words(other[each.change], each, (each.new, each.old), is_mirrored=True)
        for each in found.frontends
    )


def plain(found: MeaningDiff) -> list[str]:
    """Return what is compared of a difference."""
    return sorted(
        _words(each.change, each, (each.old, each.new), is_mirrored=False)
        for each in found.frontends
    )


def _words(change: str, each: FrontendChange, names: object, *, is_mirrored: bool) -> str:
    rows = sorted(_row(row, is_mirrored=is_mirrored) for row in each.senders)
    return str((change, each.frontend, each.address, each.port, each.protocol, names, rows))


def _row(row: SenderChange, *, is_mirrored: bool) -> str:
    ends = [
        (str(end.verdict), *((end.after, end.before) if is_mirrored else (end.before, end.after)))
        for end in row.ends
    ]
    return str((sorted(map(str, row.senders)), row.age, sorted(ends)))


@modes
@settings(max_examples=examples(10), deadline=None)
@given(pairs(), strategies.nodes, strategies.configurations)
def test_a_difference_is_there_exactly_when_verify_finds_one(
    mode: str,
    both: tuple[list[ClusterObject], list[ClusterObject]],
    node: Node,
    config: KubeProxyConfiguration,
) -> None:
    """Verify of one with the rules of the other says yes exactly when nothing differs."""
    old, new = (graph_of(each, node, config, mode) for each in both)
    found = graphs_diff(old, new, mode)
    checked = verify(old, rendered(new, mode))
    assert checked.unknown == ()
    note(str(found.to_dict()))
    note("\n".join(str(each.to_dict()) for each in checked.differences))
    sources = [each.packet.source for each in checked.differences]
    check_agree(found, sources, (old, new))


@modes
@settings(max_examples=examples(10), deadline=None)
@given(pairs(), strategies.nodes, strategies.configurations)
def test_rules_differ_where_graphs_do(
    mode: str,
    both: tuple[list[ClusterObject], list[ClusterObject]],
    node: Node,
    config: KubeProxyConfiguration,
) -> None:
    """Two sets of rules differ in the same destinations as the graphs that they are made of."""
    old, new = (graph_of(each, node, config, mode) for each in both)
    by_graph = graphs_diff(old, new, mode)
    by_rules = rules_diff(rendered(old, mode), rendered(new, mode))
    assert by_rules.unknown == ()
    sources = [row.packet.source for each in by_rules.frontends for row in each.senders]
    check_agree(by_graph, sources, (old, new))
    if mode == "ipvs":
        # Addresses of Services are the node's own there: another one of them stands for all.
        return
    # Of addresses that nobody tells apart either side may take another.
    own = {*old.settings.addresses, *new.settings.addresses, "127.0.0.1"}
    only = destinations(by_rules) ^ destinations(by_graph)
    assert {each for each in only if each[0] not in own} == set()
    ports, meant = ({each[1:] for each in destinations(side)} for side in (by_rules, by_graph))
    assert ports == meant


def check_agree(
    by_graph: MeaningDiff, sources: list[str], graphs: tuple[RuleGraph, RuleGraph]
) -> None:
    """Check that rules differ, for packets from `sources`, where frontends do.

    Mode ipvs does more. It lets a health check's port in before it refuses what cluster IPs have no
    Service for, it hides an endpoint that sends to itself without a Service, and the node can
    send from the addresses of Services.
    """
    if by_graph.mode != "ipvs":
        assert bool(by_graph.frontends) == bool(sources)
        return
    held = {dispatch.address for graph in graphs for each in graph for dispatch in each.dispatches}
    if not sources:
        assert not [each for each in by_graph.frontends if each.frontend]
    elif not held.issuperset(sources):
        assert by_graph


def destinations(found: MeaningDiff) -> set[tuple[str, int, str]]:
    """Return the destinations that somebody names; one of the others stands for many."""
    return {
        (address, each.port, each.protocol)
        for each in found.frontends
        if each.frontend not in ("other-ports", "others")
        for row in each.senders
        for address in row.addresses or (each.address,)
    }


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
@settings(max_examples=examples(8), deadline=None)
@given(pairs(), strategies.nodes, strategies.configurations, st.data())
def test_packets_have_the_chances_that_are_told(
    mode: str,
    both: tuple[list[ClusterObject], list[ClusterObject]],
    node: Node,
    config: KubeProxyConfiguration,
    data: st.DataObject,
) -> None:
    """Each packet of a difference has these chances in both; without any all are the same."""
    old, new = (graph_of(each, node, config, mode) for each in both)
    meant = test_meaning.meant if mode == "iptables" else test_nftables_meaning.meant
    found = graphs_diff(old, new, mode)
    for row in (row for each in found.frontends for row in each.senders):
        # An endpoint is remembered for as long as it takes, which a packet does not say.
        if row.age <= 1 and not row.packet.destination.startswith("127."):
            for graph, when in ((old, "before"), (new, "after")):
                told: dict[object, Fraction] = {}
                for each in row.ends:
                    chance = each.before if when == "before" else each.after
                    if chance:
                        verdict = comparable(each.verdict, graph, row.packet)
                        told[verdict] = told.get(verdict, Fraction(0)) + chance
                expected: dict[object, Fraction] = {}
                for end, chance in meant(graph, row.packet).items():
                    verdict = comparable(end, graph, row.packet)
                    expected[verdict] = expected.get(verdict, Fraction(0)) + chance
                assert told == expected
    if not found.frontends:
        packet = aimed(data.draw(st.sampled_from((old, new))), data)
        assert meant(old, packet) == meant(new, packet)


def comparable(verdict: object, graph: RuleGraph, packet: Packet) -> object:
    """Return a verdict without its reason.

    What comes from elsewhere to an endpoint on the node itself is marked, and never masqueraded.
    """
    if isinstance(verdict, Refuse):
        return verdict.how
    if isinstance(verdict, Deliver) and packet.interface:
        here = graph.settings.is_node_address(verdict.address)
        return evolve(verdict, masquerade=verdict.masquerade and not here)
    return verdict


@modes
@settings(max_examples=examples(8), deadline=None)
@given(pairs(), strategies.nodes, strategies.configurations)
def test_a_difference_is_the_mirror_of_the_way_back(
    mode: str,
    both: tuple[list[ClusterObject], list[ClusterObject]],
    node: Node,
    config: KubeProxyConfiguration,
) -> None:
    """What came went on the way back, with the same chances; from a graph to itself is nothing."""
    old, new = (graph_of(each, node, config, mode) for each in both)
    assert plain(graphs_diff(new, old, mode)) == mirrored(graphs_diff(old, new, mode))
    for each in (old, new):
        assert not graphs_diff(each, each, mode)


@settings(max_examples=examples(5), deadline=None)
@given(strategies.clusters, strategies.nodes, strategies.configurations)
@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables", "userspace"])
@pytest.mark.parametrize("other", ["iptables", "nftables"])
def test_modes_differ_in_nothing_that_has_no_reason(
    mode: str,
    other: str,
    objects: list[ClusterObject],
    node: Node,
    config: KubeProxyConfiguration,
) -> None:
    """Whatever two modes do otherwise with packets is known, and told once."""
    if mode == other:
        return
    state = ClusterState.of([*objects, node])

    def question(name: str) -> Question:
        chosen = modules.get(name)
        asked = chosen.settings(config)
        rules = evolve(asked.rules, masquerade_all=config.iptables.masquerade_all)
        view = node_view(state, config, node="node-a", rules=rules)
        return Question(state, view, chosen, asked)

    found = modes_diff(question(mode), question(other))
    assert [each.to_dict() for each in found.frontends] == []
    keys = [(each.mode, each.name, each.text) for each in found.known]
    assert len(keys) == len(set(keys))
