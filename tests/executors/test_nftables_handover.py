"""Rules that choose an endpoint go when others are behind them, and not before."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings

from svcnet.executors.nftables.drift import differences
from svcnet.executors.nftables.handover import hand_over, rewritten_chains
from svcnet.graph import RuleGraph, diff
from svcnet.models import ServicePort
from svcnet.netfilter.nft import NFTState, TableState, load
from svcnet.renderers.nftables import NFTablesDelta, advance, full, text
from svcnet.testing import make_service, make_slice
from tests.fuzz import examples
from tests.netfilter.nft_damage import said
from tests.renderers.test_nftables import History, graph_of, graphs_of, histories


def table_of(state: NFTState) -> TableState:
    [table] = state.tables.values()
    return table


def handles_in(state: NFTState, chains: list[str]) -> dict[str, list[int]]:
    """Return the handles of the rules of those chains that have any."""
    there = table_of(state).chains
    found = {each: [rule.handle for rule in there[each].rules] for each in chains if each in there}
    return {name: own for name, own in found.items() if own}


def carried_out(state: NFTState, delta: NFTablesDelta) -> list[NFTState]:
    """Return the state after each transaction."""
    states = [state]
    for part in filter(None, (*delta.texts, delta.cleanup)):
        states.append(load(states[-1], part))
    return states


@settings(max_examples=examples(40), deadline=None)
@given(histories)
def test_the_old_rules_stay_until_the_new_ones_are_behind_them(history: History) -> None:
    """In each transaction but the last a chain begins as it was, and in the end all is as meant."""
    graphs = graphs_of(history)
    ruleset = full(graphs[0])
    state = load(NFTState(), text(ruleset))
    for before, after in pairwise(graphs):
        ruleset, delta = advance(ruleset, diff(before, after))
        old = handles_in(state, rewritten_chains(delta))
        states = carried_out(state, hand_over(delta, old))
        for one, other in pairwise(states):
            assert_no_gap(table_of(one), table_of(other))
        state = states[-1]
        assert said(table_of(state)) == said(table_of(load(NFTState(), text(ruleset))))


def assert_no_gap(before: TableState, after: TableState) -> None:
    """A packet that began with the rules of a chain comes to one that no commit takes away."""
    for name, chain in before.chains.items():
        there = after.chains.get(name)
        chooses = [each for each in chain.rules if "numgen" in each.text]
        if chooses and there is not None and there.rules:
            kept = {each.handle for each in there.rules}
            assert any(each.handle in kept for each in chooses), name


def web(*endpoints: str, **fields: Any) -> RuleGraph:
    ports = (ServicePort(80, "http", target_port=8080),)
    service = make_service("web", cluster_ips=("10.96.0.10",), ports=ports, **fields)
    return graph_of([service, make_slice("web", *endpoints)])


def test_a_chain_that_stays_is_handed_over_beside_new_ones() -> None:
    """Where others come before anything leads to them, one that has other rules does not."""
    here = "10.244.1.5@node-a"
    before = web(here, "10.244.2.5")
    local = {"internal_traffic_policy": "Local", "external_ips": ("203.0.113.7",)}
    after = web(here, "10.244.2.6", **local)
    ruleset = full(before)
    state = load(NFTState(), text(ruleset))
    ruleset, delta = advance(ruleset, diff(before, after))
    assert delta.first
    states = carried_out(state, hand_over(delta, handles_in(state, rewritten_chains(delta))))
    for one, other in pairwise(states):
        assert_no_gap(table_of(one), table_of(other))
    assert said(table_of(states[-1])) == said(table_of(load(NFTState(), text(ruleset))))


def test_a_repair_hands_over_as_well() -> None:
    """Of a table that differs a rule that chooses goes when the right one is behind it."""
    before, after = full(web("10.244.1.5", "10.244.1.6")), full(web("10.244.1.5"))
    state = load(NFTState(), text(before))
    states = carried_out(state, differences(table_of(state), after).delta)
    assert len(states) == 3
    for one, other in pairwise(states):
        assert_no_gap(table_of(one), table_of(other))
    assert said(table_of(states[-1])) == said(table_of(load(NFTState(), text(after))))


def test_a_chain_is_there_before_what_led_elsewhere_leads_to_it() -> None:
    """Where an address led nowhere, its chain and its element come together."""
    here = "10.244.1.5@node-a"
    nothing, cluster = web(), web(here)
    local = web(here, internal_traffic_policy="Local")
    _, served = advance(full(nothing), diff(nothing, cluster))
    assert not served.first
    assert len(served.texts) == 1
    _, turned = advance(full(cluster), diff(cluster, local))
    first, changes, last = turned.texts
    assert "add chain ip kube-proxy local-" in first
    assert "add element ip kube-proxy service-ips" in changes
    assert "flush chain ip kube-proxy service-" in last
