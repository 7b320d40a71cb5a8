"""The interpreter of nf_tables: what rules do to packets, or that nobody can say."""

from __future__ import annotations

from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import given, note, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.family import IPFamily
from svcnet.graph import Deliver, Packet, Refuse
from svcnet.meaning import Facts, FoundVerdict, Unknown, Verdicts, nftables, spans, verify
from svcnet.meaning.nftables.ruleset import NFTRuleSet
from svcnet.models import ClusterState, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.modes.nftables import NFTABLES
from svcnet.netfilter.nft import NFTState, load
from svcnet.renderers.nftables import full, text
from tests import strategies
from tests.conftest import ROOT
from tests.fuzz import examples
from tests.renderers.test_meaning import aimed
from tests.renderers.test_nftables_meaning import meant
from tests.test_live_node import live
from tests.walk_nftables import Reading
from tests.walk_nftables import outcomes as walked

LISTING = (ROOT / "tests/live_node/nft-ruleset.txt").read_text()


def chances(rules: NFTRuleSet, packet: Packet) -> dict[FoundVerdict, Fraction]:
    """Return the chance of each verdict, without reasons."""
    found = rules.evaluate(packet)
    assert sum(outcome.probability for outcome in found) == 1
    assert sum(outcome.kernel for outcome in found) == 1
    sums: dict[FoundVerdict, Fraction] = {}
    for outcome in found:
        verdict = outcome.verdict
        if isinstance(verdict, Refuse):
            verdict = Refuse(verdict.how, "")
        sums[verdict] = sums.get(verdict, Fraction(0)) + outcome.probability
    return sums


@settings(max_examples=examples(80), deadline=None)
@given(strategies.clusters, strategies.nodes, strategies.configurations, st.data())
def test_rules_mean_what_the_graph_means(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration, data: st.DataObject
) -> None:
    """Any packet has the same chances by the interpreter, by the tests' own walk, in the graph."""
    state = ClusterState.of([*objects, node])
    given_rules = evolve(NFTABLES.rules(config), masquerade_all=config.iptables.masquerade_all)
    graph = compile_state(state, node_view(state, config, node="node-a", rules=given_rules))
    packet = aimed(graph, data)
    note(packet)
    written = text(full(graph))
    rules = NFTRuleSet.of(load(NFTState(), written), Facts.of(graph.settings))
    found = chances(rules, packet)
    for others in (meant(graph, packet), walked(written, graph.settings, packet)):
        expected: dict[FoundVerdict, Fraction] = {}
        for verdict, chance in others.items():
            end: FoundVerdict = verdict
            if isinstance(verdict, Deliver) and packet.interface:
                here = graph.settings.is_node_address(verdict.address)
                end = evolve(verdict, masquerade=verdict.masquerade and not here)
            expected[end] = expected.get(end, Fraction(0)) + chance
        assert found == expected


@pytest.mark.parametrize("port", [80, 81, 8080, 443, 30080, 53])
@pytest.mark.parametrize("source", ["203.0.113.7", "10.244.1.1", "192.0.2.7", "192.168.50.1"])
def test_a_live_node_is_understood(source: str, port: int) -> None:
    """What nft lists on a node is what the tests' own walk reads of it."""
    graph = live("nftables", "IPv4")
    rules = nftables.read(LISTING, Facts.of(graph.settings))
    reading = Reading.of_listing(LISTING, "ip kube-proxy")
    interface = "" if source == "192.168.50.1" else "eth0"
    for address in ("10.96.36.164", "10.96.225.21", "203.0.113.9", "192.168.50.1", "10.96.9.9"):
        packet = Packet(source, address, port, "UDP" if port == 53 else "TCP", interface)
        assert chances(rules, packet) == walked(reading, graph.settings, packet)


OWN = Facts(addresses=frozenset((spans.number("192.0.2.10"),)))
PACKET = Packet("203.0.113.7", "10.9.9.9", 80, interface="eth0")


def verdict(rule: str, packet: Packet = PACKET) -> FoundVerdict:
    listing = (
        "table inet filter {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 203.0.113.7 }\n\t}\n"
        "\tchain c {\n\t\ttype filter hook forward priority filter; policy accept;\n"
        f"\t\t{rule}\n\t}}\n}}\n"
    )
    (found,) = nftables.read(listing, OWN, file="dump").evaluate(packet)
    return found.verdict


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ("ip saddr @s drop", "drop"),
        ("ip saddr != @s drop", "pass"),
        ("ip saddr 203.0.113.0/24 tcp dport { 80, 443 } reject", "reject"),
        ('iifname "eth*" counter packets 1 bytes 2 drop', "drop"),
        ('iifname != "eth0" drop', "pass"),
        ("udp dport 80 drop", "pass"),
        ("ct state established,related accept", "pass"),
        ("ct state invalid drop", "pass"),
        ("ip saddr . th dport { 203.0.113.7 . 80 } drop", "drop"),
        ("tcp dport vmap { 80 : drop, 81 : accept }", "drop"),
        ("limit rate 5/second accept", "pass"),
        ("meta skuid 0 counter packets 0 bytes 0", "pass"),
        ('log prefix "x " accept', "pass"),
        ('log prefix "a drop b " level warn flags tcp sequence drop', "drop"),
        ("log group 2 drop", "drop"),
        ("meta nftrace set 1 drop", "drop"),
        ('iif "eth0" drop', "drop"),
        ('iif != "eth0" drop', "pass"),
    ],
)
def test_rules_of_others_are_understood(rule: str, kind: str) -> None:
    """What people write is understood, where it is about where packets come from and go."""
    found = verdict(rule).to_dict()
    assert found["kind"] == kind


