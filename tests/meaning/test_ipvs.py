"""Virtual servers of IPVS with the rules around them: what they do, and if that is as it should."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings

from svcnet.compiler import compile_state, node_view
from svcnet.errors import ApplyError
from svcnet.graph import Deliver, Packet, Pass, Refuse, RuleGraph
from svcnet.meaning import Facts, Unknown, Verdicts, ipvs, spans, verify
from svcnet.meaning.comparison.diff import rules_diff
from svcnet.models import ClusterState, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.netfilter.ipvs.listing import read_listing
from tests import strategies
from tests.bench.test_bench_verify import graph_of
from tests.fuzz import examples
from tests.meaning.ipvs_dump import Dump
from tests.test_conformance import CASES, EXPECTED_IPVS, compile_case, family_of_file

SAMPLE = examples(60)


@pytest.mark.parametrize(
    "expected",
    EXPECTED_IPVS[:: max(1, len(EXPECTED_IPVS) // SAMPLE)],
    ids=lambda path: path.parent.name,
)
def test_what_svcnet_renders_is_as_it_should_be(expected: Path) -> None:
    """The servers, sets and rules of each case do to every packet what its objects say."""
    graph = compile_case(expected.parent, family_of_file(expected))
    found = verify(graph, Dump.of(graph).read(graph))
    assert (found.differences, found.unknown) == ((), ())


@settings(max_examples=examples(25), deadline=None)
@given(strategies.clusters, strategies.nodes, strategies.configurations)
def test_any_cluster_is_verified_with_its_own_rules(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration
) -> None:
    """No difference is found where there is none."""
    state = ClusterState.of([*objects, node])
    graph = compile_state(state, node_view(state, config, node="node-a"))
    found = verify(graph, Dump.of(graph).read(graph))
    assert (found.differences, found.unknown) == ((), ())


@cache
def sink() -> tuple[RuleGraph, Dump]:
    """Return a cluster with a bit of everything, and what its node prints."""
    graph = compile_case(CASES / "kitchen-sink", "IPv4")
    return graph, Dump.of(graph)


def compared(part: str, text: str) -> Verdicts:
    """Return what comes of another text in the place of one of a node's."""
    graph, dump = sink()
    texts = {each: getattr(dump, each) for each in ("servers", "rules", "sets")}
    return verify(graph, Dump(**{**texts, part: text}, held=dump.held).read(graph))


def without(text: str, at: int) -> str:
    """Return a text without one of its lines; without a virtual server its real ones go too."""
    lines = text.split("\n")
    gone = lines[at]
    del lines[at]
    if gone.startswith("-A -"):
        place = " ".join(gone.split()[1:3])
        lines = [line for line in lines if not line.startswith(f"-a {place} ")]
    return "\n".join(lines)


def test_no_server_can_be_missing() -> None:
    """Without any virtual or real server something differs."""
    text = sink()[1].servers
    for at, line in enumerate(text.splitlines()):
        found = compared("servers", without(text, at))
        assert found.differences, line
        assert found.unknown == ()


def numbers(line: str) -> Iterator[str]:
    """Yield a line with one of its numbers changed, each in turn."""
    for found in re.finditer(r"\d+(?= -s| -r| -m|$)|(?<= -p )\d+", line):
        number = int(found[0])
        yield f"{line[: found.start()]}{number + 1}{line[found.end() :]}"


def test_no_number_of_a_server_can_be_another() -> None:
    """Another port, weight or time is a difference, but for a weight, and a time with one to go to.

    With the scheduler rr a weight is yes or no.
    """
    text = sink()[1].servers
    for line in text.splitlines():
        head = line.partition(" -s ")[0].replace("-A", "-a")
        is_alone = text.count(f"{head} -r ") == 1
        for changed in numbers(line):
            is_time = line.split(" -p ")[0] == changed.split(" -p ")[0] != line
            is_weight = line.split(" -w ")[0] == changed.split(" -w ")[0] != line
            found = verify_quietly(text.replace(line, changed))
            assert found != (is_weight or (is_time and is_alone)), (line, changed)


def verify_quietly(servers: str) -> bool:
    """Return whether there is a difference, or no listing at all any more."""
    try:
        return bool(compared("servers", servers).differences)
    except ApplyError:
        return True


