"""What is kept of graphs for entries of connection tracking."""

from __future__ import annotations

import gc
import weakref

from svcnet.compiler import compile_state, node_view
from svcnet.graph import RuleGraph, diff
from svcnet.models import ClusterState
from svcnet.reconciler import StaleFlows
from svcnet.testing import FakeMachine, make_service, make_slice


def graph(*addresses: str) -> RuleGraph:
    state = ClusterState.of([make_service(), make_slice("web", *addresses)])
    return compile_state(state, node_view(state, family="IPv4"))


def test_a_graph_is_let_go_once_others_followed_that_differ_in_no_udp() -> None:
    flows = StaleFlows(FakeMachine())
    first, second = graph("10.244.1.5"), graph("10.244.1.6")
    flows.clean(first)
    flows.note(diff(first, second))
    is_there = weakref.ref(first)
    del first
    gc.collect()
    assert is_there() is None
