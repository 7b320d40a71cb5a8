"""Tables that are written by netlink are those that nft makes of their text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from svcnet.errors import ApplyError
from svcnet.executors import nftables
from svcnet.executors.nftables.writer import NFTWriter
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.graph import diff
from svcnet.models import KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.renderers.nftables import Ruleset, advance, full, text
from tests.fuzz import examples
from tests.kernel.test_nftables import Listed, listed, load, made_by
from tests.kernel.test_twice import elsewhere
from tests.renderers.test_nftables import graph_of, histories
from tests.test_conformance import CASES, family_of_file
from tests.test_conformance_nftables import EXPECTED, SECOND, compile_case

pytestmark = pytest.mark.kernel

TAKEN = "ip kube-proxy service-endpoints-tcp"


def applied(ruleset: Ruleset, writer: NFTWriter) -> Listed:
    """Return what the kernel has after an apply to a machine without a table."""
    load("flush ruleset")
    report = nftables.apply(ruleset, writer=writer)
    assert report.plan.by_netlink == sum(ruleset.counts.values())
    return listed()


def test_cases_load() -> None:
    """Of each case the same as by nft."""

    def work() -> None:
        writer = NFTWriter(THIS_MACHINE)
        for expected in EXPECTED[1::8]:
            graph = compile_case(expected.parent, family_of_file(expected))
            ruleset = full(graph, layout="flat")
            assert applied(ruleset, writer) == made_by(text(ruleset))

    elsewhere(work)


def test_steps() -> None:
    """There and back, by netlink if all of a step can be written so, and else by nft."""
    ways = []

    def work() -> None:
        writer = NFTWriter(THIS_MACHINE)
        for expected in SECOND:
            case, family = expected.parent, family_of_file(expected)
            graphs = [compile_case(case, family, f"objects{n}.yaml") for n in ("", ".second")]
            for before, after in (graphs, graphs[::-1]):
                ruleset = full(before, layout="flat")
                applied(ruleset, writer)
                ruleset, delta = advance(ruleset, diff(before, after))
                done = writer.step(delta, ruleset, ruleset.origin_of_line)
                ways.append(done is not None)
                if done is None:
                    nftables.apply_step(delta, ruleset.origin_of_line, machine=THIS_MACHINE)
                assert listed() == made_by(text(ruleset))

    elsewhere(work)
    assert ways.count(True) > ways.count(False)


def test_random_steps() -> None:
    """Services that share addresses come and go, and the node's settings change."""

    @settings(
        max_examples=examples(8),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )
    @given(histories)
    def stepped(
        history: list[tuple[list[ClusterObject], Node, KubeProxyConfiguration]],
    ) -> None:
        writer = NFTWriter(THIS_MACHINE)
        graphs = [graph_of([*objects, node], config) for objects, node, config in history]
        ruleset = full(graphs[0], layout="flat")
        applied(ruleset, writer)
        for before, after in pairwise(graphs):
            ruleset, delta = advance(ruleset, diff(before, after))
            if writer.step(delta, ruleset, ruleset.origin_of_line) is None:
                nftables.apply_step(delta, ruleset.origin_of_line, machine=THIS_MACHINE)
        assert listed() == made_by(text(ruleset))

    elsewhere(stepped)


def test_a_refusal_names_the_service() -> None:
    """Of a row that the kernel does not take it says which endpoint, and where that is from."""

    def work() -> None:
        writer = NFTWriter(THIS_MACHINE)
        case = CASES / "then-clusterip-changed"
        first, second = (compile_case(case, "IPv4", f"objects{n}.yaml") for n in ("", ".second"))
        ruleset = full(first, layout="flat")
        applied(ruleset, writer)
        load(f"add element {TAKEN} {{ 10.96.0.77 . 81 . 1 : 192.0.2.77 . 7 }}\n")
        before = listed()
        after, delta = advance(ruleset, diff(first, second))
        with pytest.raises(ApplyError) as problem:
            writer.step(delta, after, after.origin_of_line)
        told = str(problem.value)
        assert f"refused: add element {TAKEN} {{ 10.96.0.77 . 81 . 1 : 10.244." in told
        assert "(from " in told
        assert "EndpointSlice" in told
        assert listed() == before

    elsewhere(work)
