"""``--live`` asks the tools of a machine with virtual servers; `Trial` sends packets there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import examples
from tests.kernel.netns import Cluster
from tests.kernel.test_live import OBJECTS, TO_WEB, on_node, served
from tests.kernel.test_trials import play
from tests.kernel.ways import WAYS

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

SERVER = "10.96.0.10:80"
DAMAGES = (
    (
        f"ipvsadm -e -t {SERVER} -r 10.244.1.11:8080 -m -w 0",
        f"ipvsadm -e -t {SERVER} -r 10.244.1.11:8080 -m -w 1",
    ),
    ("ip addr del 10.96.0.10/32 dev kube-ipvs0", "ip addr add 10.96.0.10/32 dev kube-ipvs0"),
    ("ipset del KUBE-CLUSTER-IP 10.96.0.10,tcp:80", "ipset add KUBE-CLUSTER-IP 10.96.0.10,tcp:80"),
)
"""What is done to the node, and what mends it."""


def test_a_live_node_is_explained_and_verified(cluster: Cluster, tmp_path: Path) -> None:
    """Its mode is seen; what is done to virtual servers, sets and the device is found."""
    objects = tmp_path / "objects.yaml"
    objects.write_text(OBJECTS)
    way = next(each for each in WAYS if each.name == "ipvs")
    with served(cluster, way, objects):
        for paths in ((), (str(objects),)):
            found = on_node(cluster, "explain", *paths, *TO_WEB)
            assert (found.exit_code, found.stderr) == (0, "")
            assert found.stdout.startswith("to 10.244.1.11:8080, source kept")
            assert f"-a -t {SERVER} -r 10.244.1.11:8080 -m -w 1" in found.stdout
        verify = ("verify", str(objects), "--family", "ipv4", "--live")
        found = on_node(cluster, *verify)
        assert (found.exit_code, found.stderr) == (0, "")
        assert "every packet ends as it should" in found.stdout
        for damage, mend in DAMAGES:
            cluster.run("node", *damage.split())
            found = on_node(cluster, *verify)
            assert found.exit_code == 1, damage
            assert "default/web:http/TCP" in found.stdout
            cluster.run("node", *mend.split())
        assert on_node(cluster, *verify).exit_code == 0


def test_random_packets_end_as_is_explained(cluster: Cluster) -> None:
    """Of virtual servers, sets and rules of random clusters, in both families."""
    assert play(cluster, examples(20), ("ipvs",)) == 0
