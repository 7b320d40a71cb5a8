"""A machine goes from one layout of mode iptables to the other in place, under load."""

from __future__ import annotations

from functools import partial

import pytest

from svcnet.executors import iptables as executor
from svcnet.executors.iptables import Variant
from svcnet.models import IPFamily
from svcnet.renderers.iptables import KUBE_PROXY, Layout, full
from tests.kernel.load import under_load
from tests.kernel.netns import Cluster
from tests.kernel.scenarios import ALL
from tests.kernel.switching import Switch, graph_of
from tests.kernel.ways import SPLIT

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize(("family", "variant"), [("IPv4", "nft"), ("IPv6", "legacy")])
def test_a_switch_of_layouts_loses_nothing(
    cluster: Cluster, family: IPFamily, variant: Variant
) -> None:
    """Every connection is served meanwhile, and nothing of the layout before is left."""
    switch = Switch(cluster, family)
    graph = graph_of(family)
    served = {("reply", name) for name in ALL}
    answers: set[tuple[str, ...]] = set()

    def put(layout: Layout) -> None:
        artifact = full(graph, layout=layout)
        cluster.inside("node", partial(executor.apply, artifact, variant=variant))

    switch.clear()
    try:
        put(KUBE_PROXY)
        clean = switch.state()
        with under_load(lambda: answers.update(switch.ask())):
            for _ in range(5):
                put(SPLIT)
                assert "KUBE-FLAT-" in str(switch.state())
                put(KUBE_PROXY)
        assert answers
        assert answers <= served
        assert switch.state() == clean
    finally:
        switch.clear()
