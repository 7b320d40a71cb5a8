"""What nft and the kernel make of a table's text: every case, random steps, and hostile words."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from svcnet.graph import diff
from svcnet.models import (
    DetectLocalConfiguration,
    KubeProxyConfiguration,
    Node,
    ServicePort,
)
from svcnet.models.state import ClusterObject
from svcnet.netfilter.nft import interface
from svcnet.netfilter.nft.words import KEYWORDS
from svcnet.renderers.nftables import (
    Layout,
    NFTablesDelta,
    Ruleset,
    advance,
    full,
    named_buckets,
    text,
    transaction,
)
from svcnet.testing import make_node, make_service, make_slice
from tests import strategies
from tests.fuzz import examples
from tests.kernel.test_twice import elsewhere
from tests.renderers.test_meaning import aimed
from tests.renderers.test_nftables import History, graph_of, graphs_of, histories
from tests.renderers.test_nftables_meaning import drawn, meant
from tests.test_conformance import family_of_file
from tests.test_conformance_nftables import EXPECTED, SECOND, compile_case
from tests.walk_nftables import Reading, outcomes

pytestmark = pytest.mark.kernel

Listed: TypeAlias = dict[str, Any]


def in_namespace(count: int) -> settings:
    """Return settings for so many examples in a namespace of their own, none made smaller."""
    return settings(
        max_examples=examples(count),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )


def load(script: str) -> None:
    """Have nft carry out lines, as one transaction."""
    command = ("nft", "-f", "-")
    done = subprocess.run(command, input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{script}"


def listed() -> Listed:
    """Return what the kernel has, without the order in which it came, but for rules."""
    printed = subprocess.run(
        ("nft", "-j", "list", "ruleset"), text=True, capture_output=True, check=True
    )
    found: Listed = {}
    for item in json.loads(printed.stdout)["nftables"]:
        ((kind, value),) = item.items()
        if kind == "metainfo":
            continue
        del value["handle"]
        if kind == "rule":
            found.setdefault(f"rules of {value['chain']}", []).append(value)
            continue
        if "elem" in value:
            value["elem"] = sorted(value["elem"], key=json.dumps)
        found[f"{kind} {value['name']}"] = value
    return found


def made_by(*scripts: str) -> Listed:
    """Return what the kernel has after transactions, from nothing."""
    load("flush ruleset\n")
    for script in scripts:
        load(script)
    return listed()


def listed_and_meant(ruleset: Ruleset) -> tuple[Listed, Listed]:
    """Return what the kernel has, and what a table makes there that keeps chains as that does."""
    there = listed()
    chains = [name.removeprefix("chain ") for name in there if name.startswith("chain ")]
    return there, made_by(text(ruleset.keep(named_buckets(chains))))


def assert_loads(ruleset: Ruleset) -> Listed:
    """Load both forms of a table, and the transaction twice; return what the kernel has."""
    wanted = made_by(text(ruleset))
    assert made_by(transaction(ruleset)) == wanted
    load(transaction(ruleset))
    assert listed() == wanted
    return wanted


def test_cases_load() -> None:
    """The text, and the transaction once and again, are the same to the kernel."""

    def work() -> None:
        for expected in EXPECTED[::8]:
            assert_loads(full(compile_case(expected.parent, family_of_file(expected))))

    elsewhere(work)


def test_every_step_leads_to_a_full_sync() -> None:
    """There and back, in one transaction and in two, and as the reference steps."""

    def work() -> None:
        for expected in SECOND:
            case, family = expected.parent, family_of_file(expected)
            graphs = [compile_case(case, family, f"objects{n}.yaml") for n in ("", ".second")]
            for before, after in (graphs, graphs[::-1]):
                assert_step(full(before), *advance(full(before), diff(before, after)))
            theirs = made_by(
                text(full(graphs[0])),
                expected.with_suffix(".delta.txt").read_text(),
                expected.with_name(third_of(expected)).read_text(),
            )
            # Of new ServiceCIDRs the reference makes nothing before its next full sync.
            if case.name != "then-service-cidr":
                assert theirs == made_by(text(full(graphs[1])))

    elsewhere(work)


def third_of(expected: Path) -> str:
    return f"tx.nftables.{expected.name.split('.')[1]}.third.txt"


def assert_step(before: Ruleset, after: Ruleset, step: Any) -> None:
    wanted = made_by(text(after))
    assert made_by(text(before), step.text) == wanted
    assert made_by(text(before), step.sync, step.cleanup) == wanted


def test_random_steps_lead_to_a_full_sync() -> None:
    """Services that share addresses come and go, and the node's settings change."""

    def begin(ruleset: Ruleset) -> Ruleset:
        load(f"flush ruleset\n{text(ruleset)}")
        return ruleset

    elsewhere(walk(8, "kube-proxy", begin, lambda step, _: load(step.text)))


