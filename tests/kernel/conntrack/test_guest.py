"""What needs a kernel of its own: IPVS mode, and a kernel that does not list connections."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest
from attrs import define

from svcnet.executors.conntrack import NoConntrack, observe
from svcnet.family import IP_FAMILIES
from svcnet.models.state import ClusterObject
from tests.kernel.conntrack.conftest import Node
from tests.kernel.conntrack.test_clean_up import FRONTENDS, WEB, behind, clients
from tests.kernel.netns import Both, Cluster
from tests.kernel.ways import IPVSRules, Tables

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

MODULE = "nf_conntrack_netlink"


@define
class IPVSNode(Node):
    """The node in IPVS mode."""

    def put(self, *objects: ClusterObject) -> None:
        self.graph = self.compile(*objects)
        self.rules().put(self.graph)

    def rules(self) -> IPVSRules:
        return IPVSRules(Tables(self.cluster, self.family, "legacy"))

    def clear(self) -> None:
        self.put()
        self.cluster.run("node", "conntrack", "-F")


@pytest.fixture(params=IP_FAMILIES)
def balanced(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[IPVSNode]:
    made = IPVSNode(cluster, request.param)
    try:
        yield made
    finally:
        made.clear()


@pytest.mark.parametrize(("to", "port"), FRONTENDS)
def test_in_ipvs_mode(balanced: IPVSNode, to: Both, port: int) -> None:
    """Entries name IPVS's endpoint, so no live one is stale; those from before it go."""
    balanced.put()
    balanced.ask(to, port, 4000)
    balanced.put(WEB, *behind("pod1", "pod2"))
    before = balanced.ask_until(to, port, "pod1", "pod2")
    found, _ = balanced.clean()
    assert clients(found.flows) == {4000}
    assert balanced.ask_all(to, port, before) == before
    # The kernel ends what a real server had when it goes (expire_nodest_conn).
    balanced.put(WEB, *behind("pod2"))
    assert not balanced.clean()[0]
    assert set(balanced.ask_all(to, port, [4000, *before]).values()) == {"pod2"}
    assert not balanced.plan()


def test_a_kernel_that_does_not_list_connections(without_listing: None) -> None:
    """The error names the module that is missing."""
    with pytest.raises(NoConntrack, match=MODULE):
        list(observe("IPv4"))


@pytest.fixture
def without_listing() -> Iterator[None]:
    """Take the module out of the kernel for a while; sockets of earlier tests may yet use it."""
    for _ in range(50):
        done = subprocess.run(["modprobe", "-d", "/run/modules", "-r", MODULE], check=False)
        if done.returncode == 0:
            break
        time.sleep(0.1)
    yield
    subprocess.run(["modprobe", "-d", "/run/modules", MODULE], check=True)
