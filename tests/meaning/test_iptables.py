"""The interpreter of iptables: what rules do to packets, of any rules, or that nobody can say."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, note, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.errors import ApplyError
from svcnet.family import IPFamily
from svcnet.graph import Deliver, NodeSettings, Packet, Refuse
from svcnet.meaning import iptables, spans
from svcnet.meaning.facts import Facts
from svcnet.meaning.ipsets import read_sets
from svcnet.meaning.outcome import FoundVerdict, Unknown
from svcnet.models import ClusterState, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.netfilter.listing import Listing
from svcnet.renderers.iptables import full
from svcnet.testing import FakeIPTables
from tests import strategies
from tests.fuzz import examples
from tests.meaning import foreign
from tests.meaning.chances import chances
from tests.renderers.test_meaning import aimed, meant
from tests.walk import outcomes as walked


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
    rules = iptables.RuleSet.of(Listing(tables.tables, {}), Facts.of(graph.settings))
    found = rules.evaluate(packet)
    assert sum(outcome.probability for outcome in found) == 1
    assert all(abs(each.probability - each.kernel) < Fraction(1, 10**8) for each in found)
    ours = without_masquerade(chances(found), graph.settings, packet)
    for others in (meant(graph, packet), walked(text, packet)):
        assert ours == without_masquerade(others, graph.settings, packet)


OWN = Facts(addresses=frozenset((spans.number("192.0.2.10"), spans.number("127.0.0.1"))))


def ends(text: str, packet: Packet, facts: Facts = OWN) -> list[str]:
    """Return the kinds of ends that rules have for a packet."""
    found = iptables.read(text, facts).evaluate(packet)
    assert sum(outcome.probability for outcome in found) == 1
    return [str(outcome.verdict.to_dict()["kind"]) for outcome in found]


def outside(destination: str, port: int, protocol: str = "TCP", interface: str = "eth0") -> Packet:
    return Packet("203.0.113.7", destination, port, protocol, interface)


@pytest.mark.parametrize(
    ("whose", "packet", "expected"),
    [
        # FORWARD is closed but for docker0, and nobody says what leaves by that.
        ("docker", outside("10.9.9.9", 80), ["drop"]),
        ("docker", outside("172.17.0.2", 80), ["unknown"]),
        ("docker", outside("192.0.2.10", 8080), ["unknown"]),
        ("docker", outside("192.0.2.10", 80), ["pass"]),
        ("docker", Packet("192.0.2.10", "10.9.9.9", 80), ["pass"]),
        ("docker", Packet("192.0.2.10", "127.0.0.1", 8080), ["pass"]),
        ("ufw", outside("192.0.2.10", 80), ["pass"]),
        ("ufw", outside("192.0.2.10", 81), ["drop"]),
        ("ufw", outside("192.0.2.10", 31000), ["pass"]),
        ("ufw", outside("192.0.2.10", 68, "UDP"), ["unknown"]),
        ("ufw", outside("192.0.2.10", 22), ["unknown"]),
        ("ufw", Packet("192.0.2.10", "192.0.2.10", 81), ["pass"]),
        ("ufw", outside("10.9.9.9", 80), ["drop"]),
        # Sets are not known, and only matter where something is masqueraded.
        ("calico", outside("192.0.2.10", 80), ["pass"]),
        ("calico", outside("10.9.9.9", 80), ["unknown"]),
        ("calico", outside("10.9.9.9", 80, interface="cali7"), ["drop"]),
        ("firewalld", outside("192.0.2.10", 22), ["pass"]),
        ("firewalld", outside("192.0.2.10", 80), ["reject"]),
        ("firewalld", outside("10.9.9.9", 80), ["reject"]),
        ("firewalld", Packet("192.0.2.10", "192.0.2.10", 80), ["pass"]),
        ("flannel", outside("10.244.1.5", 80), ["pass"]),
        ("flannel", outside("10.244.2.5", 80), ["rewrite"]),
        ("flannel", Packet("10.244.1.5", "8.8.8.8", 53, "UDP", "cni0"), ["rewrite"]),
        ("flannel", outside("10.9.9.9", 80), ["drop"]),
        ("cilium", outside("10.9.9.9", 80), ["pass"]),
    ],
)
def test_rules_of_others_are_understood_or_unknown(
    whose: str, packet: Packet, expected: list[str]
) -> None:
    """What other programs write on nodes is understood, or said not to be; never wrong."""
    assert ends(foreign.ALL[whose], packet) == expected


def test_who_is_on_a_list_that_others_fill_is_not_known() -> None:
    """A list of ``recent`` that no rule fills is empty; of another nobody knows who is on it."""
    asks = "-A FORWARD -m recent --rcheck --name seen --mask 255.255.255.255 --rsource -j DROP\n"
    text = f"*filter\n:FORWARD ACCEPT [0:0]\n{asks}COMMIT\n"
    assert ends(text, outside("10.9.9.9", 80)) == ["pass"]
    fills = asks.replace("--rcheck", "--set").replace(" -j DROP", "")
    assert ends(text.replace(asks, fills + asks), outside("10.9.9.9", 80)) == ["unknown"]


@pytest.mark.parametrize("table", ["raw", "mangle"])
def test_what_the_node_sends_to_itself_comes_in_by_loopback(table: str) -> None:
    """It passes the rules for what arrives, but for those of the nat table."""
    text = f"*{table}\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i lo -p tcp -j DROP\nCOMMIT\n"
    own = Packet("192.0.2.10", "192.0.2.10", 80)
    assert ends(text, own) == ["drop"]
    assert ends(text, outside("192.0.2.10", 80)) == ["pass"]
    assert ends(text.replace(table, "nat"), own) == ["pass"]
    assert ends(text, Packet("192.0.2.10", "10.9.9.9", 80)) == ["pass"]


def test_sets_that_are_known_are_understood() -> None:
    """With what ipset saved, a rule that asks for a set is as good as any other."""
    save = (
        "create cali40masq-ipam-pools hash:net family inet hashsize 1024 maxelem 1048576\n"
        "add cali40masq-ipam-pools 10.244.0.0/16\n"
        "create cali40all-ipam-pools hash:net family inet hashsize 1024 maxelem 1048576\n"
        "add cali40all-ipam-pools 10.244.0.0/16\n"
    )
    facts = evolve(OWN, sets=read_sets("ipset", save))
    pod = Packet("10.244.1.5", "8.8.8.8", 53, "UDP", "eth0")
    assert ends(foreign.CALICO, pod, facts) == ["rewrite"]
    assert ends(foreign.CALICO, evolve(pod, destination="10.244.2.5"), facts) == ["pass"]


@pytest.mark.parametrize(
    "match",
    [
        *("-m string --string x --algo bm", "-m time --timestart 08:00", "-m bpf --bytecode 1"),
        *("-m socket", "-m owner --uid-owner 0", "-m connlimit --connlimit-above 3", "-m nosuch"),
        *("-m tcp --sport 53", "-m set --match-set none src", "-m conntrack --ctstate ODD"),
        *("-m recent --rcheck --hitcount 3 --name x", "-d 10.0.0.0/99", "-m tcp --dport 1:2:3"),
        *("-m statistic --mode odd", "-m u32 --u32 1=2", "-m mark --mark x", "--nosuch 1"),
    ],
)
def test_a_match_that_is_not_understood_is_told_with_its_line(match: str) -> None:
    """If it matters whether such a rule matches, the answer is its line and nothing else."""
    text = f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp {match} -j DROP\nCOMMIT\n"
    (found,) = iptables.read(text, OWN, file="dump").evaluate(outside("10.9.9.9", 80))
    assert isinstance(found.verdict, Unknown)
    assert [(rule.file, rule.line) for rule in found.verdict.rules] == [("dump", 3)]
    assert ends(text.replace("DROP", "LOG"), outside("10.9.9.9", 80)) == ["pass"]
    assert ends(text.replace("-p tcp", "-p udp"), outside("10.9.9.9", 80)) == ["pass"]


@pytest.mark.parametrize("target", ["NFQUEUE --queue-num 1", "TPROXY --on-port 1", "ODD", "DNAT"])
def test_a_target_that_is_not_understood_is_told(target: str) -> None:
    """What becomes of a packet that gets there is unknown."""
    text = f"*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j {target}\nCOMMIT\n"
    assert ends(text, outside("10.9.9.9", 80)) == ["unknown"]
    assert ends(text, outside("10.9.9.9", 80, "UDP")) == ["pass"]


words = st.sampled_from(
    (
        *(
            "-m",
            "-p",
            "-s",
            "-d",
            "-i",
            "-o",
            "-j",
            "-g",
            "!",
            "tcp",
            "udp",
            "10.0.0.0/8",
            "--dport",
        ),
        *(
            "80",
            "set",
            "recent",
            "--rcheck",
            "--set",
            "--name",
            "X",
            "statistic",
            "--mode",
            "random",
        ),
        *("--probability", "0.5", "nth", "--every", "0", "DNAT", "--to-destination", "1.2.3.4:80"),
        *("MARK", "--set-xmark", "0x1/0x1", "ACCEPT", "RETURN", "C", "FORWARD", "comment"),
        *("--comment", '"a b"', '"', "conntrack", "--ctstate", "NEW", "addrtype", "--dst-type"),
        *(
            "LOCAL",
            "multiport",
            "--dports",
            "1,2:3",
            "CONNMARK",
            "--save-mark",
            "--mask",
            "é",
            "-f",
        ),
    )
)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("FORWARD", "C")), st.lists(words, max_size=12))))
def test_any_words_are_rules(lines: list[tuple[str, list[str]]]) -> None:
    """Whatever stands in rules, they are read, and every packet has ends of which one happens."""
    rules = "".join(f"-A {chain} {' '.join(rule)}\n" for chain, rule in lines)
    text = f"*nat\n:PREROUTING ACCEPT [0:0]\n:C - [0:0]\n:FORWARD - [0:0]\n{rules}COMMIT\n"
    try:
        found = iptables.read(text.replace("-A FORWARD", "-A PREROUTING"), OWN)
    except ApplyError:
        return
    for packet in (outside("10.9.9.9", 80), outside("10.9.9.9", 80, "UDP")):
        assert sum(outcome.probability for outcome in found.evaluate(packet)) == 1


class ScannedText(str):
    """A text that counts how often all of it is gone through."""

    __slots__ = ("scans",)

    def __init__(self, _: str) -> None:
        self.scans = 0

    def split(self, *arguments: Any) -> list[str]:
        self.scans += 1
        return super().split(*arguments)

    def find(self, *arguments: Any) -> int:
        self.scans += 1
        return super().find(*arguments)

    def count(self, *arguments: Any) -> int:
        self.scans += 1
        return super().count(*arguments)


def test_the_lines_of_all_rules_are_found_at_once() -> None:
    """A machine on which everything is wrong is told of as fast as one on which little is."""
    lines = [f"-A A -d 10.0.{at}.1/32 -j ACCEPT" for at in range(50)]
    text = ScannedText("\n".join(["*nat", ":A - [0:0]", *lines, "COMMIT", ""]))
    rules = iptables.read(text, file="now")
    before = text.scans
    for at, rule in enumerate(rules.rules()):
        assert rules.line_of(rule).line == at + 3
    assert text.scans <= before + 1


@pytest.mark.parametrize(
    ("option", "family", "destination", "is_hit"),
    [
        ("--dst-type UNICAST", "IPv4", "192.0.2.10", False),
        ("--dst-type UNICAST", "IPv6", "2001:db8::10", True),
        ("--dst-type UNICAST", "IPv6", "2001:db8::99", True),
        ("! --dst-type UNICAST", "IPv6", "2001:db8::10", False),
        ("--dst-type LOCAL,UNICAST", "IPv4", "192.0.2.99", True),
        ("--dst-type LOCAL,UNICAST", "IPv6", "2001:db8::99", False),
        ("--dst-type LOCAL,UNICAST", "IPv6", "2001:db8::10", True),
        ("--src-type UNICAST", "IPv6", "2001:db8::99", True),
    ],
)
def test_types_of_addresses_are_what_the_kernel_takes_them_for(
    option: str, family: IPFamily, destination: str, is_hit: bool
) -> None:
    """In IPv6 the machine's own addresses are UNICAST too, and all types named must hold."""
    own, source = ("192.0.2.10", "192.0.2.10") if family == "IPv4" else ("2001:db8::10",) * 2
    text = f"*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -m addrtype {option} -j DROP\nCOMMIT\n"
    rules = iptables.read(text, Facts(family, frozenset((spans.number(own),))))
    (outcome,) = rules.evaluate(Packet(source, destination, 80))
    assert isinstance(outcome.verdict, Refuse) == is_hit
