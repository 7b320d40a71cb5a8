"""What a mode says that it does with a packet: it is what its text does, by lines that it has."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, note, settings
from hypothesis import strategies as st

from svcnet import modes
from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, Packet, Pass, Refuse, RuleGraph
from svcnet.graph.evaluate import Verdict
from svcnet.meaning.explanation.account import Account
from svcnet.models import ClusterState, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.modes.iptables.account import chances
from svcnet.modes.nftables.account import chance
from svcnet.renderers import userspace
from svcnet.renderers.iptables import full
from svcnet.testing import make_node, make_service, make_slice
from tests import strategies
from tests.fuzz import examples
from tests.kernel.differences import DIFFERENCES
from tests.renderers import test_meaning, test_nftables_meaning, test_userspace_meaning

MODES = sorted(modes.builtin())


def ends(account: Account) -> dict[Verdict, Fraction]:
    """Return the ends of an account with their chances, without reasons."""
    found: dict[Verdict, Fraction] = {}
    for each in account.passages:
        verdict = each.verdict
        if isinstance(verdict, Refuse):
            verdict = evolve(verdict, reason="")
        found[verdict] = found.get(verdict, Fraction(0)) + each.probability
    return found


def graph_in(mode: modes.AnyMode, objects: list[Any], config: KubeProxyConfiguration) -> RuleGraph:
    view = node_view(ClusterState.of(objects), config, node="node-a", rules=mode.rules(config))
    return compile_state(ClusterState.of(objects), view)


def text_of(mode: modes.AnyMode, artifact: Any) -> str:
    """Return all that the mode writes, with the jumps from the built-in chains."""
    given = {option.name: True for option in mode.options if option.name == "jumps"}
    text: str = mode.forms["text"].full(artifact, given).text
    return text


def wanted(mode: str, graph: RuleGraph, packet: Packet) -> dict[Verdict, Fraction]:
    """Return what other tests have found the text of a mode to mean."""
    if mode == "nftables":
        return test_nftables_meaning.meant(graph, packet)
    return test_meaning.meant(graph, packet)


@pytest.mark.parametrize("name", MODES)
@settings(max_examples=examples(80), deadline=None)
@given(strategies.clusters, strategies.nodes, strategies.configurations, st.data())
def test_an_account_is_what_the_rules_do(
    name: str,
    objects: list[ClusterObject],
    node: Node,
    config: KubeProxyConfiguration,
    data: st.DataObject,
) -> None:
    """Ends and chances are those of the text, and each line of the account is one of the text."""
    mode = modes.get(name)
    graph = graph_in(mode, [*objects, node], config)
    packet = test_meaning.aimed(graph, data)
    note(packet)
    layouts = [mode.settings(), *mode.layouts()]
    artifact = mode.full(graph, data.draw(st.sampled_from(layouts)))
    account = mode.account(artifact, graph, packet)
    assert sum(each.probability for each in account.passages) == 1
    assert sum(each.kernel for each in account.passages) == pytest.approx(1)
    text = text_of(mode, artifact)
    lines = [line for each in account.passages for stage in each.stages for line in stage.lines]
    written = set(text.splitlines())
    note(str(account))
    for tool, line, *_ in lines:
        if tool != "proxy":
            assert line in written, tool
    assert {each.name for each in account.remarks} <= {"", *DIFFERENCES}
    found = ends(account)
    if name in ("iptables", "nftables"):
        assert found == wanted(name, graph, packet)
    elif name == "userspace":
        remarks = {remark.name for remark in account.remarks}
        got = {_end(verdict): share for verdict, share in found.items()}
        table = userspace.full(graph)
        if "node-leaves-for-external-ips" not in remarks:
            meant = test_userspace_meaning.ends(table, evolve(packet, remembered=frozenset()))
            assert set(got) <= set(meant)
            assert packet.remembered or got == meant
    elif not account.remarks:
        assert found == wanted(name, graph, packet)


def _end(verdict: Verdict) -> tuple[str, str, int]:
    match verdict:
        case Deliver(address, port, _):
            return "deliver", address, port
        case Refuse(how, _):
            return how, "", 0
        case _:
            return "pass", "", 0


def chances_of_rules(count: int) -> list[float]:
    """Return the chances of so many endpoints by the rules of their Service."""
    pods = [f"10.244.{n // 250}.{n % 250 + 1}" for n in range(count)]
    objects = [make_node(), make_service("web", "10.96.0.10"), make_slice("web", *pods)]
    graph = graph_in(modes.get("iptables"), objects, KubeProxyConfiguration())
    (block,) = full(graph).blocks.values()
    found = chances(block.writing.balancing, block.chains[0])
    return [found[chain] for chain in block.chain_of_endpoint.values()]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 100, 1000])
def test_chances_of_the_kernel_add_up(count: int) -> None:
    """Whatever is rounded, some endpoint gets the packet, and each nearly its share."""
    of_rules = chances_of_rules(count)
    of_draw = [chance(number, count) for number in range(count)]
    for found in (of_rules, of_draw):
        assert sum(found) == pytest.approx(1)
        assert all(abs(each * count - 1) < 1e-5 for each in found)


def test_chances_of_a_rule_are_those_of_iptables() -> None:
    """A third is written with ten digits, and is 715827883 of 2**31 in the kernel."""
    assert chances_of_rules(3)[0] == 715827883 / (1 << 31)
    assert chances_of_rules(3)[0] == pytest.approx(0.33333333349, abs=1e-11)
    assert chance(0, 3) == 1431655766 / (1 << 32)


@pytest.mark.parametrize("name", MODES)
def test_a_packet_for_nobody_passes(name: str) -> None:
    mode = modes.get(name)
    graph = graph_in(mode, [make_node()], KubeProxyConfiguration())
    account = mode.account(mode.full(graph), graph, Packet("10.244.1.5", "203.0.113.9", 80))
    assert [each.verdict for each in account.passages] == [Pass()]


@pytest.mark.parametrize("name", MODES)
def test_every_stage_of_a_cluster_ip_has_lines(name: str) -> None:
    """The way to an endpoint is told by the lines of each mode."""
    mode = modes.get(name)
    objects = [make_node(), make_service(), make_slice("web", "10.244.1.5@node-a")]
    graph = graph_in(mode, objects, KubeProxyConfiguration())
    account = mode.account(mode.full(graph), graph, Packet("10.244.1.9", "10.96.0.10", 80))
    (only,) = account.passages
    assert isinstance(only.verdict, Deliver)
    assert any(line for stage in only.stages for line in stage.lines)
