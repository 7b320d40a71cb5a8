"""Counters of the kernel that rules of iptables count in (nfacct), on a real kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.executors import iptables, nfacct
from svcnet.executors.iptables import counting
from svcnet.executors.iptables.commands import Commands, Variant
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.family import IP_FAMILIES
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState, Host, IPFamily, ServicePort
from svcnet.renderers.iptables import full
from svcnet.renderers.iptables.names import COUNTERS, LOCALHOST_ACCEPTED
from svcnet.testing import make_node, make_service, make_slice
from tests.kernel.ipvs.netlink import own_namespace

pytestmark = pytest.mark.kernel

VARIANTS: tuple[Variant, ...] = ("nft", "legacy")


@pytest.fixture(autouse=True)
def a_namespace() -> Iterator[None]:
    with own_namespace():
        if why := counting.lack(machine=THIS_MACHINE):
            pytest.skip(why)
        yield


def graph_of(family: IPFamily = "IPv4", *, nfacct: bool = True) -> RuleGraph:
    six = family == "IPv6"
    web = make_service(
        "web",
        "fd00:10:96::10" if six else "10.96.0.10",
        type="NodePort",
        ports=(ServicePort(80, "http", target_port=8080, node_port=30080),),
    )
    ends = make_slice("web", "fd00:10:244::5" if six else "10.244.1.5")
    state = ClusterState.of([make_node("node-a", "192.0.2.10", "2001:db8::10"), web, ends])
    return compile_state(state, node_view(state, host=Host(nfacct=nfacct), family=family))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_rules_that_count_are_written_once(family: IPFamily, variant: Variant) -> None:
    """Counters come before rules, what is there is told as it was written, and all goes again."""
    text = full(graph_of(family))
    assert iptables.apply(text, variant=variant, machine=THIS_MACHINE).plan.kind == "full"
    assert all(nfacct.packets(name, machine=THIS_MACHINE) == 0 for name in COUNTERS)
    again = iptables.apply(text, variant=variant, machine=THIS_MACHINE)
    assert again.plan.kind == "none"
    lines = iptables.cleanup(family, variant, machine=THIS_MACHINE)
    assert lines[-1] == "nfacct: 2 counters removed"
    assert nfacct.packets(LOCALHOST_ACCEPTED, machine=THIS_MACHINE) is None


def test_counters_in_use_stay() -> None:
    """What rules of one family leave, those of the other may count in yet."""
    for family in IP_FAMILIES:
        iptables.apply(full(graph_of(family)), variant="nft", machine=THIS_MACHINE)
    assert not any("nfacct" in line for line in iptables.cleanup("IPv6", machine=THIS_MACHINE))
    assert nfacct.packets(LOCALHOST_ACCEPTED, machine=THIS_MACHINE) == 0


def test_a_node_that_begins_to_count() -> None:
    """Rules without counters become those with, and back, by what differs."""
    machine = THIS_MACHINE
    for counts in (False, True, False):
        report = iptables.apply(full(graph_of(nfacct=counts)), variant="nft", machine=machine)
        assert report.plan.kind != "none"
        saved = Commands("IPv4", "nft", machine).save()
        assert (saved.count("--nfacct-name") == 2) == counts
