"""IPVS mode on a kernel: a step costs what its change costs, and arrives where an apply does."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.errors import ApplyError
from svcnet.executors import children
from svcnet.executors.ipvs import IPVS, IPVSReport, apply, apply_step, cleanup
from svcnet.graph import RuleGraph, diff
from svcnet.labels import SCHEDULER_ANNOTATION
from svcnet.models import ClusterState, LoadBalancerIngress
from svcnet.models.state import ClusterObject
from svcnet.renderers.ipvs import delta, full
from svcnet.testing import make_node, make_service, make_slice
from tests.kernel.ipvs.conftest import HOST, everything, run, without_draining
from tests.kernel.keepers import ipvs_keeper

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.usefixtures("namespace")]

Objects = Sequence[ClusterObject]

HERE, THERE, ELSEWHERE = "10.244.1.5@node-a", "10.244.2.6@node-b", "10.244.2.7@node-b"
NONE = (make_service(), make_slice("web"))
ONE = (make_service(), make_slice("web", HERE))
TWO = (make_service(), make_slice("web", HERE, THERE))


def graph_of(objects: Objects) -> RuleGraph:
    state = ClusterState.of((*objects, make_node()))
    return compile_state(state, node_view(state, None, HOST, family="IPv4"))


def applied(objects: Objects) -> str:
    """Apply a whole state, and return what is there then."""
    apply(full(graph_of(objects)), variant="legacy")
    return without_draining(everything())


def step(before: Objects, after: Objects) -> tuple[IPVSReport, int]:
    """Go from one state to the next by a step; return its report and its messages' number."""
    change = delta(diff(graph_of(before), graph_of(after)))
    with IPVS() as ipvs:
        return apply_step(change, ipvs, variant="legacy"), ipvs.sent


WALK: dict[str, Objects] = {
    "a Service with one endpoint": ONE,
    "another endpoint comes": TWO,
    "a Service comes, and one endpoint for another": (
        *(make_service(), make_slice("web", HERE, ELSEWHERE)),
        *(make_service("db", "10.96.0.20"), make_slice("db", HERE)),
    ),
    "that Service goes, and affinity comes": (
        make_service(session_affinity="ClientIP", session_affinity_timeout=60),
        make_slice("web", HERE, THERE),
    ),
    "affinity goes, and another scheduler comes": (
        make_service(annotations={SCHEDULER_ANNOTATION: "mh"}),
        make_slice("web", HERE, THERE),
    ),
    "a load balancer for some sources comes": (
        make_service(
            type="LoadBalancer",
            load_balancer_ingress=(LoadBalancerIngress("203.0.113.20"),),
            load_balancer_source_ranges=("198.51.100.0/24",),
        ),
        make_slice("web", HERE, THERE),
    ),
    "it goes, and so does every endpoint": NONE,
}


def test_steps_arrive_where_an_apply_does() -> None:
    """After each step of a walk the machine is as a fresh apply of the same state makes it."""
    applied(ONE)
    arrived = {}
    for (_, before), (name, after) in pairwise(WALK.items()):
        step(before, after)
        arrived[name] = without_draining(everything())
    for name, found in arrived.items():
        cleanup("IPv4")
        assert found == applied(WALK[name]), name


def test_a_foreign_server_on_an_address_that_comes() -> None:
    """Where a Service comes by a step, a server that others had there goes on being let in."""
    target = ipvs_keeper("IPv4", "legacy")
    run("ipvsadm -A -t 10.96.0.20:81 -s rr")
    target.whole(graph_of(ONE))
    with_another = (*ONE, make_service("db", "10.96.0.20"), make_slice("db", HERE))
    target.step(graph_of(with_another), None)
    after_step = everything()
    assert "10.96.0.20" in run("iptables-legacy-save -t filter")
    assert target.whole(graph_of(with_another)).kind == "none"
    assert everything() == after_step


def test_one_endpoint_costs_the_same_in_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same messages and commands at 10 and 300 Services, and none that lists the cluster."""
    costs = []
    for services in (10, 300):
        others = [item for number in range(services) for item in other(number)]
        applied([*others, *TWO])
        ran: list[tuple[Any, Any]] = []
        with monkeypatch.context() as patch:
            patch.setattr(children, "run_child", partial(recorded, ran, children.run_child))
            _, going = step([*others, *TWO], [*others, *ONE])
            _, coming = step([*others, *ONE], [*others, *TWO])
        costs.append((going, coming, ran))
    assert costs[0] == costs[1]
    # Each time it is asked whose the server is. The endpoint goes: no weight, its connections
    # are looked up, it is deleted. It comes: it is new.
    assert costs[0][:2] == (4, 2)
    assert [command[-1] for command, _ in costs[0][2]] == ["restore"]


def recorded(ran: list[tuple[Any, Any]], real: Any, *command: Any, **options: Any) -> Any:
    ran.append((command, options.get("stdin")))
    return real(*command, **options)


def other(number: int) -> Objects:
    name, place = f"other-{number}", f"{number // 250}.{number % 250}"
    return make_service(name, f"10.97.{place}"), make_slice(name, f"10.245.{place}@node-b")


def test_an_endpoint_that_returns_while_it_drains() -> None:
    """It waits for its connection without a weight, and has its weight back when it returns."""
    address = "10.244.1.5"
    run(f"ip address add {address}/32 dev lo")
    right = applied(ONE)
    with (
        socket.create_server((address, 8080)) as server,
        socket.create_connection(("10.96.0.10", 80), timeout=10),
        server.accept()[0],
    ):
        report, _ = step(ONE, NONE)
        assert report.draining == 1
        assert f"-r {address}:8080 -m -w 0" in run("ipvsadm -Sn")
        report, messages = step(NONE, ONE)
        assert report.draining == 0
        # Whose is the server? It is refused as it is there still, and then edited.
        assert messages == 3
    assert without_draining(everything()) == right


def test_a_step_from_another_state_is_refused() -> None:
    """A virtual server that somebody deleted makes a step fail, and an apply puts it right."""
    right = applied(TWO)
    applied(ONE)
    run("ipvsadm -D -t 10.96.0.10:80")
    with pytest.raises(ApplyError, match=r"10\.96\.0\.10:80 TCP: .* not what svcnet left there"):
        step(ONE, TWO)
    assert applied(TWO) == right


@pytest.mark.parametrize("before", [(), ONE])
def test_a_step_leaves_the_servers_of_others_alone(before: Objects) -> None:
    """Where another program has a virtual server that a step would change, nothing is done."""
    applied(before)
    run("ipvsadm -C")
    run("ipvsadm -A -t 10.96.0.10:80 -s wlc")
    there = everything()
    with pytest.raises(ApplyError):
        step(before, TWO)
    assert everything() == there