EQUIVALENT = (
    # There is no policy that would keep out who asks for health.
    *("add KUBE-HEALTH-CHECK", "KUBE-HEALTH-CHECK-NODE-PORT dst -j ACCEPT", "health check rules"),
    "-j KUBE-FORWARD",
    # Nothing has these addresses that takes connections: they refuse in any case.
    *("KUBE-CLUSTER-IP 10.96.0.14,", "KUBE-EXTERNAL-IP"),
    # The node's own packets do not pass INPUT; and they are never dropped here.
    *("KUBE-LOAD-BALANCER-SOURCE-IP", "-j KUBE-IPVS-OUT-FILTER"),
    # The policy of these is Local: no source is hidden.
    *("KUBE-NODE-PORT-TCP 30081", "KUBE-NODE-PORT-TCP 30443", "KUBE-LOAD-BALANCER -j"),
    "-j KUBE-LOAD-BALANCER",
    # A Service's address is the machine's own, and never forwarded.
    *("FORWARD -m comment", "KUBE-FORWARD -m comment"),
    # Nothing comes after them, and nobody asks for the mark any more.
    *("KUBE-CLUSTER-IP dst,dst -j ACCEPT", "KUBE-LOAD-BALANCER dst,dst -j ACCEPT"),
    "KUBE-POSTROUTING -j MARK",
)
"""Entries and rules without which every packet of a Service ends as before."""


@pytest.mark.parametrize(("part", "start"), [("sets", "add "), ("rules", "-A ")])
def test_no_entry_and_no_rule_can_be_missing(part: str, start: str) -> None:
    """Without any something differs, but for those that change nothing, with the reason."""
    lines = getattr(sink()[1], part).split("\n")
    for at, line in enumerate(lines):
        if line.startswith(start):
            found = compared(part, "\n".join([*lines[:at], *lines[at + 1 :]]))
            assert bool(found.differences) != any(each in line for each in EQUIVALENT), line
            assert found.unknown == ()


FACTS = Facts(addresses=frozenset(map(spans.number, ("192.0.2.10", "10.96.0.10"))))
NOTHING = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
PACKET = Packet("203.0.113.7", "10.96.0.10", 80, interface="eth0")
SERVER = "-A -t 10.96.0.10:80 -s rr"


def ends(servers: str, packet: Packet = PACKET, rules: str = NOTHING) -> dict[object, Fraction]:
    """Return how a packet ends, with the chances, without reasons."""
    found: dict[object, Fraction] = {}
    for outcome in ipvs.read(servers, rules, FACTS, file="dump").evaluate(packet):
        verdict: object = outcome.verdict
        if isinstance(verdict, Refuse):
            verdict = verdict.how
        elif isinstance(verdict, Deliver):
            verdict = verdict.address, verdict.port
        found[verdict] = found.get(verdict, Fraction(0)) + outcome.probability
    return found


def reals(*weights: int, server: str = "-t 10.96.0.10:80") -> str:
    lines = [
        f"-a {server} -r 10.244.1.{number}:8080 -m -w {weight}"
        for number, weight in enumerate(weights, 1)
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("scheduler", "weights", "shares"),
    [
        ("rr", (1, 5), (Fraction(1, 2), Fraction(1, 2))),
        ("wrr", (1, 3), (Fraction(1, 4), Fraction(3, 4))),
        ("rr", (1, 0), (1, 0)),
        ("fo", (1, 3), (0, 1)),
        ("lc", (1, 3), (Fraction(1, 2), Fraction(1, 2))),
        ("sh", (1, 3), (Fraction(1, 4), Fraction(3, 4))),
    ],
)
def test_schedulers_give_shares(
    scheduler: str, weights: tuple[int, ...], shares: tuple[Fraction, ...]
) -> None:
    """Each real server gets the share that its scheduler gives it of many clients."""
    found = ends(f"-A -t 10.96.0.10:80 -s {scheduler}\n{reals(*weights)}")
    wanted = {(f"10.244.1.{at}", 8080): share for at, share in enumerate(shares, 1) if share}
    assert found == wanted


@pytest.mark.parametrize(
    ("servers", "packet", "end"),
    [
        ("", PACKET, Pass()),
        (SERVER, PACKET, "reject"),
        (f"{SERVER}\n{reals(0)}", PACKET, "reject"),
        # Only what is for an address of the machine's own comes past the balancer.
        (
            f"-A -t 10.9.9.9:80 -s rr\n{reals(1, server='-t 10.9.9.9:80')}",
            evolve(PACKET, destination="10.9.9.9"),
            Pass(),
        ),
        # What the node itself sends does so wherever it is headed.
        (
            f"-A -t 10.9.9.9:80 -s rr\n{reals(1, server='-t 10.9.9.9:80')}",
            Packet("192.0.2.10", "10.9.9.9", 80),
            ("10.244.1.1", 8080),
        ),
        # For all ports a virtual server must be persistent.
        (f"-A -t 10.96.0.10:0 -s rr\n{reals(1, server='-t 10.96.0.10:0')}", PACKET, "reject"),
        (
            f"-A -t 10.96.0.10:0 -s rr -p 60\n{reals(1, server='-t 10.96.0.10:0')}",
            PACKET,
            ("10.244.1.1", 8080),
        ),
        (f"-A -u 10.96.0.10:80 -s rr\n{reals(1, server='-u 10.96.0.10:80')}", PACKET, Pass()),
    ],
)
def test_a_virtual_server_takes_what_it_is_for(servers: str, packet: Packet, end: object) -> None:
    """By address, protocol and port; without a real server that takes connections it refuses."""
    assert ends(servers, packet) == {end: 1}


