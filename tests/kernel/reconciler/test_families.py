"""``svcnet apply`` and ``svcnet run`` serve each IP family that the Node has an address of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.api import api, node, service
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.reconciler.test_cluster import Followed
from tests.kernel.reconciler.test_keep import until
from tests.kernel.told import Told

pytestmark = pytest.mark.kernel

SERVICES = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00:10:96::10"]
  ipFamilyPolicy: RequireDualStack
  ports: [{port: 80}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-4, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-6, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{port: 8080}]
endpoints: [{addresses: ["fd00:10:244:1::5"]}]
"""
NODE = """\
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
status: {addresses: [%s]}
"""
FOUR, SIX = "192.0.2.10", "2001:db8::10"


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Path]:
    with own_namespace():
        run("ip", "link", "set", "lo", "up")
        yield tmp_path / "cluster.yaml"


def written(manifest: Path, *addresses: str) -> None:
    """Write the Services and, if it has any addresses, their Node."""
    listed = ", ".join(f'{{type: InternalIP, address: "{each}"}}' for each in addresses)
    manifest.write_text(SERVICES + (NODE % listed if addresses else ""))


def served() -> set[str]:
    """Return the families whose rules lead to an endpoint."""
    leading = {
        "IPv4": "to-destination 10.244.1.5:8080",
        "IPv6": "to-destination [fd00:10:244:1::5]:8080",
    }
    tools = {"IPv4": "iptables", "IPv6": "ip6tables"}
    return {f for f, text in leading.items() if text in run(f"{tools[f]}-nft-save", "-t", "nat")}


def rules_of(tool: str) -> list[str]:
    """Return the rules of a family, without the counters and times that a listing has."""
    return [line for line in run(f"{tool}-save").splitlines() if line.startswith("-")]


@pytest.mark.parametrize(
    ("addresses", "options", "families"),
    [
        ((FOUR, SIX), (), {"IPv4", "IPv6"}),
        ((SIX, FOUR), (), {"IPv4", "IPv6"}),
        ((), (), {"IPv4", "IPv6"}),
        ((FOUR,), (), {"IPv4"}),
        ((FOUR, SIX), ("--family", "ipv6"), {"IPv6"}),
    ],
)
def test_apply(
    manifest: Path, addresses: tuple[str, ...], options: tuple[str, ...], families: set[str]
) -> None:
    """Without an option there are rules for all families of the Node, or of the Services."""
    written(manifest, *addresses)
    applied = Told("apply", manifest, "--variant", "nft", *options)
    assert applied.ended() == 0
    assert served() == families
    unserved = "IPv6 is not served: Node node-a has no address of it, though Service default/web"
    told = [line for line in applied.lines if unserved in line]
    assert len(told) == (addresses == (FOUR,))
    assert all(line.endswith("[S914 family-left-out]") for line in told)


@pytest.mark.parametrize("verb", ["apply", "run"])
def test_a_family_that_is_left_out_is_ignored_on_request(manifest: Path, verb: str) -> None:
    """What is told of the machine and the Node has a name to silence it by, as all else has."""
    written(manifest, FOUR)
    asked = (verb, manifest, "--variant", "nft", "--ignore", "S914", "--ignore", "no-endpoints")
    process = Told(*asked)
    until(lambda: served() == {"IPv4"})
    if verb == "run":
        process.end()
    assert process.ended() == 0
    assert not any("not served" in line for line in process.lines)


def test_run_serves_each_family(manifest: Path) -> None:
    """A run keeps the rules of both families, and a change is followed in both."""
    written(manifest, FOUR, SIX)
    with Told("run", manifest, "--variant", "nft") as process:
        until(lambda: served() == {"IPv4", "IPv6"})
        text = manifest.read_text().replace("port: 8080", "port: 8081")
        manifest.write_text(text)
        until(lambda: ":8081" in run("ip6tables-nft-save") and ":8081" in run("iptables-nft-save"))
        assert not any("not served" in line for line in process.lines)


def test_a_family_that_a_file_brings_is_told(manifest: Path) -> None:
    """A Node that gains an address while a run goes on is told of, and a new start loses nothing.

    The family that is served goes on being followed, its rules stay over the new start as they
    are, and the other one joins it.
    """
    written(manifest, FOUR)
    with Told("run", manifest, "--variant", "nft") as process:
        process.wait("IPv6 is not served: Node node-a has no address of it")
        until(lambda: served() == {"IPv4"})
        written(manifest, FOUR, SIX)
        process.wait("the node has an IPv6 address now: IPv6 is served once svcnet run starts")
        assert served() == {"IPv4"}
        manifest.write_text(manifest.read_text().replace("10.96.0.10", "10.96.0.12"))
        until(lambda: "10.96.0.12" in run("iptables-nft-save"))
    rules = rules_of("iptables-nft")
    assert served() == {"IPv4"}
    with Told("run", manifest, "--variant", "nft"):
        until(lambda: served() == {"IPv4", "IPv6"})
        assert rules_of("iptables-nft") == rules


def test_a_family_that_an_api_server_brings_is_told(tmp_path: Path) -> None:
    """The same for a Node on a server, and for a Service of a node without known addresses."""
    with own_namespace(), api() as server:
        server.put(node("n1", FOUR), service("web", "10.96.0.10"))
        with Followed(server, tmp_path) as process:
            process.wait('"event":"synced"')
            server.put(node("n1", FOUR, SIX))
            process.wait("the node has an IPv6 address now")
        server.put(node("n1"))
        with Followed(server, tmp_path) as process:
            process.wait('"event":"synced"')
            server.put(service("six", "fd00:10:96::11"))
            process.wait("Service shop/six has an IPv6 address: IPv6 is served once svcnet run")
