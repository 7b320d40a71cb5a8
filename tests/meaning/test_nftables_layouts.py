"""Both layouts of a mode do the same to every packet, and are told of as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from click.testing import CliRunner

from svcnet import modes
from svcnet.cli import main
from svcnet.compiler import node_view
from svcnet.graph import Packet, RuleGraph
from svcnet.meaning import Facts, iptables, nftables, verify
from svcnet.meaning.comparison.diff import rules_diff
from svcnet.meaning.comparison.known import modes_diff
from svcnet.meaning.explanation.machine import MachineQuestion, explain_rules
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.trace import TraceReading
from svcnet.meaning.nftables.ruleset import NFTRuleSet
from svcnet.modes.nftables import NFTABLES
from svcnet.renderers.nftables import Layout, full, text
from svcnet.sources import load
from tests.conftest import ROOT
from tests.test_conformance import case_id, family_of_file
from tests.test_conformance_nftables import EXPECTED, compile_case
from tests.test_live_node import live

LIVE = ROOT / "tests" / "live_node"
LOADED = load([ROOT / "examples/my-service"])
OUTSIDE = Packet("203.0.113.7", "10.96.0.100", 80, interface="eth0")


def rules_of(graph: RuleGraph, layout: Layout) -> NFTRuleSet:
    return nftables.read(text(full(graph, layout=layout)), Facts.of(graph.settings))


def question(layout: Layout) -> Question:
    settings = NFTABLES.settings(given={"layout": layout})
    return Question(
        LOADED.state,
        node_view(LOADED.state, rules=settings.rules),
        modes.get("nftables"),
        settings,
        locate=LOADED.places,
    )


@pytest.mark.parametrize("expected", EXPECTED, ids=case_id)
def test_each_case_means_the_same_in_both(expected: Path) -> None:
    """No packet of any case ends otherwise by elements and buckets than by kube-proxy's chains."""
    graph = compile_case(expected.parent, family_of_file(expected))
    assert not rules_diff(rules_of(graph, "kube-proxy"), rules_of(graph, "flat"))


def test_no_mode_differs_from_itself() -> None:
    """``svcnet diff --to-mode`` finds nothing between two layouts of a mode."""
    found = modes_diff(question("kube-proxy"), question("flat"))
    assert not found
    assert found.cells > 50


def test_a_machine_may_have_some_of_each() -> None:
    """A switch half done leaves elements of both layouts: as long as each leads somewhere right."""
    graph = live("nftables", "IPv4")
    flat, other = (
        text(full(graph, layout=each)).splitlines(True) for each in ("flat", "kube-proxy")
    )
    chains = [line for line in other if line not in set(flat) and line.startswith("add chain ")]
    rules = [line for line in other if line not in set(flat) and line.startswith("add rule ")]
    old = {line.partition(" : ")[0]: line for line in other}
    led = [line for line in flat if "service-ips { " in line and line not in other][1:4]
    lines = [line for line in flat if line not in led] + chains + rules
    lines += [old[line.partition(" : ")[0]] for line in led]
    assert len(led) == 3
    found = verify(graph, nftables.read("".join(lines), Facts.of(graph.settings)))
    assert (found.differences, found.unknown) == ((), ())


def test_a_wrong_element_is_told_with_its_service() -> None:
    """What differs is told with the field, and with the element in the dump, or what led there."""
    graph = live("nftables", "IPv4")
    listing = (LIVE / "nft-flat.txt").read_text()
    facts = Facts.of(graph.settings)
    right = "10.96.36.164 . 80 . 1 : 10.244.1.2 . 9376"
    assert right in listing
    wrong = listing.replace(right, "10.96.36.164 . 80 . 1 : 10.244.9.9 . 9376")
    (found,) = verify(graph, nftables.read(wrong, facts, file="dump")).differences
    assert (found.kind, found.field and found.field.path) == (
        "wrong endpoint",
        "endpoints[1].addresses[0]",
    )
    assert found.service_port is not None
    assert found.service_port.name == "web"
    assert [each.chain for each in found.rules] == ["@service-endpoints-tcp"]
    led = listing.replace(
        "10.96.36.164 . tcp . 80 : goto cluster-tcp-4",
        "10.96.36.164 . tcp . 80 : goto cluster-tcp-2",
    )
    (found,) = verify(graph, nftables.read(led, facts, file="dump")).differences
    assert found.kind == "missing endpoint"
    assert [each.chain for each in found.rules] == ["@service-ips", "cluster-tcp-2"]


