"""Others' virtual servers on addresses that become Services', with packets."""

from __future__ import annotations

import pytest

from tests.kernel.ipvs.balancer import Balancer
from tests.kernel.ipvs.test_drain import reapply
from tests.kernel.netns import CLUSTER_IP, ENDPOINTS
from tests.kernel.scenarios import service, slices

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

PORT = 8081


def place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def on_node(balancer: Balancer, *command: str) -> str:
    return balancer.cluster.run("node", *command)


def test_a_foreign_server_beside_a_service(balancer: Balancer) -> None:
    """It goes on working when its address becomes a cluster IP; other ports stay refused."""
    family = balancer.family
    server = place(CLUSTER_IP.of(family), PORT)
    on_node(balancer, "ipvsadm", "-A", "-t", server, "-s", "rr")
    end = place(ENDPOINTS["pod1"].of(family), 8080)
    on_node(balancer, "ipvsadm", "-a", "-t", server, "-r", end, "-m")
    try:
        balancer.serve(service(), *slices("pod2"))
        assert set(balancer.ask(2)) == {"pod2"}
        assert set(balancer.ask(2, port=PORT)) == {"pod1"}
        assert set(balancer.ask(1, port=PORT + 1)) == {"refused"}
        assert reapply(balancer).plan.steps == ()
    finally:
        on_node(balancer, "ipvsadm", "-D", "-t", server)
    assert reapply(balancer).plan.changes == {"iptables filter": 1}
    assert set(balancer.ask(1, port=PORT)) == {"refused"}
