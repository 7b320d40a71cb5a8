"""What is observed is whole, whatever other network namespaces have."""

from __future__ import annotations

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.executors import ipvs
from svcnet.executors.iptables import choose_variant
from svcnet.executors.ipvs import IPVS, observe
from svcnet.models import ClusterState
from svcnet.netfilter.ipvs.messages import Dest, IPVSService, NewDest, NewService
from svcnet.renderers.ipvs import full
from svcnet.testing import make_service, make_slice
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.keepers import ipvs_keeper

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

SERVICES = 300


def foreign() -> None:
    """Have virtual servers here that are none of svcnet's."""
    messages: list[NewService | NewDest] = []
    for number in range(SERVICES):
        service = IPVSService(f"10.1.{number // 250}.{number % 250 + 1}", 80)
        messages += [NewService(service), NewDest(service, Dest("10.2.0.1", 80))]
    with IPVS() as kernel:
        kernel.send(messages)


def test_no_real_server_is_missed() -> None:
    """All are observed, whatever others have: a look finds nothing to repair."""
    objects = [
        each
        for number in range(SERVICES)
        for each in (
            make_service(f"s{number}", f"10.96.{number // 250}.{number % 250 + 1}"),
            make_slice(f"s{number}", "10.244.1.5"),
        )
    ]
    state = ClusterState.of(objects)
    graph = compile_state(state, node_view(state, family="IPv4"))
    with own_namespace():
        foreign()
        with own_namespace():
            target = ipvs_keeper("IPv4", "legacy")
            target.whole(graph)
            with IPVS() as kernel:
                tables = choose_variant("IPv4", "legacy").observed
                found = observe("IPv4", tables, (), kernel)
            assert len(found.reals) == SERVICES
            assert all(len(reals) == 1 for reals in found.reals.values())
            done = target.look(graph)
            assert (done.kind, done.differed) == ("none", {})
            assert not ipvs.apply(full(graph), variant="legacy").plan.steps
