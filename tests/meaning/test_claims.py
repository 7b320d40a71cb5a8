"""Several Services claim one address and port: all readers agree on who has it, in each layout."""

from __future__ import annotations

from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given, note, settings
from hypothesis import strategies as st

from svcnet import modes
from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, Packet, Pass, Refuse, RuleGraph, diff, ways
from svcnet.meaning import Facts, Rewrite, iptables, nftables, verify
from svcnet.meaning.comparison.diff import rules_diff
from svcnet.meaning.explanation.explain import explain
from svcnet.meaning.explanation.machine import MachineQuestion, explain_rules
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.remarks import HEALTH_CHECK
from svcnet.models import (
    ClusterState,
    Endpoint,
    KubeProxyConfiguration,
    LoadBalancerIngress,
    Node,
    ServicePort,
)
from svcnet.models.state import ClusterObject
from svcnet.modes.iptables import IPTABLES
from svcnet.modes.iptables.account import account as iptables_account
from svcnet.modes.nftables import NFTABLES
from svcnet.modes.nftables.account import account
from svcnet.renderers import iptables as restore
from svcnet.renderers.nftables import Layout, advance, full, text, transaction
from svcnet.testing import make_node, make_service, make_slice
from svcnet.testing.fake_nft import FakeNFT
from tests import strategies
from tests.fuzz import examples
from tests.meaning.chances import chances
from tests.meaning.rendering import rendered
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
    objects: list[ClusterObject],
    config: KubeProxyConfiguration | None = None,
    mode: modes.AnyMode = NFTABLES,
) -> RuleGraph:
    state = ClusterState.of(objects)
    rules = mode.rules(config or KubeProxyConfiguration())
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
@given(strategies.rivals, strategies.nodes, strategies.configurations, st.data())
def test_lists_do_what_is_told_of_them(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration, data: st.DataObject
) -> None:
    """Verify finds nothing in iptables either, and an account quotes the rules that are met.

    No packet ends otherwise in trees; of two refusals that of the address comes first there.
    """
    graph = graph_of([*objects, node], config, IPTABLES)
    facts = Facts.of(graph.settings)
    packet = aimed(graph, data)
    note(packet)
    rules = []
    for layout in (restore.KUBE_PROXY, restore.Layout("flat", 1)):
        artifact = restore.full(graph, layout=layout)
        there = iptables.read(artifact.text_with_jumps, facts)
        found = verify(graph, there)
        assert (found.differences, found.unknown) == ((), ())
        told = iptables_account(artifact, graph, packet).passages
        ends = there.evaluate(packet)
        assert chances(told) == chances(ends)
        met = {f"{rule.chain} {rule.text}" for end in ends for rule in end.rules}
        lines = {each.text for one in told for stage in one.stages for each in stage.lines}
        assert {each.partition(" ")[2] for each in lines} <= met
        rules.append(there)
    for frontend in rules_diff(*rules).frontends:
        verdicts = [end.verdict for row in frontend.senders for end in row.ends]
        assert all(isinstance(each, Refuse) for each in verdicts)


@pytest.mark.parametrize("name", ["ipvs", "userspace"])
@settings(max_examples=examples(20), deadline=None)
@given(strategies.rivals, strategies.nodes, strategies.configurations, st.data())
def test_other_modes_do_what_is_told_of_them(
    name: str,
    objects: list[ClusterObject],
    node: Node,
    config: KubeProxyConfiguration,
    data: st.DataObject,
) -> None:
    """Verify finds nothing, and a packet for a Service ends as the mode says of itself."""
    mode = modes.get(name)
    graph = graph_of([*objects, node], config, mode)
    there = rendered(graph, name)
    found = verify(graph, there)
    assert (found.differences, found.unknown) == ((), ())
    packet = aimed(graph, data)
    note(packet)
    does = chances(there.evaluate(packet))  # type: ignore[attr-defined]
    # An account leaves out whose source is hidden of what is no Service's.
    does = {Pass() if each == Rewrite("node") else each: share for each, share in does.items()}
    assert chances(mode.account(mode.full(graph), graph, packet).passages) == does


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


