"""Several Services claim one address and port: all readers agree on who has it, in each layout."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, Packet, Refuse, RuleGraph, diff
from svcnet.meaning import Facts, iptables, nftables, verify
from svcnet.meaning.comparison.diff import rules_diff
from svcnet.meaning.explanation.explain import explain
from svcnet.meaning.explanation.question import Question
from svcnet.models import ClusterState, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.modes.nftables import NFTABLES
from svcnet.modes.nftables.account import account
from svcnet.renderers import iptables as restore
from svcnet.renderers.nftables import Layout, advance, full, text, transaction
from svcnet.testing import make_node, make_service, make_slice
from svcnet.testing.fake_nft import FakeNFT
from tests import strategies
from tests.fuzz import examples
from tests.meaning.chances import chances
from tests.renderers.test_meaning import aimed

LAYOUTS: tuple[Layout, ...] = ("kube-proxy", "flat")
OUTSIDE = Packet("198.51.100.9", "203.0.113.7", 80, interface="eth0")
SHARED = (
    make_node(),
    make_service("first", "10.96.0.10", external_ips=("203.0.113.7",)),
    make_slice("first", "10.244.1.5", "10.244.1.6"),
    make_service("last", "10.96.0.11", external_ips=("203.0.113.7", "10.96.0.10")),
    make_slice("last", "10.244.1.7"),
)
layouts = pytest.mark.parametrize("layout", LAYOUTS)


def graph_of(
    objects: list[ClusterObject], config: KubeProxyConfiguration | None = None
) -> RuleGraph:
    state = ClusterState.of(objects)
    rules = NFTABLES.rules(config or KubeProxyConfiguration())
    return compile_state(state, node_view(state, config, node="node-a", rules=rules))


@settings(max_examples=examples(40), deadline=None)
@given(strategies.rivals, strategies.nodes, strategies.configurations, st.data())
def test_tables_do_what_is_told_of_them(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration, data: st.DataObject
) -> None:
    """Verify finds nothing in either layout, and an account is what its lines, which are there, do.

    Nor does any packet end otherwise in one layout than in the other.
    """
    graph = graph_of([*objects, node], config)
    facts = Facts.of(graph.settings)
    rules = []
    for layout in LAYOUTS:
        ruleset = full(graph, layout=layout)
        written = text(ruleset)
        rules.append(nftables.read(written, facts))
        found = verify(graph, rules[-1])
        assert (found.differences, found.unknown) == ((), ())
        packet = aimed(graph, data)
        note(packet)
        told = account(ruleset, graph, packet).passages
        assert chances(told) == chances(rules[-1].evaluate(packet))
        lines = {each.text for one in told for stage in one.stages for each in stage.lines}
        assert lines <= set(written.splitlines())
    assert not rules_diff(*rules)


@settings(max_examples=examples(25), deadline=None)
@given(strategies.rivals, strategies.nodes, strategies.configurations)
def test_trees_of_iptables_do_what_lists_do(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration
) -> None:
    """No packet ends otherwise in trees; of two refusals that of the address comes first there."""
    graph = graph_of([*objects, node], config)
    facts = Facts.of(graph.settings)
    plain, flat = (
        iptables.read(restore.full(graph, layout=each).text_with_jumps, facts)
        for each in (restore.KUBE_PROXY, restore.Layout("flat", 1))
    )
    for frontend in rules_diff(plain, flat).frontends:
        ends = [end.verdict for row in frontend.senders for end in row.ends]
        assert all(isinstance(each, Refuse) for each in ends)


@layouts
@settings(max_examples=examples(25), deadline=None)
@given(st.lists(strategies.rivals, min_size=2, max_size=4))
def test_steps_lead_to_the_same_claims(layout: Layout, history: list[list[ClusterObject]]) -> None:
    """Whoever came and went, the last in order has what several claim."""
    graphs = [graph_of([*each, make_node()]) for each in history]
    ruleset, nft = full(graphs[0], layout=layout), FakeNFT(set())
    nft.load(transaction(ruleset))
    for old, new in pairwise(graphs):
        ruleset, step = advance(ruleset, diff(old, new))
        for part in (*step.texts, step.cleanup):
            nft.load(part)
        whole = FakeNFT(set())
        whole.load(transaction(full(new, layout=layout)))
        assert elements(nft) == elements(whole)


def elements(nft: FakeNFT) -> dict[str, list[tuple[str, str]]]:
    table = nft.state.table("ip", "kube-proxy")
    assert table is not None
    return {
        name: sorted((each.key, each.value) for each in made.elements.values())
        for name, made in table.sets.items()
    }


@layouts
def test_the_last_has_what_several_claim(layout: Layout) -> None:
    """Explain says so, with the lines that are there, and why; a cluster IP stays one for all."""
    state = ClusterState.of(SHARED)
    config = KubeProxyConfiguration(cluster_cidrs=("10.244.0.0/16",))
    settings_ = NFTABLES.settings(config, {"layout": layout})
    view = node_view(state, config, node="node-a", rules=settings_.rules)
    question = Question(state, view, NFTABLES, settings_)
    found = explain(question, OUTSIDE)
    assert [each.verdict for each in found.outcomes] == [Deliver("10.244.1.7", 8080, True)]
    assert [each.name for each in found.remarks] == ["last-claim-answers"]
    written = text(full(question.graph, layout=layout)).splitlines()
    told = [line.text for end in found.outcomes for step in end.steps for line in step.lines]
    assert told
    assert set(told) <= set(written)
    own = explain(question, Packet("10.244.1.9", "10.96.0.10", 80, interface="cni0"))
    assert [each.verdict for each in own.outcomes] == [Deliver("10.244.1.7", 8080, True)]
