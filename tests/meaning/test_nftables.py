"""The interpreter of nf_tables: what rules do to packets, or that nobody can say."""

from __future__ import annotations

from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import given, note, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.family import IPFamily
from svcnet.graph import Deliver, Packet
from svcnet.meaning import Facts, FoundVerdict, Unknown, Verdicts, nftables, spans, verify
from svcnet.meaning.comparison.diff import rules_diff
from svcnet.meaning.nftables.ruleset import NFTRuleSet
from svcnet.models import ClusterState, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.modes.nftables import NFTABLES
from svcnet.netfilter.nft import NFTState, load
from svcnet.renderers.nftables import full, text
from tests import strategies
from tests.conftest import ROOT
from tests.fuzz import examples
from tests.meaning.chances import chances
from tests.renderers.test_meaning import aimed
from tests.renderers.test_nftables_meaning import LAYOUTS, meant
from tests.test_live_node import live
from tests.walk_nftables import Reading
from tests.walk_nftables import outcomes as walked

LISTING = (ROOT / "tests/live_node/nft-ruleset.txt").read_text()


def whole_chances(rules: NFTRuleSet, packet: Packet) -> dict[FoundVerdict, Fraction]:
    """Return the chance of each verdict; all of them are one, in the kernel too."""
    found = rules.evaluate(packet)
    assert sum(outcome.probability for outcome in found) == 1
    assert sum(outcome.kernel for outcome in found) == 1
    return chances(found)


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
    written = text(full(graph, layout=data.draw(st.sampled_from(LAYOUTS))))
    rules = NFTRuleSet.of(load(NFTState(), written), Facts.of(graph.settings))
    found = whole_chances(rules, packet)
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
        assert whole_chances(rules, packet) == walked(reading, graph.settings, packet)


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
    """No difference is found where there is none: in either layout, and between the two."""
    state = ClusterState.of([*objects, node])
    given_rules = evolve(NFTABLES.rules(config), masquerade_all=config.iptables.masquerade_all)
    graph = compile_state(state, node_view(state, config, node="node-a", rules=given_rules))
    found = [
        NFTRuleSet.of(load(NFTState(), text(full(graph, layout=layout))), Facts.of(graph.settings))
        for layout in LAYOUTS
    ]
    for rules in found:
        verdicts = verify(graph, rules)
        assert (verdicts.differences, verdicts.unknown) == ((), ())
    assert not rules_diff(*found)


OUT = Facts(
    addresses=frozenset((spans.number("192.0.2.10"),)),
    interfaces={
        spans.network("10.0.0.0/8"): "cni0",
        spans.network("192.0.2.0/24"): "eth0",
        spans.network("203.0.113.0/24"): "eth1",
    },
)


