"""A removed endpoint keeps its connections for a while, with real ones."""

from __future__ import annotations

import time
from typing import Any

import pytest

from svcnet.executors.ipvs import IPVSReport, apply
from svcnet.models import ServicePort
from svcnet.models.state import ClusterObject
from svcnet.renderers.ipvs import full
from tests.kernel.chaos import until
from tests.kernel.ipvs.balancer import Balancer
from tests.kernel.scenarios import DNS, service, slices

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

RESET_IS_FORGOTTEN = 10.5
"""Seconds for which the kernel remembers a connection that was reset (ip_vs_proto_tcp.c)."""


def reapply(balancer: Balancer, drain: int = 900) -> IPVSReport:
    """Apply the balancer's state as a whole, as a new process would."""
    assert balancer.graph is not None
    tables = full(balancer.graph)
    reports: list[IPVSReport] = []
    balancer.cluster.inside(
        "node", lambda: reports.append(apply(tables, variant="legacy", drain=drain))
    )
    return reports[0]


def operations(report: IPVSReport) -> list[str]:
    """Return what was done to virtual servers."""
    steps = [step for step in report.plan.steps if step.tool == "ipvs"]
    return [line for step in steps for line in step.text.splitlines()]


def test_a_removed_endpoint_keeps_its_connections_until_they_end(balancer: Balancer) -> None:
    """It gets no new ones, an apply leaves it in peace, and the one after their end removes it."""
    balancer.serve(service(), *slices("pod1", "pod2"))
    assert sorted(balancer.hold(2)) == ["pod1", "pod2"]
    balancer.serve(*slices("pod1"))
    assert set(balancer.ask(4)) == {"pod1"}
    assert balancer.exchange("pod2")
    assert operations(reapply(balancer)) == []
    assert balancer.exchange("pod2")
    balancer.release("pod2", abort=True)
    time.sleep(RESET_IS_FORGOTTEN)
    # On a busy machine the guest's timers are late.
    assert until(lambda: [each.split()[0] for each in operations(reapply(balancer))] == ["delete"])
    assert balancer.exchange("pod1")


def test_an_endpoint_that_returns_gets_its_weight_back(balancer: Balancer) -> None:
    """By a step and by a whole apply; the connections that it had never notice."""
    balancer.serve(service(), *slices("pod1", "pod2"))
    balancer.hold(2)
    balancer.serve(*slices("pod1"))
    balancer.serve(*slices("pod1", "pod2"))
    assert set(balancer.ask(4)) == {"pod1", "pod2"}
    balancer.serve(*slices("pod1"))
    balancer.change(*slices("pod1", "pod2"))
    [operation] = operations(reapply(balancer))
    assert operation.startswith("edit")
    assert operation.endswith("weight 1")
    assert set(balancer.ask(4)) == {"pod1", "pod2"}
    assert balancer.exchange("pod2")


def test_an_endpoint_goes_when_its_time_is_over(balancer: Balancer) -> None:
    """After the bound it is removed though a connection lives."""
    balancer.serve(service(), *slices("pod1", "pod2"))
    balancer.hold(2)
    balancer.change(*slices("pod1"))
    assert reapply(balancer, drain=1).draining == 1
    assert balancer.exchange("pod2")
    time.sleep(1.5)
    [operation] = operations(reapply(balancer, drain=1))
    assert operation.startswith("delete")
    assert not balancer.exchange("pod2")
    assert balancer.exchange("pod1")


def test_an_idle_endpoint_goes_at_once(balancer: Balancer) -> None:
    """What has no connection has nothing to wait for."""
    balancer.serve(service(), *slices("pod1", "pod2"))
    balancer.change(*slices("pod1"))
    assert reapply(balancer).draining == 0
    assert operations(reapply(balancer)) == []
    assert set(balancer.ask(2)) == {"pod1"}


def test_a_removed_endpoint_of_datagrams_goes_at_once(balancer: Balancer) -> None:
    """A client that goes on sending from its port is given to an endpoint that is there."""
    balancer.serve(*dns("pod1", "pod2"))
    ask: dict[str, Any] = {"port": 53, "protocol": "UDP", "source_port": 5000}
    first = balancer.ask(1, **ask)[0]
    other = {"pod1": "pod2", "pod2": "pod1"}[first]
    assert balancer.ask(1, **ask) == [first]
    balancer.serve(*dns(other))
    # The kernel may drop the datagram at which it sees that the server of a flow is gone
    # (net/netfilter/ipvs/ip_vs_core.c, ip_vs_in_hook): who goes on sending loses no more than that.
    lost, *answers = balancer.ask(3, **ask)
    assert lost in (other, "timeout")
    assert answers == [other, other]


def dns(*endpoints: str) -> tuple[ClusterObject, ...]:
    """Return a Service with a UDP port, and its slices."""
    ports = (ServicePort(53, "dns", "UDP", 5353),)
    return service(ports=ports), *slices(*endpoints, ports=(DNS,))
