"""What the kernel traces of a live packet is what is explained of it, rule by rule.

The rules are those that kube-proxy v1.36 wrote: the cases' own transactions, loaded as they are.
"""

from __future__ import annotations

import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from svcnet import modes
from svcnet.compiler import node_view
from svcnet.graph import Packet
from svcnet.meaning import Facts, MachineRules, iptables, nftables
from svcnet.meaning.explanation.machine import MachineQuestion, explain_rules
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.trace import TraceReading
from svcnet.meaning.spans import number
from svcnet.models import Host
from svcnet.renderers.iptables import full as render
from svcnet.renderers.nftables import full, text
from svcnet.sources import load, load_config
from tests.kernel.netns import CLIENT, Cluster
from tests.kernel.ways import EMPTY_TABLES, SPLIT
from tests.test_conformance import CASES

pytestmark = pytest.mark.kernel

CASE = CASES / "clusterip-basic"
DESTINATION, PORT = "10.96.0.10", 80
PATIENCE = 30
TRACER = """table ip tracer {
	chain c { type filter hook prerouting priority -350; ip daddr 10.96.0.10 meta nftrace set 1; }
}
"""
EMPTY_RAW = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"


@contextmanager
def lines_of(cluster: Cluster, *command: str) -> Iterator[queue.SimpleQueue[str]]:
    """Have a program run on the node, and yield what it prints, line by line."""
    where = ("ip", "netns", "exec", cluster.namespace("node"), "stdbuf", "-oL")
    found: queue.SimpleQueue[str] = queue.SimpleQueue()
    with subprocess.Popen((*where, *command), stdout=subprocess.PIPE, text=True) as process:
        stream = process.stdout
        assert stream is not None

        def read() -> None:
            for line in stream:
                found.put(line)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield found
        finally:
            process.terminate()
            reader.join()


def traced(cluster: Cluster, end: str, *command: str) -> list[str]:
    """Return the lines of one packet's trace, up to one that has `end` in it."""
    deadline = time.monotonic() + PATIENCE
    lines: list[str] = []
    with lines_of(cluster, *command) as found:
        # Nothing says when the program listens: packets are sent until one is told of.
        while time.monotonic() < deadline:
            cluster.agents["client"](
                "attempt",
                count=1,
                source=CLIENT.v4,
                destination=DESTINATION,
                port=PORT,
                protocol="TCP",
                timeout=0.2,
            )
            while True:
                try:
                    lines.append(found.get(timeout=0.5))
                except queue.Empty:
                    break
            for key in dict.fromkeys(line.split()[2] for line in lines if len(line.split()) > 2):
                own = [line for line in lines if line.split()[2:3] == [key]]
                last = next((at for at, line in enumerate(own) if end in line), None)
                if last is not None:
                    # The kernel tells packets apart by where they lie in memory, and the next
                    # one of a connection may lie where this one did.
                    return own[: last + 1]
    raise AssertionError(f"no trace within {PATIENCE} s: {lines}")


def question(mode: str) -> Question:
    loaded = load([CASE / "objects.yaml"])
    chosen = modes.get(mode)
    config = load_config(CASE / "config.yaml")
    view = node_view(loaded.state, config, Host(), node="node-a", rules=chosen.rules(config))
    return Question(loaded.state, view, chosen, locate=loaded.places)


def explained(rules: MachineRules, asked: Question) -> list[list[str]]:
    """Return the rules of each way that is explained."""
    packet = Packet(CLIENT.v4, DESTINATION, PORT, interface="eth0")
    found = explain_rules(MachineQuestion(rules, ("node",), asked), packet)
    assert found.wanted == ()
    return [
        [line.text for step in end.steps for line in step.lines if "add element" not in line.text]
        for end in found.outcomes
    ]


def assert_fields_are_told(lines: list[str], asked: Question) -> None:
    """Check that a trace's lines have the Service and the fields, and that none is puzzling."""
    told = list(map(TraceReading(asked).read, lines))
    assert {"spec.clusterIPs[0]"} <= {each.origin.path for each in told if each.origin}
    assert {"shop/web:http/TCP"} == {str(each.service) for each in told if each.service}
    assert all(each.told != "this is no line of a trace" for each in told)


def facts() -> Facts:
    return Facts(addresses=frozenset((number("192.0.2.10"),)))


def written(layout: str) -> str:
    """Return kube-proxy's own table, or the same in the flat layout."""
    if layout == "kube-proxy":
        return (CASE / "nftables.ipv4.txt").read_text()
    return text(full(question("nftables").graph, layout="flat"))


@pytest.mark.parametrize("layout", ["kube-proxy", "flat"])
def test_nft_traces_what_is_explained(cluster: Cluster, layout: str) -> None:
    """Each rule that ``nft monitor trace`` names is one of the way, in that order, and no other."""
    cluster.run("node", "nft", "-f", "-", stdin=written(layout))
    cluster.run("node", "nft", "-f", "-", stdin=TRACER)
    try:
        lines = traced(cluster, "nat-postrouting policy", "nft", "monitor", "trace")
        rules = nftables.read(cluster.run("node", "nft", "list", "ruleset"), facts())
    finally:
        for table in ("kube-proxy", "tracer"):
            cluster.run("node", "nft", "delete", "table", "ip", table)
    asked = question("nftables")
    assert_fields_are_told(lines, asked)
    kernel = [chain_of_trace(line) for line in lines if " rule " in line]
    ways = [[tuple(text.split(" ")[3:5]) for text in way] for way in explained(rules, asked)]
    assert kernel in ways


def chain_of_trace(line: str) -> tuple[str, str]:
    """Return the table and chain of a rule that nft traces."""
    words = line.split()
    return words[4], words[5]


@pytest.mark.parametrize("layout", ["kube-proxy", "flat"])
def test_iptables_traces_what_is_explained(cluster: Cluster, layout: str) -> None:
    """The same with ``xtables-monitor -t``, and each rule word by word."""
    text = (CASE / "iptables.ipv4.txt").read_text()
    if layout == "flat":
        text = render(question("iptables").graph, layout=SPLIT).text
    restore = ("iptables-nft-restore", "--noflush")
    cluster.run("node", *restore, stdin=text)
    cluster.run("node", *restore, stdin=JUMPS)
    try:
        lines = traced(cluster, "nat:POSTROUTING:policy", "xtables-monitor", "-t")
        rules = iptables.read(cluster.run("node", "iptables-nft-save"), facts())
    finally:
        cluster.run("node", "iptables-nft-restore", stdin=EMPTY_TABLES + EMPTY_RAW)
    asked = question("iptables")
    assert_fields_are_told(lines, asked)
    kernel = [
        line.partition(" -A ")[2].strip() for line in lines if ":rule:" in line and " -A " in line
    ]
    assert (layout == "flat") == any("KUBE-FLAT-" in rule for rule in kernel)
    ways = [[text.removeprefix("-A ") for text in way] for way in explained(rules, asked)]
    assert kernel in ways


JUMPS = """*raw
-A PREROUTING -d 10.96.0.10/32 -p tcp -j TRACE
COMMIT
*nat
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
COMMIT
*filter
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
COMMIT
"""
"""What has packets traced, and those of kube-proxy's jumps that they meet."""