@pytest.mark.parametrize(
    "rule",
    ['meta hour "22:00" drop', "limit rate 5/second drop", "meta cpu 0 queue", "ip dscp 3 drop"],
)
def test_what_is_not_understood_is_told_with_its_line(rule: str) -> None:
    """If it matters what such a rule does, the answer is its line and nothing else."""
    found = verdict(rule)
    assert isinstance(found, Unknown)
    assert [(each.file, each.line) for each in found.rules] == [("dump", 8)]


def test_who_is_in_a_set_that_rules_fill_is_not_known() -> None:
    listing = (
        "table inet mine {\n\tset seen {\n\t\ttype ipv4_addr\n\t\tsize 100\n"
        "\t\tflags dynamic,timeout\n\t\ttimeout 1m\n\t}\n\tchain c {\n"
        "\t\ttype filter hook forward priority filter; policy accept;\n"
        "\t\tupdate @seen { ip saddr }\n\t\tip saddr @seen drop\n\t}\n}\n"
    )
    for given_text, kind in (listing, "unknown"), (listing.replace("update", "#"), "pass"):
        lines = "\n".join(line for line in given_text.split("\n") if "#" not in line)
        (found,) = nftables.read(lines, OWN).evaluate(PACKET)
        assert found.verdict.to_dict()["kind"] == kind


@pytest.mark.parametrize(("kind", "expected"), [("filter", "drop"), ("nat", "pass")])
def test_what_the_node_sends_to_itself_comes_in_by_loopback(kind: str, expected: str) -> None:
    """It passes the chains for what arrives, but for those of type nat."""
    listing = (
        "table inet mine {\n\tchain c {\n"
        f"\t\ttype {kind} hook prerouting priority filter; policy accept;\n"
        '\t\tiifname "lo" tcp dport 80 drop\n\t}\n}\n'
    )
    rules = nftables.read(listing, OWN)
    own = Packet("192.0.2.10", "192.0.2.10", 80)
    assert rules.evaluate(own)[0].verdict.to_dict()["kind"] == expected
    assert rules.evaluate(PACKET)[0].verdict.to_dict()["kind"] == "pass"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dnat to 10.244.1.2:9376", "dnat to 10.244.1.222.2:9376"),
        ("dnat to 10.244.1.2:9376", "dnat to 10.244.1.2"),
        ("elements = { 192.168.50.1 }", "elements = { 192.168.50.1.1 }"),
        ("10.96.36.164 . tcp . 80 :", "10.96.36.164 . tcp . eighty :"),
    ],
)
def test_what_is_no_address_is_no_end_of_the_comparison(old: str, new: str) -> None:
    """It is a difference, or unknown with its line; never a fault of the program."""
    assert old in LISTING
    found = compared(LISTING.replace(old, new).split("\n"))
    assert found.differences or found.unknown


def compared(lines: list[str], family: IPFamily = "IPv4") -> Verdicts:
    graph = live("nftables", family)
    return verify(graph, nftables.read("\n".join(lines), Facts.of(graph.settings)))


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_a_live_node_is_as_its_objects_say(family: IPFamily) -> None:
    """What kube-proxy wrote does to every packet what svcnet says of the objects."""
    found = compared(LISTING.split("\n"), family)
    assert (found.differences, found.unknown) == ((), ())
    assert found.cells > 200


EQUIVALENT = (
    # No port of the node is without endpoints, and no refused address is one of its own.
    *("nodeport-endpoints-check", "vmap @no-endpoint-nodeports"),
    # What has no endpoints is rejected by the chain behind as well: it is of a cluster IP.
    *("service-endpoints-check", "vmap @no-endpoint-services", "\t\treject"),
)
"""Rules without which every packet of a Service ends as before."""


def test_no_rule_can_be_missing() -> None:
    """Without any rule something differs, but for those that change nothing, with the reason."""
    lines = LISTING[: LISTING.index("table ip6")].split("\n")
    in_chain = False
    for at, line in enumerate(lines):
        in_chain = line.startswith("\tchain") or (in_chain and line != "\t}")
        if not line.startswith("\t\t") or not in_chain or line.strip()[:4] in ("type", "comm"):
            continue
        found = compared([*lines[:at], *lines[at + 1 :]])
        same = any(line.endswith(each) for each in EQUIVALENT)
        assert bool(found.differences) != same, line
        assert found.unknown == ()


@settings(max_examples=examples(25), deadline=None)
@given(strategies.clusters, strategies.nodes, strategies.configurations)
def test_any_cluster_is_verified_with_its_own_rules(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration
) -> None:
    """No difference is found where there is none."""
    state = ClusterState.of([*objects, node])
    given_rules = evolve(NFTABLES.rules(config), masquerade_all=config.iptables.masquerade_all)
    graph = compile_state(state, node_view(state, config, node="node-a", rules=given_rules))
    rules = NFTRuleSet.of(load(NFTState(), text(full(graph))), Facts.of(graph.settings))
    found = verify(graph, rules)
    assert (found.differences, found.unknown) == ((), ())
