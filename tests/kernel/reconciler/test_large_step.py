"""A step of many service ports, which is cut into transactions."""

from __future__ import annotations

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.executors.iptables import Variant
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState
from svcnet.testing import make_service, make_slice
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.keepers import iptables_keeper

pytestmark = pytest.mark.kernel

SERVICES = 230


def graph(services: range, endpoints: int) -> RuleGraph:
    """Return the graph of numbered Services, each with so many endpoints."""
    state = ClusterState.of(
        item
        for n in services
        for item in (
            make_service(f"s{n}", f"10.96.{n // 200}.{n % 200 + 1}"),
            make_slice(f"s{n}", *(f"10.244.{n}.{end + 1}" for end in range(endpoints))),
        )
    )
    return compile_state(state, node_view(state))


def rules(variant: Variant) -> list[str]:
    """Return what is in the tables, whatever the order of rules in shared chains."""
    lines = run(f"iptables-{variant}-save").splitlines()
    return sorted(line.partition(" [")[0] for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_many_changes_are_one_step(variant: Variant) -> None:
    """Changed, new and removed Services by the hundred end as they do on a clean machine."""
    before, after = graph(range(SERVICES), 3), graph(range(20, SERVICES + 20), 2)
    with own_namespace():
        iptables_keeper("IPv4", variant).whole(after)
        clean = rules(variant)
    with own_namespace():
        target = iptables_keeper("IPv4", variant)
        target.whole(before)
        assert target.step(after, None).kind == "delta"
        assert rules(variant) == clean
        assert target.look(after).kind == "none"
