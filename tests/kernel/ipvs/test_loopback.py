"""A neighbour never gets to this host's loopback, on the way to IPVS mode and away from it."""

from __future__ import annotations

import pytest

from svcnet.executors import ipvs
from svcnet.executors.iptables import apply, cleanup
from svcnet.reconciler.leftovers import remove_leftovers
from svcnet.renderers.iptables import full
from svcnet.renderers.ipvs import full as full_ipvs
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.keepers import executor_of
from tests.kernel.neighbours import SETTING, neighbour
from tests.kernel.reconciler.test_drift import graph_of

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]


def test_modes_come_and_go() -> None:
    """What keeps neighbours off is there after every step, as long as the setting is."""
    graph = graph_of("IPv4")
    with own_namespace(), neighbour() as other:
        executor = executor_of("ipvs", "legacy")
        for step in (
            lambda: apply(full(graph), variant="legacy"),
            lambda: executor.apply(full_ipvs(graph)),
            lambda: remove_leftovers(executor, "IPv4"),
            lambda: apply(full(graph), variant="legacy"),
            lambda: remove_leftovers(executor_of("iptables", "legacy"), "IPv4"),
            lambda: executor.apply(full_ipvs(graph)),
            lambda: ipvs.cleanup("IPv4"),
            lambda: cleanup("IPv4"),
        ):
            step()
            assert SETTING.read_text() == "1\n"
            assert not other.reaches_loopback()
        SETTING.write_text("0")
        assert cleanup("IPv4") == ("iptables-legacy: 1 chain of table filter removed",)
