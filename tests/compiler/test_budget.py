"""What Services may ask of a node: who is left out, and that nothing asks for more than it says."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.family import IP_FAMILIES
from svcnet.graph import RuleGraph
from svcnet.models import (
    Budget,
    ClusterState,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    LoadBalancerIngress,
    NamespacedName,
    Node,
    Service,
    ServicePort,
)
from svcnet.models.budget import entries, most_entries, named_ports
from svcnet.models.state import ClusterObject
from svcnet.renderers import iptables, ipvs, userspace
from svcnet.testing import make_node, make_service, make_slice
from tests import strategies
from tests.compiler.test_replay import Replay, steps

SMALL = Budget(service=12, node=10)
LINES = 8
"""No mode writes more lines than this for an entry."""


def large(
    ports: int, endpoints: int, *, addresses: int = 0, ranges: int = 0, balancers: int = 0
) -> list[ClusterObject]:
    """Return a Service with so many of everything, and its slices."""
    names = [f"p{n}" for n in range(ports)]
    service = make_service(
        "large",
        type="LoadBalancer",
        ports=tuple(ServicePort(n + 1, name) for n, name in enumerate(names)),
        external_ips=tuple(f"203.0.{n // 250}.{n % 250 + 1}" for n in range(addresses)),
        load_balancer_source_ranges=tuple(f"20.{n // 250}.{n % 250}.0/24" for n in range(ranges)),
        load_balancer_ingress=tuple(
            LoadBalancerIngress(f"203.1.{n // 250}.{n % 250 + 1}") for n in range(balancers)
        ),
    )
    made = EndpointSlice(
        namespace=service.namespace,
        name="large-1",
        service_name="large",
        ports=tuple(EndpointPort(n + 1, name) for n, name in enumerate(names)),
        endpoints=tuple(Endpoint((f"10.9.{n // 250}.{n % 250 + 1}",)) for n in range(endpoints)),
    )
    return [service, made]


def compiled(objects: Sequence[ClusterObject], budget: Budget | None = None) -> RuleGraph:
    state = ClusterState.of([make_node(), *objects])
    return compile_state(state, evolve(node_view(state), budget=budget or Budget()))


@pytest.mark.parametrize(
    ("ports", "endpoints", "others"),
    [
        (1, 5000, {"addresses": 2, "balancers": 2}),
        (3, 5000, {"addresses": 2, "balancers": 2}),
        (100, 100, {"addresses": 2, "balancers": 2}),
        (1, 25000, {"balancers": 1}),
        (20, 5, {"balancers": 2, "ranges": 1000}),
    ],
)
def test_large_services_are_served(ports: int, endpoints: int, others: dict[str, int]) -> None:
    """What large clusters have is within the budget."""
    graph = compiled(large(ports, endpoints, **others))
    assert not graph.left_out
    assert len(graph.fragments) == ports


@pytest.mark.parametrize(
    "objects",
    [
        large(1000, 1000),
        large(1000, 0, addresses=1000),
        large(1000, 0, ranges=1000, balancers=1),
        large(50, 0, ranges=1000, balancers=50),
        large(1, 1000, addresses=1000),
    ],
    ids=["endpoints", "addresses", "ranges", "ranges and balancers", "addresses and endpoints"],
)
def test_a_product_is_left_out_before_it_is_made(objects: list[ClusterObject]) -> None:
    """A small object that asks for a million entries costs nothing; others are served."""
    state = ClusterState.of([make_node(), *objects, make_service("web", "10.96.0.7")])
    view = node_view(state)
    tracemalloc.start()
    try:
        graph = compile_state(state, view)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert {name.name for name in graph.fragments} == {"web"}
    assert set(graph.left_out) == {("shop", "large")}
    assert "100,000 entries" in graph.left_out["shop", "large"]


def test_the_largest_make_room_for_the_small() -> None:
    """A node that is asked for too much leaves out the largest, and of equals the last."""
    objects: list[ClusterObject] = [
        *(make_service(name, f"10.96.0.{n + 1}") for n, name in enumerate("abcd")),
        make_slice("a", "10.9.0.1"),
        make_slice("b", *(f"10.9.0.{n}" for n in range(1, 6))),
        make_slice("c", *(f"10.9.0.{n}" for n in range(1, 6))),
        make_slice("d", *(f"10.9.0.{n}" for n in range(1, 5))),
    ]
    assert not compiled(objects, Budget(10, 15)).left_out
    assert [name for _, name in compiled(objects, Budget(10, 14)).left_out] == ["c"]
    left_out = compiled(objects, Budget(10, 9)).left_out
    assert sorted(name for _, name in left_out) == ["b", "c"]
    assert "largest" in left_out["shop", "b"]


@settings(max_examples=150, deadline=None)
@given(steps)
def test_any_history_leaves_out_the_same(
    history: list[tuple[list[ClusterObject], list[int]]],
) -> None:
    """Who is left out follows from the state, and so do the rules of all others."""
    view = node_view(ClusterState.of([make_node()]))
    replay = Replay(evolve(view, budget=SMALL))
    for changed, indexes in history:
        present = list(replay.state)
        removed = [present[i % len(present)] for i in indexes if present]
        replay.step(changed, removed)
        replay.check()
        cold = compile_state(ClusterState.of(replay.state), replay.view)
        assert replay.graph.left_out == cold.left_out
        assert replay.graph.entry_count == cold.entry_count
        sizes = sizes_of(replay.state)
        check_bounds(replay.state)
        served = {NamespacedName(*name[:2]) for name in replay.graph.fragments}
        assert sum(sizes[name] for name in served) <= SMALL.node
        crowded = [sizes[n] for n in sizes if n in cold.left_out and sizes[n] <= SMALL.service]
        assert all(sizes[name] <= size for name in served for size in crowded)


def sizes_of(state: ClusterState) -> dict[NamespacedName, int]:
    found = state.services.items()
    return {name: entries(service, state.slices_of(name), "IPv4") for name, service in found}


def check_bounds(state: ClusterState) -> None:
    """Check that the number that is cheap to count is never below those that are not."""
    for name, service in state.services.items():
        found = state.slices_of(name)
        most = most_entries(service, found)
        assert most >= max(entries(service, found, family) for family in IP_FAMILIES)
        assert most >= named_ports(found)


def lines(text: Callable[[RuleGraph], str], graph: RuleGraph) -> int:
    """Return how many lines a text has more than that of a node without Services."""
    return text(graph).count("\n") - text(RuleGraph(graph.settings)).count("\n")


numbers = st.sampled_from((0, 1, 2, 30))


@settings(max_examples=80, deadline=None)
@given(numbers, numbers, numbers, numbers, numbers, strategies.configurations)
def test_no_mode_makes_more_of_a_service_than_it_asks_for(
    ports: int, endpoints: int, addresses: int, ranges: int, balancers: int, config: object
) -> None:
    """Whatever a Service has many of, each mode's rules are within its entries."""
    made = large(ports + 1, endpoints, addresses=addresses, ranges=ranges, balancers=balancers)
    state = ClusterState.of([Node("node-a", ("192.0.2.10",)), *made])
    graph = compile_state(state, node_view(state, config))  # type: ignore[arg-type]
    service, slice_ = made
    assert isinstance(service, Service)
    assert isinstance(slice_, EndpointSlice)
    asked = entries(service, [slice_], "IPv4")
    check_bounds(state)
    assert lines(lambda one: iptables.full(one).text, graph) <= LINES * asked
    assert lines(lambda one: ipvs.text(ipvs.full(one)), graph) <= LINES * asked
    assert lines(lambda one: userspace.text(userspace.full(one)), graph) <= LINES * asked