@pytest.mark.parametrize("asked", ["kube-proxy", "flat"])
@pytest.mark.parametrize("there", ["kube-proxy", "flat"])
def test_rules_of_any_layout_are_explained(there: Layout, asked: Layout) -> None:
    """Whatever layout a machine has, its elements and chains are told with Service and field."""
    objects = question(asked)
    rules = rules_of(objects.graph, there)
    found = explain_rules(MachineQuestion(rules, ("dump",), objects), OUTSIDE)
    assert found.wanted == ()
    for end in found.outcomes:
        told = [step.decision for step in end.steps if step.origin is not None]
        assert told[0] == "10.96.0.100:80 leads to default/my-service:http"
        assert any("endpoints of default/my-service:http" in each for each in told)
        assert not any("which these objects do not ask for" in step.decision for step in end.steps)
    fields = {step.origin.path for step in found.outcomes[0].steps if step.origin is not None}
    assert "spec.clusterIPs[0]" in fields
    assert there == "kube-proxy" or "endpoints[0].addresses[0]" in fields


def test_rules_of_iptables_in_any_layout_are_explained() -> None:
    """Trees of the flat layout are no rules that the objects do not ask for."""
    mode = modes.get("iptables")
    flat, plain = (mode.settings(given={"layout": each}) for each in ("flat", "kube-proxy"))
    asked = Question(LOADED.state, node_view(LOADED.state), mode, plain, locate=LOADED.places)
    written = mode.forms["text"].full(mode.full(asked.graph, flat), {"jumps": True}).text
    rules = iptables.read(written, Facts.of(asked.graph.settings))
    assert not verify(asked.graph, rules).differences
    found = explain_rules(MachineQuestion(rules, ("dump",), asked), OUTSIDE)
    told = [step.decision for end in found.outcomes for step in end.steps]
    assert told
    assert not any("which these objects do not ask for" in each for each in told)


def test_a_map_that_grows_is_explained() -> None:
    """While a map gets more room rules look into another one, which has its size in its name."""
    objects = question("flat")
    written = text(full(objects.graph, layout="flat")).replace(
        "service-endpoints-tcp", "service-endpoints-tcp-2048"
    )
    rules = nftables.read(written, Facts.of(objects.graph.settings))
    assert not verify(objects.graph, rules).differences
    found = explain_rules(MachineQuestion(rules, ("dump",), objects), OUTSIDE)
    told = [step.decision for end in found.outcomes for step in end.steps]
    assert "the endpoint 10.244.1.5:9376 of default/my-service:http" in told
    assert not any("which these objects do not ask for" in each for each in told)


def test_the_command_explains_the_layout_that_is_asked_for() -> None:
    """The lines of an explanation are those that ``svcnet render`` prints with the same options."""
    options = [str(ROOT / "examples/my-service"), "--mode", "nftables", "--layout", "flat"]
    written = CliRunner().invoke(main, ["render", *options]).stdout.splitlines()
    found = CliRunner().invoke(main, ["explain", *options, "--to", "10.96.0.100:80"]).stdout
    lines = [line.partition("nft  ")[2] for line in found.splitlines() if "nft  " in line]
    assert set(lines) <= set(written)
    element = "{ 10.96.0.100 . 80 . 2 : 10.244.2.6 . 9376 }"
    assert f"add element ip kube-proxy service-endpoints-tcp {element}" in lines


def test_a_trace_of_shared_chains_tells_whose_packet_it_is() -> None:
    """Rules of buckets name no Service: it is that of the destination which the trace told."""
    lines = (Path(__file__).parent / "traces/nft-monitor-flat.txt").read_text().splitlines()
    reading = TraceReading(question("kube-proxy"))
    told = [reading.read(line) for line in lines]
    shared = [each for each in told if "cluster-tcp-3" in each.text]
    assert [each.told for each in shared] == [
        "10.96.0.100:80 leads to default/my-service:http",
        "one of 3 endpoints of default/my-service:http",
        "10.96.0.100:443 leads to default/my-service:https",
        "one of 3 endpoints of default/my-service:https",
    ]
    assert all(each.place is not None for each in shared)
    alone = TraceReading(question("kube-proxy")).read(shared[1].text)
    assert (alone.service, alone.told) == (None, "a rule for packets of all Services")


def test_the_settings_of_layouts_are_all_but_the_given() -> None:
    """Each layout has the other one, and nothing else changes."""
    flat = NFTABLES.settings(given={"layout": "flat", "table": "other"})
    (other,) = NFTABLES.layouts(flat)
    assert other == evolve(flat, given={"layout": "kube-proxy", "table": "other"})
    assert [each.given["layout"] for each in NFTABLES.layouts()] == ["flat"]