def kind_of(rule: str, packet: Packet = PACKET, hook: str = "forward", facts: Facts = OUT) -> str:
    """Return what becomes of a packet by a rule in a chain of a hook, in a table of type inet."""
    listing = (
        "table inet filter {\n"
        "\tflowtable f {\n\t\thook ingress priority filter\n\t\tdevices = { eth0 }\n\t}\n"
        f"\tchain c {{\n\t\ttype filter hook {hook} priority filter; policy accept;\n"
        f"\t\t{rule}\n\t}}\n}}\n"
    )
    (found,) = nftables.read(listing, facts, file="dump").evaluate(packet)
    return str(found.verdict.to_dict()["kind"])


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        # Interfaces that packets leave by, where routes are known.
        ('oifname "cni0" drop', "drop"),
        ('oifname != "cni0" drop', "pass"),
        ('oifname "cni*" drop', "drop"),
        ('oif "eth0" drop', "pass"),
        ('iifname "eth0" oifname "cni0" drop', "drop"),
        ('oifname { "cni0", "eth0" } drop', "unknown"),
        # Connection tracking of the first packet of a connection.
        ("ct direction original drop", "drop"),
        ("ct direction reply drop", "pass"),
        ("ct direction != reply drop", "drop"),
        ("ct state new,untracked drop", "drop"),
        ("ct state vmap { established : accept, new : drop }", "drop"),
        ("ct state vmap { established : accept, invalid : drop } accept", "pass"),
        ("ct status dnat drop", "pass"),
        ("ct status dnat,snat drop", "pass"),
        ("ct status assured drop", "pass"),
        ("ct status ! dnat drop", "drop"),
        ("ct status != dnat drop", "unknown"),
        ("ct state { new, untracked } drop", "drop"),
        ("ct status confirmed drop", "unknown"),
        ("ct original ip daddr 10.9.0.0/16 drop", "drop"),
        ("ct original ip daddr != 10.9.9.9 drop", "pass"),
        ("ct original ip saddr 203.0.113.0/24 drop", "drop"),
        ("ct original proto-dst 80 drop", "drop"),
        ("ct original proto-dst 81 drop", "pass"),
        ("ct original protocol udp drop", "pass"),
        ("ct reply ip saddr 10.9.9.9 drop", "unknown"),
        ("ct mark 0 drop", "drop"),
        ("ct mark set 5 ct mark & 0x4 == 0x4 drop", "drop"),
        ("meta mark set 5 ct mark set meta mark meta mark set 0 ct mark 5 drop", "drop"),
        ("ct mark set 6 meta mark set ct mark | 0x1 meta mark 7 drop", "drop"),
        ("meta mark set 0x10 meta mark { 0x10, 0x20 } drop", "drop"),
        ("meta mark { 0x10, 0x20 } drop", "pass"),
        ("meta mark { 0x10-0x20 } drop", "unknown"),
        ("ct zone 1 drop", "unknown"),
        # Routes.
        ("fib daddr type unicast drop", "drop"),
        ("fib daddr type { broadcast, multicast, anycast } drop", "pass"),
        ("fib daddr type != { local, unicast } drop", "pass"),
        ("fib daddr . iif type local drop", "pass"),
        ("fib daddr . iif type != { local, broadcast, multicast } drop", "drop"),
        ("fib saddr type local drop", "pass"),
        ("fib saddr type unicast drop", "drop"),
        ("fib saddr type broadcast drop", "pass"),
        ("fib saddr . iif oif missing drop", "pass"),
        ("fib saddr . mark . iif oif missing drop", "pass"),
        ("fib saddr . iif oif exists drop", "drop"),
        ("fib saddr oif missing drop", "unknown"),
        ("fib daddr type blackhole drop", "unknown"),
        # Fields that packets of other families and protocols do not have, as the rule goes on.
        ("ip6 saddr != fd00::/8 drop", "pass"),
        ("udp dport != 53 drop", "pass"),
        ("tcp dport != 53 drop", "drop"),
        ("meta nfproto ipv4 drop", "drop"),
        ("meta nfproto ipv6 drop", "pass"),
        ("meta protocol ip drop", "drop"),
        ("udp dport vmap { 80 : drop }", "pass"),
        # Nothing of a connection is offloaded before it is established.
        ("flow add @f drop", "pass"),
        ("ip protocol tcp flow add @f", "pass"),
        # What goes where nobody looks.
        ("jump nowhere", "unknown"),
        ("jump { counter drop; }", "unknown"),
        ('fwd to "eth1"', "unknown"),
    ],
)
def test_words_of_others_are_right_or_unknown(rule: str, kind: str) -> None:
    assert kind_of(rule) == kind


@pytest.mark.parametrize("rule", ['oifname "cni0" drop', "fib daddr type { broadcast } drop"])
def test_without_routes_nobody_knows_where_packets_leave(rule: str) -> None:
    assert kind_of(rule, facts=OWN) == "unknown"


@pytest.mark.parametrize(
    ("hook", "rule", "kind"),
    [
        ("prerouting", 'oifname "cni0" drop', "pass"),
        ("prerouting", 'oifname != "cni0" drop', "drop"),
        ("postrouting", 'oifname "cni0" drop', "drop"),
    ],
)
def test_packets_have_no_way_out_before_they_are_routed(hook: str, rule: str, kind: str) -> None:
    assert kind_of(rule, hook=hook) == kind


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("10.9.9.9", "pass"),
        ("203.0.113.255", "unknown"),
        ("255.255.255.255", "drop"),
        ("0.1.2.3", "drop"),
        ("224.0.0.1", "pass"),
        ("192.0.2.10", "pass"),
    ],
)
def test_a_broadcast_address_is_the_end_of_a_network(address: str, kind: str) -> None:
    """Which of a network's ends it is depends on the kernel, so either may be."""
    packet = Packet("203.0.113.7", address, 80, interface="eth1")
    assert kind_of("fib daddr type broadcast drop", packet, "prerouting") == kind