def walk(
    count: int,
    layout: Layout,
    begin: Callable[[Ruleset], Ruleset],
    go: Callable[[NFTablesDelta, Ruleset], object],
) -> Callable[[], None]:
    """Return what goes through so many random histories; after each the table is that of a load.

    `begin` puts a table on a machine, and returns what is there then, and `go` carries out a step.
    """

    @in_namespace(count)
    @given(histories)
    def walked(history: History) -> None:
        graphs = graphs_of(history)
        ruleset = begin(full(graphs[0], layout=layout))
        for before, after in pairwise(graphs):
            ruleset, step = advance(ruleset, diff(before, after))
            go(step, ruleset)
        found = listed()
        assert found == assert_loads(ruleset)

    return walked


def test_a_listing_does_what_the_graph_means() -> None:
    """What nft prints of a table that was loaded is read as the graph, in any cluster."""

    @in_namespace(10)
    @given(strategies.clusters, strategies.nodes, strategies.configurations, st.data())
    def read(
        objects: list[ClusterObject],
        node: Node,
        config: KubeProxyConfiguration,
        data: st.DataObject,
    ) -> None:
        graph = drawn(objects, node, config, data)
        ruleset = full(graph)
        load(f"flush ruleset\n{transaction(ruleset)}")
        table = str(ruleset.table)
        command = ("nft", "list", "table", *table.split())
        printed = subprocess.run(command, text=True, capture_output=True, check=True).stdout
        reading = Reading.of_listing(printed, table)
        for _ in range(12):
            packet = aimed(graph, data)
            assert outcomes(reading, graph.settings, packet) == meant(graph, packet)

    elsewhere(read)


def test_the_longest_names_load() -> None:
    """Names and comments of the most that Kubernetes lets through, with affinity, in IPv6."""
    port = ServicePort(80, "p" * 63, "SCTP")
    service = make_service(
        "s" * 63,
        "fd00:10:96::10",
        namespace="n" * 63,
        ports=(port,),
        session_affinity="ClientIP",
        external_ips=("2001:db8::1",),
    )
    addresses = [f"fd00:1111:2222:3333:4444:5555:6666:777{n}" for n in range(3)]
    slices = make_slice(service.name, *addresses, namespace=service.namespace)
    node = make_node("node-a", "2001:db8::10")
    with_endpoints = graph_of([node, service, slices])
    without = graph_of([node, service])

    def work() -> None:
        for graph in (with_endpoints, without):
            assert_loads(full(graph))

    elsewhere(work)


NAMES = (
    *("cni0", "br-lan.100", "6in4", "eth0.5", "a@b", "-x", "_x", ".x", "123", "0x1f", "1d2h"),
    *sorted(KEYWORDS),
)


def test_any_interface_can_be_named() -> None:
    """Every word of nft's language is an interface where one is meant, and loads as that."""
    graphs = [
        graph_of(
            [make_node(), make_service()],
            KubeProxyConfiguration(
                detect_local_mode=mode, detect_local=DetectLocalConfiguration(name, name)
            ),
        )
        for name in ("bridge", "123", "veth", "a@b")
        for mode in ("BridgeInterface", "InterfaceNamePrefix")
    ]

    def work() -> None:
        for graph in graphs:
            assert_loads(full(graph))
        lines = [f"add rule ip t c iifname {interface(name)} accept\n" for name in NAMES]
        found = made_by("add table ip t\nadd chain ip t c\n", "".join(lines))
        rules = found["rules of c"]
        assert [rule["expr"][0]["match"]["right"] for rule in rules] == list(NAMES)

    elsewhere(work)
