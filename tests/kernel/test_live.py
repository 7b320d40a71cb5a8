"""``--live`` asks the tools of this machine: of a node in the small cluster, in each mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet import modes
from svcnet.cli import main
from svcnet.compiler import compile_state, node_view
from svcnet.models import KubeProxyConfiguration
from svcnet.sources import load
from tests.kernel.netns import CLIENT, HOST, NODE, Cluster
from tests.kernel.ways import WAYS, Way

pytestmark = pytest.mark.kernel

OBJECTS = """\
apiVersion: v1
kind: Node
metadata: {name: node-a}
status: {addresses: [{type: InternalIP, address: 192.0.2.10}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.244.1.11], nodeName: node-a}]
"""
TO_WEB = ("--live", "--from", CLIENT.v4, "--to", "10.96.0.10:80", "--interface", "eth0")
STRANGER = """\
table inet mine {
    chain c {
        type filter hook forward priority 0
        tcp dport 8080 drop
    }
}
"""


def on_node(cluster: Cluster, *words: str) -> Result:
    """Return what a verb says on the node."""
    found: list[Result] = []
    cluster.inside("node", lambda: found.append(CliRunner().invoke(main, words)))
    return found[0]


@contextmanager
def served(cluster: Cluster, way: Way, objects: Path) -> Iterator[None]:
    """Have the node serve objects in a way for a while."""
    state = load([objects]).state
    config = KubeProxyConfiguration()
    settings = modes.get(way.mode).rules(config)
    view = node_view(state, config, HOST, node="node-a", family="IPv4", rules=settings)
    rules = way.rules(cluster, "IPv4")
    try:
        rules.put(compile_state(state, view))
        yield
    finally:
        rules.flush()


@pytest.mark.parametrize("name", ["iptables-nft", "nftables"])
def test_a_live_node_is_explained_and_verified(cluster: Cluster, tmp_path: Path, name: str) -> None:
    """With and without objects; what somebody else adds is told, or that nobody looks at it."""
    way = next(each for each in WAYS if each.name == name)
    objects = tmp_path / "objects.yaml"
    objects.write_text(OBJECTS)
    with served(cluster, way, objects):
        for paths in ((), (str(objects),)):
            found = on_node(cluster, "explain", *paths, *TO_WEB)
            assert found.exit_code == 0, found.stderr
            assert found.stdout.startswith("to 10.244.1.11:8080, source kept")
            assert found.stderr == ""
            assert NODE.v4 not in found.stdout.splitlines()[0]
        verify = ("verify", str(objects), "--live")
        assert on_node(cluster, *verify).exit_code == 0
        try:
            cluster.run("node", "nft", "-f", "-", stdin=STRANGER)
            found = on_node(cluster, "explain", *TO_WEB)
            if name == "nftables":
                assert found.stdout.startswith("dropped: ")
                assert on_node(cluster, *verify).exit_code == 1
            else:
                assert "warning: table inet mine: not looked at in mode iptables" in found.stderr
        finally:
            cluster.run("node", "nft", "-f", "-", stdin="table inet mine\ndelete table inet mine\n")