def question_in(mode: modes.AnyMode, *objects: ClusterObject) -> Question:
    state = ClusterState.of((make_node(), *objects))
    settings_ = mode.settings()
    view = node_view(state, node="node-a", rules=settings_.rules)
    return Question(state, view, mode, settings_)


RANGED = (
    make_service(
        "first",
        "10.96.0.10",
        type="LoadBalancer",
        load_balancer_ingress=(LoadBalancerIngress("203.0.113.7"),),
        load_balancer_source_ranges=("192.0.2.0/24",),
    ),
    make_slice("first", "10.244.1.5"),
)
LAST = make_service("last", "10.96.0.11", external_ips=("203.0.113.7",))


def test_what_one_refuses_goes_on_to_the_next_rule_of_a_list() -> None:
    """The path is that of the Service that answers; where none does ranges are asked first."""
    served = question_in(IPTABLES, *RANGED, LAST, make_slice("last", "10.244.1.7"))
    (way,) = ways(served.graph, OUTSIDE)
    assert (way.verdict, way.outcome.path[0]) == (
        Deliver("10.244.1.7", 8080, True),
        "shop/last:http/TCP",
    )
    (way,) = ways(question_in(IPTABLES, *RANGED, LAST).graph, OUTSIDE)
    assert (way.verdict, way.outcome.path[0]) == (
        Refuse("drop", "does not accept this source"),
        "shop/first:http/TCP",
    )


@pytest.mark.parametrize(
    ("name", "end", "remarks"),
    [
        ("iptables", Pass(), []),
        ("nftables", Refuse("reject", "has no endpoints"), [HEALTH_CHECK.text]),
    ],
)
def test_a_health_check_port_may_be_a_node_port(name: str, end: object, remarks: list[str]) -> None:
    """Without endpoints: a list lets it in before it refuses anything, and a table does not."""
    ports = (ServicePort(80, "http", target_port=8080, node_port=30080),)
    checked = evolve(RANGED[0], external_traffic_policy="Local", health_check_node_port=30080)
    ported = make_service("ported", "10.96.0.11", type="NodePort", ports=ports)
    question = question_in(modes.get(name), checked, ported)
    packet = Packet("198.51.100.9", question.view.settings.node_ip, 30080, interface="eth0")
    found = explain(question, packet)
    assert [each.verdict for each in found.outcomes] == [end]
    assert [
        told for told, each in zip(remarks, found.remarks, strict=True) if told in each.text
    ] == remarks


@pytest.mark.parametrize(("name", "end"), [("iptables", "10.244.1.7"), ("nftables", "")])
def test_what_is_wanted_is_what_the_mode_does(name: str, end: str) -> None:
    """Rules that lack a Service are held against the claim that has the packet in their mode."""
    objects = (*RANGED, LAST, make_slice("last", "10.244.1.7"))
    mode = modes.get(name)
    there = rendered(question_in(mode, make_service("other", "10.96.0.12")).graph, name)
    asked = MachineQuestion(there, ("now",), question_in(mode, *objects))
    ((verdict, _),) = explain_rules(asked, OUTSIDE).wanted
    wanted = Deliver(end, 8080, True) if end else Refuse("drop", "does not accept this source")
    assert verdict == wanted


@pytest.mark.parametrize(("name", "who"), [("iptables", "first"), ("nftables", "last")])
def test_changes_are_of_the_service_that_refuses_in_the_mode(name: str, who: str) -> None:
    """Neither has an endpoint that is ready: the one who is asked is the one to mend."""
    objects: list[ClusterObject] = []
    for service, address in (("first", "10.96.0.10"), ("last", "10.96.0.11")):
        objects.append(make_service(service, address, external_ips=("203.0.113.7",)))
        objects.append(make_slice(service, Endpoint(("10.244.1.5",), ready=False)))
    found = explain(question_in(modes.get(name), *objects), OUTSIDE)
    told = {change.origin.name for change in found.changes if change.origin is not None}
    assert told == {f"{who}-1"}
