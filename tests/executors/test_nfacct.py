"""Counters of the kernel, on a machine that is none."""

from __future__ import annotations

import pytest

from svcnet.errors import ApplyError
from svcnet.executors import iptables, nfacct
from svcnet.executors.iptables.counting import can_count
from svcnet.graph import NodeSettings, RuleGraph
from svcnet.renderers.iptables import full
from svcnet.renderers.iptables.names import COUNTERS, INVALID_DROPPED
from svcnet.testing import FakeMachine


def test_counters_come_and_go_with_rules() -> None:
    """They are made before rules that count in them, and removed when none does."""
    machine = FakeMachine()
    iptables.apply(full(RuleGraph(NodeSettings("IPv4", nfacct=True))), machine=machine)
    assert set(machine.kernel.counters) == set(COUNTERS)
    machine.kernel.counters[INVALID_DROPPED] = 3
    nfacct.ensure(COUNTERS, machine=machine)
    assert nfacct.packets(INVALID_DROPPED, machine=machine) == 3
    assert INVALID_DROPPED not in nfacct.remove(COUNTERS, machine=machine)
    iptables.cleanup("IPv4", machine=machine)
    assert not machine.kernel.counters
    assert nfacct.packets(INVALID_DROPPED, machine=machine) is None


def test_who_may_not_ask() -> None:
    """Without the right there are no counters, and to make one is an error."""
    machine = FakeMachine()
    machine.capabilities.discard("CAP_NET_ADMIN")
    assert not can_count(machine=machine)
    with pytest.raises(ApplyError, match="counter"):
        nfacct.ensure(COUNTERS, machine=machine)
    assert nfacct.remove(COUNTERS, machine=machine) == ()
