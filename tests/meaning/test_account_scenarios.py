"""What modes say that they do with packets is what packets were seen to meet.

The table is that of the kernel tests, which send its packets.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve, frozen

from svcnet import modes
from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, Packet, Pass, Refuse
from svcnet.graph.evaluate import Verdict
from svcnet.models import ClusterState, IPFamily
from svcnet.testing import make_node
from tests.kernel.netns import ENDPOINTS, HOST, NODE, PLACES
from tests.kernel.scenarios import SCENARIOS, Change, Expected, Probe, Reach, Scenario

NODE_NAME = "node-a"
OUTSIDE_OF_RULES = {
    "input-rules-apply",
    "input-rules-apply-to-proxy-ports",
    "health-check-ports-stay-closed",
}
"""Differences that come of other rules of the host."""


@frozen
class Try:
    """One probe of a scenario, and what it meets in a mode."""

    state: ClusterState
    packet: Packet
    expected: Expected


def tries(scenario: Scenario, family: IPFamily, mode: str) -> Iterator[Try]:
    node = make_node(NODE_NAME, NODE.v4, NODE.v6, zone=scenario.zone)
    state = ClusterState.of((*scenario.objects, node))
    for step in scenario.steps:
        if isinstance(step, Change):
            state = state.apply(step.objects)
        if not isinstance(step, Probe):
            continue
        place = PLACES[step.source]
        source, destination = place.addresses[0].of(family), step.destination.of(family)
        if modes.get(mode).has_addresses and not place.bound:
            source = destination  # the kernel's choice, as the address is the node's own
        packet = Packet(
            source,
            destination,
            step.port,
            step.protocol,
            place.interface,
        )
        expected = step.expected
        differs = next((each for each in step.differs if each.mode == mode), None)
        if differs is not None and differs.name in OUTSIDE_OF_RULES:
            continue
        yield Try(state, packet, differs.expected if differs else expected)


def words(verdict: Verdict, packet: Packet, family: IPFamily, mode: str) -> str | Reach:
    match verdict:
        case Deliver(address, port, masquerade):
            names = [name for name, own in ENDPOINTS.items() if own.of(family) == address]
            return Reach(names[0], port, masquerade and mode != "userspace")
        case Refuse(how):
            return "refused" if how == "reject" else "dropped"
        case Pass():
            return "untouched"


def spelled_out(expected: Expected) -> set[str | Reach]:
    return {expected} if isinstance(expected, str) else set(expected)


def as_told(word: str | Reach, mode: str) -> str | Reach:
    """Return a word of the table as accounts can have it: they end where rules do."""
    if not isinstance(word, Reach):
        return word
    if word.endpoint not in ENDPOINTS:
        return "untouched"
    return evolve(word, masquerade=word.masquerade and mode != "userspace")


@pytest.mark.parametrize("name", sorted(modes.builtin()))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_an_account_is_what_packets_meet(scenario: Scenario, name: str) -> None:
    """In both families, for each probe that no rule of the host's own decides."""
    mode = modes.get(name)
    if scenario.closed or (name == "userspace" and "SCTP" in scenario.protocols):
        return
    for family in scenario.families:
        for each in tries(scenario, family, name):
            rules = mode.rules(scenario.config)
            view = node_view(
                each.state, scenario.config, HOST, node=NODE_NAME, family=family, rules=rules
            )
            graph = compile_state(each.state, view)
            account = mode.account(mode.full(graph), graph, each.packet)
            found = {words(one.verdict, each.packet, family, name) for one in account.passages}
            wanted = {as_told(word, name) for word in spelled_out(each.expected)}
            if found == {"untouched"} and wanted & {"refused"} and account.remarks:
                continue  # who else refuses it is the host, which nobody listens on
            assert found == wanted, (each.packet, account.remarks)
