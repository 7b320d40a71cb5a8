"""Hints by the CPUs of zones: what the annotation topology-mode asks the controller for."""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import Any

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from svcnet.discovery.endpoints import Selections, reconcile
from svcnet.discovery.endpoints.topology import asks_for_hints
from svcnet.models import ClusterState, EndpointSlice, Node, Pod, Service
from svcnet.testing import make_node, make_pod, make_service

AUTO = {"service.kubernetes.io/topology-mode": "Auto"}
SERVICE = make_service(selector={"app": "web"}, annotations=AUTO, cluster_ips=("10.96.0.10",))
ZONES = ("za", "zb", "zc")


def nodes_of(*cpus: int, **fields: Any) -> dict[str, Node]:
    """Return a Node in each zone with so many CPUs."""
    return {
        f"node-{zone}": make_node(f"node-{zone}", zone=zone, ready=True, cpu=1000 * cpu, **fields)
        for zone, cpu in zip(ZONES, cpus, strict=False)
    }


def pods_in(*numbers: int) -> list[Pod]:
    """Return so many Pods on the Node of each zone."""
    return [
        make_pod(f"{zone}-{n}", f"10.244.{place}.{n + 1}", node_name=f"node-{zone}")
        for place, (zone, number) in enumerate(zip(ZONES, numbers, strict=False))
        for n in range(number)
    ]


def hints(slices: tuple[EndpointSlice, ...]) -> Counter[tuple[str, ...]]:
    return Counter(endpoint.zone_hints for item in slices for endpoint in item.endpoints)


@pytest.mark.parametrize(
    ("cpus", "pods", "expected"),
    [
        # As many as the zone's share of the CPUs: each keeps its own.
        ((2, 2), (3, 3), {("za",): 3, ("zb",): 3}),
        # Six of eight in one of two equal zones: it gives away what it has more than its share.
        ((2, 2), (6, 2), {("za",): 4, ("zb",): 4}),
        # Five for two equal zones: one of them would have a fifth more than its share.
        ((2, 2), (4, 1), {(): 5}),
        # A zone without endpoints gets its share of those of others.
        ((2, 2, 2), (6, 0, 0), {("za",): 2, ("zb",): 2, ("zc",): 2}),
        # Three quarters of the CPUs, three quarters of the endpoints.
        ((3, 1), (4, 4), {("za",): 6, ("zb",): 2}),
        # Fewer endpoints than zones, or a share that would be exceeded by a fifth: no hints.
        ((2, 2, 2), (1, 1, 0), {(): 2}),
        ((9, 1), (1, 1), {(): 2}),
        # One zone alone.
        ((2,), (3,), {(): 3}),
    ],
)
def test_shares(
    cpus: tuple[int, ...], pods: tuple[int, ...], expected: dict[tuple[str, ...], int]
) -> None:
    """Endpoints are hinted for their own zone, but for those that others lack."""
    assert hints(reconcile(SERVICE, pods_in(*pods), nodes_of(*cpus))) == expected


@pytest.mark.parametrize(
    "broken",
    [
        {"node-zb": make_node("node-zb", zone="zb", ready=True)},
        {"node-zb": make_node("node-zb", ready=True, cpu=2000)},
        {"node-zb": make_node("node-zb", zone="zb", cpu=2000)},
        {
            "node-zb": make_node("node-zb", ready=True, cpu=2000)
            and Node(
                "node-zb",
                labels={
                    "topology.kubernetes.io/zone": "zb",
                    "node-role.kubernetes.io/control-plane": "",
                },
                ready=True,
                cpu=2000,
            )
        },
    ],
    ids=["no CPUs told", "no zone", "not ready", "of the control plane"],
)
def test_nodes_that_do_not_tell(broken: dict[str, Node]) -> None:
    """Without the CPUs and zones of all nodes that count, or with one zone, there are no hints."""
    slices = reconcile(SERVICE, pods_in(3, 3), nodes_of(2, 2) | broken)
    assert hints(slices) == {(): 6}


def test_the_old_annotation_wins() -> None:
    """The older annotation counts where both are there, and any word but Auto turns hints off."""
    old = "service.kubernetes.io/topology-aware-hints"
    assert asks_for_hints(make_service(annotations={old: "auto"}))
    assert not asks_for_hints(make_service(annotations={old: "disabled", **AUTO}))
    assert not asks_for_hints(make_service(annotations={old: "AUTO"}))


def test_hints_that_are_good_enough_stay() -> None:
    """A slice that nothing changes stays the same object until a zone has more than it may."""
    slices = reconcile(SERVICE, pods_in(3, 3), nodes_of(2, 2))
    assert reconcile(SERVICE, pods_in(3, 3), nodes_of(2, 2), slices)[0] is slices[0]
    # A little more in one zone is no reason to move anybody.
    assert reconcile(SERVICE, pods_in(3, 3), nodes_of(21, 20), slices)[0] is slices[0]
    moved = reconcile(SERVICE, pods_in(3, 3), nodes_of(5, 1), slices)
    assert hints(moved) == {("za",): 5, ("zb",): 1}


def test_hints_go_with_the_annotation() -> None:
    """Without it, and for trafficDistribution, slices are as if it had never been there."""
    slices = reconcile(SERVICE, pods_in(4, 2), nodes_of(2, 2))
    plain: Service = evolve(SERVICE, annotations={})
    for service in (plain, evolve(plain, traffic_distribution="PreferClose")):
        anew = reconcile(service, pods_in(4, 2), nodes_of(2, 2))
        assert reconcile(service, pods_in(4, 2), nodes_of(2, 2), slices) == anew


def test_a_change_of_nodes_is_followed() -> None:
    """More CPUs in one zone, or a node that is ready no more, change the hints at once."""
    nodes = nodes_of(2, 2)
    found = Selections.of(ClusterState.of([SERVICE, *pods_in(3, 3), *nodes.values()]))

    def now(at: Selections) -> Counter[tuple[str, ...]]:
        return hints(tuple(item for item in at.state if isinstance(item, EndpointSlice)))

    assert now(found) == {("za",): 3, ("zb",): 3}
    found, _ = found.apply([evolve(nodes["node-za"], cpu=10_000)])
    assert now(found) == {("za",): 5, ("zb",): 1}
    found, _ = found.apply([evolve(nodes["node-zb"], ready=False)])
    assert now(found) == {(): 6}


@given(
    st.lists(st.integers(1, 8), min_size=2, max_size=3),
    st.lists(st.integers(0, 9), min_size=3, max_size=3),
)
@example([1, 1, 3], [0, 0, 6])
def test_every_zone_has_its_share(cpus: list[int], pods: list[int]) -> None:
    """Either nobody has a hint, or everybody has one and each zone its share, but for one or two.

    The controller moves whole endpoints, and stops where less than half of one is left to move.
    """
    pods = pods[: len(cpus)]
    total = sum(pods)
    found = hints(reconcile(SERVICE, pods_in(*pods), nodes_of(*cpus)))
    # In the controller's order: its floats may make a whole number a little more.
    least = [ceil(cpu / sum(cpus) * total * (1 / 1.2)) for cpu in cpus]
    if total < len(cpus) or sum(least) > total:
        assert set(found) <= {()}
        return
    assert () not in found
    for zone, number in zip(ZONES, least, strict=False):
        assert found[zone,] >= number - 1


def test_cpus_of_a_service_of_others_do_not_matter() -> None:
    """A Service without the annotation has slices without hints, whatever Nodes say."""
    plain: Service = evolve(SERVICE, annotations={})
    assert hints(reconcile(plain, pods_in(3, 3), nodes_of(2, 2))) == {(): 6}