def test_an_answer_about_a_way_out_holds_until_packets_are_translated() -> None:
    """Behind a translation the packet leaves by the way to its endpoint."""
    listing = (
        "table ip a {\n\tchain o {\n\t\ttype filter hook output priority raw; policy accept;\n"
        '\t\toifname "eth7" counter\n\t}\n'
        "\tchain n {\n\t\ttype nat hook output priority -100; policy accept;\n"
        "\t\tip daddr 172.16.0.1 tcp dport 80 dnat to 10.1.1.1:80\n\t}\n"
        "\tchain p {\n\t\ttype filter hook postrouting priority srcnat; policy accept;\n"
        '\t\toifname "cni0" accept\n\t\tdrop\n\t}\n}\n'
    )
    packet = Packet("192.0.2.10", "172.16.0.1", 80)
    (found,) = nftables.read(listing, OUT).evaluate(packet)
    assert found.verdict == Deliver("10.1.1.1", 80, masquerade=False)


NETDEV = (
    "table netdev n {{\n\tchain c {{\n"
    "\t\ttype filter hook {hook} device{devices} priority filter; policy {policy};\n"
    "\t\t{rule}\n\t}}\n}}\n"
)


@pytest.mark.parametrize(
    ("hook", "devices", "policy", "rule", "kind"),
    [
        ("ingress", ' "eth0"', "accept", "ip daddr 10.9.9.9 drop", "drop"),
        ("ingress", ' "eth1"', "accept", "ip daddr 10.9.9.9 drop", "pass"),
        ("ingress", "s = { eth0, eth1 }", "drop", "tcp dport 81 accept", "drop"),
        ("ingress", "s = { eth0, eth1 }", "drop", "tcp dport 80 accept", "pass"),
        ("ingress", ' "eth0"', "accept", 'fwd to "eth1"', "unknown"),
        ("ingress", ' "eth0"', "accept", "ip6 saddr != fd00::/8 drop", "pass"),
        ("egress", ' "cni0"', "accept", "tcp dport 80 drop", "drop"),
        ("egress", ' "eth1"', "accept", "tcp dport 80 drop", "pass"),
    ],
)
def test_what_stands_at_an_interface_is_met(
    hook: str, devices: str, policy: str, rule: str, kind: str
) -> None:
    """Packets pass the chains of the interface that they come or leave by, and of no other."""
    listing = NETDEV.format(hook=hook, devices=devices, policy=policy, rule=rule)
    (found,) = nftables.read(listing, OUT).evaluate(PACKET)
    assert found.verdict.to_dict()["kind"] == kind


def test_whether_packets_pass_a_bridge_is_not_known() -> None:
    """A rule of a bridge counts if it makes a difference: nobody says where packets come by."""
    for rule, kind in ("tcp dport 80 drop", "unknown"), ("tcp dport 81 drop", "pass"):
        listing = (
            "table bridge b {\n\tchain c {\n"
            "\t\ttype filter hook prerouting priority 0; policy accept;\n"
            f"\t\t{rule}\n\t}}\n}}\n"
        )
        (found,) = nftables.read(listing, OUT).evaluate(PACKET)
        assert found.verdict.to_dict()["kind"] == kind


@pytest.mark.parametrize(
    "item",
    [
        '{"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [{"a": 1}, {"drop": 0}]}}',
        '{"chain": {"family": "inet", "table": "t", "name": "d", "type": "filter", "hook": 7}}',
        '{"set": {"family": "inet", "table": "t", "name": "s", "type": {"odd": 1}}}',
    ],
)
def test_what_nft_says_in_words_of_its_own_is_unknown(item: str) -> None:
    """What no reader of its JSON understands is told, and not passed over."""
    document = (
        '{"nftables": [{"table": {"family": "inet", "name": "t"}}, '
        '{"chain": {"family": "inet", "table": "t", "name": "c", "type": "filter", '
        f'"hook": "forward", "prio": 0, "policy": "accept"}}}}, {item}]}}'
    )
    (found,) = nftables.read(document, OWN).evaluate(PACKET)
    assert isinstance(found.verdict, Unknown)
