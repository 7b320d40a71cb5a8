"""The interpreter of iptables: what rules do to packets, of any rules, or that nobody can say."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, NodeSettings, Packet, Refuse
from svcnet.meaning import iptables
from svcnet.meaning.facts import Facts
from svcnet.meaning.outcome import FoundOutcome, FoundVerdict
from svcnet.models import ClusterState, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.netfilter.listing import Listing
from svcnet.renderers.iptables import full
from svcnet.testing import FakeIPTables
from tests import strategies
from tests.renderers.test_meaning import aimed, meant
from tests.walk import outcomes as walked


def chances(found: tuple[FoundOutcome, ...]) -> dict[FoundVerdict, Fraction]:
    """Return the chance of each verdict, without reasons."""
    sums: dict[FoundVerdict, Fraction] = {}
    for outcome in found:
        verdict = outcome.verdict
        if isinstance(verdict, Refuse):
            verdict = Refuse(verdict.how, "")
        sums[verdict] = sums.get(verdict, Fraction(0)) + outcome.probability
    return sums


def without_masquerade(
    found: Mapping[Any, Fraction], node: NodeSettings, packet: Packet
) -> dict[FoundVerdict, Fraction]:
    """Return verdicts as they can be compared.

    What comes from elsewhere to an endpoint on the node itself is marked, and never masqueraded.
    """
    sums: dict[FoundVerdict, Fraction] = {}
    for verdict, chance in found.items():
        if isinstance(verdict, Deliver) and node.is_node_address(verdict.address):
            here = Deliver(verdict.address, verdict.port, False)
            sums[here] = sums.get(here, Fraction(0)) + chance
        else:
            sums[verdict] = sums.get(verdict, Fraction(0)) + chance
    return sums


@settings(max_examples=60, deadline=None)
@given(strategies.clusters, strategies.nodes, strategies.configurations, st.data())
def test_rules_mean_what_the_graph_means(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration, data: st.DataObject
) -> None:
    """Any packet has the same chances by the interpreter, by the tests' own walk, in the graph."""
    state = ClusterState.of([*objects, node])
    graph = compile_state(state, node_view(state, config, node="node-a"))
    packet = aimed(graph, data)
    note(packet)
    text = full(graph)
    tables = FakeIPTables()
    tables.restore(text.text_with_jumps)
    rules = iptables.RuleSet(Listing(tables.tables, {}), Facts.of(graph.settings))
    found = rules.evaluate(packet)
    assert sum(outcome.probability for outcome in found) == 1
    assert all(abs(each.probability - each.kernel) < Fraction(1, 10**8) for each in found)
    ours = without_masquerade(chances(found), graph.settings, packet)
    for others in (meant(graph, packet), walked(text, packet)):
        assert ours == without_masquerade(others, graph.settings, packet)