MARKING = (
    "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j MARK --set-xmark 0x7/0xf\nCOMMIT\n"
)


def test_a_mark_comes_before_an_address() -> None:
    """A virtual server of a mark takes packets that have one of their own as well."""
    servers = f"{SERVER}\n{reals(1)}\n-A -f 7 -s rr\n-a -f 7 -r 10.9.9.9:9 -m -w 1\n"
    assert ends(servers, rules=MARKING) == {("10.9.9.9", 9): 1}
    assert ends(servers) == {("10.244.1.1", 8080): 1}


def test_a_client_that_is_remembered_stays() -> None:
    """A persistent virtual server sends it where it was, unless that takes no connections."""
    packet = evolve(PACKET, remembered=["10.244.1.2:8080"])
    sticky = f"{SERVER} -p 60\n"
    assert ends(sticky + reals(1, 1, 1), packet) == {("10.244.1.2", 8080): 1}
    assert ends(sticky + reals(1, 0), packet) == {("10.244.1.1", 8080): 1}
    assert len(ends(f"{SERVER}\n{reals(1, 1, 1)}", packet)) == 3


@pytest.mark.parametrize(
    "servers",
    [
        f"{SERVER} --frob 7\n{reals(1)}",
        f"{SERVER}\n-a -t 10.96.0.10:80 -r 10.244.1.1:80 -g -w 1",
        f"{SERVER}\n-a -t 10.96.0.10:80 -r 10.244.1.1:80 -i -w 1 --tun-type gue",
    ],
)
def test_what_is_not_understood_is_told_with_its_line(servers: str) -> None:
    """If it matters what an option does, the answer is its line and nothing else."""
    (found,) = ends(servers)
    assert isinstance(found, Unknown)
    assert [(each.file, each.table) for each in found.rules] == [("dump", "ipvs")]


@pytest.mark.parametrize(
    "text",
    [
        "IP Virtual Server version 1.2.1 (size=4096)",
        "-A -t web.example:80 -s rr",
        "-A -t 10.96.0.10:http -s rr",
        "-A -t 10.96.0.10:99999 -s rr",
        "-A -t 10.96.0.10:80 -u 10.96.0.10:80",
        "-A -s rr",
        "-A -f 99999999999",
        f"{SERVER}\n{SERVER}",
        reals(1),
        f"{SERVER}\n{reals(1)}\n{reals(1)}",
        f"{SERVER}\n-a -t 10.96.0.10:80 -m -w 1",
        f"{SERVER}\n-a -t 10.96.0.10:80 -r 10.244.1.1:80 -m -w much",
        f"{SERVER} rr",
        "-D -t 10.96.0.10:80",
    ],
)
def test_bad_listings_are_errors_with_their_line(text: str) -> None:
    """What is no line of ipvsadm --save, or says two things, is told with its number."""
    with pytest.raises(ApplyError, match=r"^dump: line \d+: "):
        read_listing(text, "dump")


def test_options_are_read() -> None:
    """All that ipvsadm saves of a virtual server and its real servers."""
    text = (
        "-A -t [fd00::1]:443 -s mh -p 90 -M 64 -b mh-port,flag-1\n"
        "-a -t [fd00::1]:443 -r [fd00:2::1]:8443 -m -w 3 -x 100 -y 50\n"
        "-A -u 10.96.0.10:53 -s rr -o\n"
        "-A -f 9 -6 -s wlc pe sip\n"
    )
    one, two, three = read_listing(text)
    assert str(one.service) == (
        "[fd00::1]:443 TCP scheduler mh mh-fallback mh-port persistent 90 mask 64"
    )
    assert [str(each.dest) for each in one.dests] == ["[fd00:2::1]:8443 weight 3 threshold 50-100"]
    assert str(two.service) == "10.96.0.10:53 UDP scheduler rr ops"
    assert str(three.service) == "mark 9 IPv6 scheduler wlc pe sip"
    assert (one.odd, two.odd, three.odd) == ((), (), ())


def test_kinds_of_packets_grow_with_services_and_not_with_their_square() -> None:
    """An endpoint that few destinations ask about is told apart for those alone."""
    cells = []
    for count in (60, 120):
        graph = graph_of(count)
        rules = Dump.of(graph).read(graph)
        cells.append(rules_diff(rules, rules).cells)
    assert cells[1] < 3 * cells[0]
