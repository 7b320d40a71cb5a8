"""``svcnet explain`` as a user runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main

ROOT = Path(__file__).parents[2]
EXAMPLE = "examples/my-service"
GOLDEN = Path(__file__).parent / "explain"

CLUSTER = """\
apiVersion: v1
kind: Node
metadata: {name: node-a}
spec: {podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24, "fd00:244:1::/64"]}
status:
  addresses:
  - {type: InternalIP, address: 192.0.2.10}
  - {type: InternalIP, address: "2001:db8::10"}
---
apiVersion: v1
kind: Node
metadata: {name: node-b}
status: {addresses: [{type: InternalIP, address: 192.0.2.11}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00:96::a"]
  ipFamilyPolicy: RequireDualStack
  ipFamilies: [IPv4, IPv6]
  sessionAffinity: ClientIP
  ports:
  - {name: http, port: 80, targetPort: 8080, nodePort: 30080}
  - {name: dns, port: 53, targetPort: 5353, protocol: UDP, nodePort: 30053}
---
apiVersion: v1
kind: Service
metadata: {name: lone, namespace: shop}
spec: {clusterIP: None, ports: [{port: 80}], selector: {app: lone}}
---
apiVersion: v1
kind: Service
metadata: {name: away, namespace: shop}
spec: {type: ExternalName, externalName: web.example}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-4, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: dns, port: 5353, protocol: UDP}]
endpoints:
- {addresses: [10.244.1.5], nodeName: node-a, targetRef: {kind: Pod, namespace: shop, name: web-0}}
- {addresses: [10.244.2.6], nodeName: node-b, targetRef: {kind: Pod, namespace: shop, name: web-1}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-6, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{name: http, port: 8080}, {name: dns, port: 5353, protocol: UDP}]
endpoints: [{addresses: ["fd00:244:1::5"], nodeName: node-a}]
"""


def svcnet(*args: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)


def explain(*args: object) -> dict[str, Any]:
    """Return what is said of the cluster above on node-a, for programs."""
    given = ("--node", "node-a", "--output", "json")
    result = svcnet("explain", "-", *given, *args, stdin=CLUSTER)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("golden", "arguments"),
    [
        *(
            (f"{mode}.txt", ("--to", "10.96.0.100:80", "--from", "10.244.1.5", "--mode", mode))
            for mode in ("iptables", "ipvs", "nftables", "userspace")
        ),
        ("node.json", ("--to", "10.96.0.100:443", "--from", "node", "--output", "json")),
        ("outside.dot", ("--to", "10.96.0.100:80", "--output", "dot")),
        ("all.txt", ("--all",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_golden(golden: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of the example stays as it is, in each mode and form."""
    monkeypatch.chdir(ROOT)
    result = svcnet("explain", EXAMPLE, *arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == (GOLDEN / golden).read_text()


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not there")
def test_graphviz_draws_it() -> None:
    done = subprocess.run(
        ["dot", "-Tsvg", str(GOLDEN / "outside.dot")], capture_output=True, check=True
    )
    assert b"10.244.1.5:9376" in done.stdout


def test_who_and_where() -> None:
    """Each kind of sender and destination becomes the packet that is meant."""
    for arguments, source, destination, port, protocol in (
        (("--to", "10.96.0.10:80"), "198.51.100.1", "10.96.0.10", 80, "TCP"),
        (("--to", "10.96.0.10:53/udp"), "198.51.100.1", "10.96.0.10", 53, "UDP"),
        (("--to", "10.96.0.10:53/UDP"), "198.51.100.1", "10.96.0.10", 53, "UDP"),
        (("--to", "[fd00:96::A]:80"), "2001:db8:ffff::1", "fd00:96::a", 80, "TCP"),
        (
            ("--to", "10.96.0.10:80", "--from", "pod/shop/web-0"),
            *("10.244.1.5", "10.96.0.10", 80, "TCP"),
        ),
        (("--to", "10.96.0.10:80", "--from", "node"), "192.0.2.10", "10.96.0.10", 80, "TCP"),
        (
            ("--to", "10.96.0.10:80", "--from", "node/node-a"),
            *("192.0.2.10", "10.96.0.10", 80, "TCP"),
        ),
        (
            ("--to", "10.96.0.10:80", "--from", "node/node-b"),
            *("192.0.2.11", "10.96.0.10", 80, "TCP"),
        ),
        (("--to", "10.96.0.10:80", "--from", "10.1.2.3"), "10.1.2.3", "10.96.0.10", 80, "TCP"),
        (("--to", "service/shop/web:http"), "198.51.100.1", "10.96.0.10", 80, "TCP"),
        (("--to", "service/shop/web:53"), "198.51.100.1", "10.96.0.10", 53, "UDP"),
        (("--to", "service/shop/web:dns/udp"), "198.51.100.1", "10.96.0.10", 53, "UDP"),
        (("--to", "service/shop/web/udp"), "198.51.100.1", "10.96.0.10", 53, "UDP"),
        (("--to", "service/shop/web:81"), "198.51.100.1", "10.96.0.10", 81, "TCP"),
        (
            ("--to", "service/shop/web:80", "--family", "ipv6"),
            *("2001:db8:ffff::1", "fd00:96::a", 80, "TCP"),
        ),
        (
            ("--to", "service/shop/web:80", "--from", "fd00::7"),
            *("fd00::7", "fd00:96::a", 80, "TCP"),
        ),
        (("--to", "web.shop.svc.cluster.local:80"), "198.51.100.1", "10.96.0.10", 80, "TCP"),
        (
            ("--to", "web:http", "--from", "pod/shop/web-1"),
            *("10.244.2.6", "10.96.0.10", 80, "TCP"),
        ),
        (("--to", "127.0.0.1:30080", "--from", "node"), "127.0.0.1", "127.0.0.1", 30080, "TCP"),
    ):
        packet = explain(*arguments)["packet"]
        found = tuple(packet[key] for key in ("source", "destination", "port", "protocol"))
        assert found == (source, destination, port, protocol), arguments


def test_pods_come_in_by_what_tells_them(tmp_path: Path) -> None:
    """Where interfaces tell pods from others, one of this node comes in by such a one."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}\n"
    )
    to = ("--to", "10.96.0.10:80", "--config", config)
    here = explain(*to, "--from", "pod/shop/web-0")
    assert here["packet"]["interface"] == "veth0"
    assert [end["masquerade"] for end in here["outcomes"]] == [True, False]
    away = explain(*to, "--from", "pod/shop/web-1")
    assert away["packet"]["interface"] == ""
    assert [end["masquerade"] for end in away["outcomes"]] == [True, True]
    given = explain(*to, "--from", "pod/shop/web-1", "--interface", "veth7")
    assert given["packet"]["interface"] == "veth7"


def test_affinity() -> None:
    """An endpoint that is remembered gets it, and the rule of the memory is told."""
    found = explain("--to", "10.96.0.10:80", "--affinity", "10.244.2.6:8080")
    (end,) = found["outcomes"]
    assert (end["address"], end["probability"], end["kernel"]) == ("10.244.2.6", "1", 1.0)
    rules = [rule["text"] for step in end["steps"] for rule in step["rules"]]
    assert any("--rcheck" in rule for rule in rules)


def test_a_look_up_is_the_first_step() -> None:
    """It is told as ``dns lookup`` tells it, from the namespace of the Pod that asks."""
    where = ("--to", "web:http", "--from", "pod/shop/web-1")
    lookup = explain(*where)["lookup"]
    alone = svcnet(
        "dns", "lookup", "web", "A", "-", "--namespace", "shop", "--output", "json", stdin=CLUSTER
    )
    assert lookup == json.loads(alone.stdout)
    shown = svcnet("explain", "-", "--node", "node-a", *where, stdin=CLUSTER).stdout
    assert "     web.shop.svc.cluster.local. 5 IN A 10.96.0.10\n" in shown


def test_all_has_each_frontend_and_kind_of_sender() -> None:
    rows = explain("--all", "--service", "shop/web")["frontends"]
    assert [(row["frontend"], row["port"], row["protocol"]) for row in rows] == [
        ("cluster-ip", 53, "UDP"),
        ("node-port", 30053, "UDP"),
        ("cluster-ip", 80, "TCP"),
        ("node-port", 30080, "TCP"),
    ]
    (first, *_) = rows
    assert [cell["from"] for cell in first["senders"]] == ["outside", "node"]
    assert first["source"]["object"] == "Service shop/web"
    assert svcnet("explain", EXAMPLE, "--all", "--service", "x/y").exit_code == 2


NONSENSE = {
    "a port beyond the last": ("--to", "10.96.0.10:99999"),
    "port 0": ("--to", "10.96.0.10:0"),
    "a port with a sign": ("--to", "10.96.0.10:+80"),
    "a port that has no end": ("--to", "10.96.0.10:" + "1" * 5000),
    "no port": ("--to", "10.96.0.10"),
    "an empty port": ("--to", "10.96.0.10:"),
    "no address": ("--to", "10.96.0.300:80"),
    "half an address": ("--to", "10.96.0:80"),
    "IPv6 without brackets": ("--to", "fd00:96::a:80"),
    "IPv4 in brackets": ("--to", "[10.96.0.10]:80"),
    "another protocol": ("--to", "10.96.0.10:80/tcpp"),
    "two protocols": ("--to", "10.96.0.10:80/tcp/udp"),
    "nothing": ("--to", ""),
    "a slash": ("--to", "/"),
    "no name of a Service": ("--to", "service/web"),
    "too many names": ("--to", "service/a/b/c/d"),
    "two families": ("--to", "10.96.0.10:80", "--from", "fd00::5"),
    "two families, by the option": ("--to", "10.96.0.10:80", "--family", "ipv6"),
    "a host name as a sender": ("--to", "10.96.0.10:80", "--from", "localhost"),
    "an address with a port as a sender": ("--to", "10.96.0.10:80", "--from", "10.1.2.3:80"),
    "an IPv4-mapped sender": ("--to", "[fd00:96::a]:80", "--from", "::ffff:10.1.2.3"),
    "a zone": ("--to", "[fd00:96::a]:80", "--from", "fe80::1%eth0"),
    "a zone of the destination": ("--to", "[fe80::1%eth0]:80"),
    "a Pod without a name": ("--to", "10.96.0.10:80", "--from", "pod/shop"),
    "a Pod that is not there": ("--to", "10.96.0.10:80", "--from", "pod/shop/nobody"),
    "a Pod of the other family": ("--to", "[fd00:96::a]:80", "--from", "pod/shop/web-0"),
    "a node that is not there": ("--to", "10.96.0.10:80", "--from", "node/nobody"),
    "a node without a name": ("--to", "10.96.0.10:80", "--from", "node/"),
    "a node of the other family": ("--to", "[fd00:96::a]:80", "--from", "node/node-b"),
    "a Service that is not there": ("--to", "service/shop/nobody:80"),
    "a Service without a name": ("--to", "service//web:80"),
    "a port that has no name": ("--to", "service/shop/web:nobody"),
    "which port": ("--to", "service/shop/web"),
    "a headless Service": ("--to", "service/shop/lone"),
    "a Service that is a name": ("--to", "service/shop/away:80"),
    "a name that is not there": ("--to", "nobody.shop:80"),
    "a name that leads away": ("--to", "away.shop:80"),
    "no name of DNS": ("--to", "we b:80"),
    "a long interface": ("--to", "10.96.0.10:80", "--interface", "a" * 99),
    "affinity for no endpoint": ("--to", "10.96.0.10:80", "--affinity", "10.244.1.5"),
    "affinity of the other family": ("--to", "10.96.0.10:80", "--affinity", "[fd00::5]:80"),
    "loopback from outside": ("--to", "127.0.0.1:30080"),
    "neither a packet nor all": (),
    "a packet and all": ("--to", "10.96.0.10:80", "--all"),
    "all of one sender": ("--all", "--from", "node"),
    "a picture of all": ("--all", "--output", "dot"),
    "one packet of a Service": ("--to", "10.96.0.10:80", "--service", "shop/web"),
}


@pytest.mark.parametrize("arguments", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused(arguments: tuple[str, ...]) -> None:
    """In one line, with nothing on standard output: never a confident answer."""
    result = svcnet("explain", "-", "--node", "node-a", *arguments, stdin=CLUSTER)
    assert (result.exit_code, result.stdout) == (2, ""), arguments
    assert " [S9" in result.stderr
    assert result.stderr.count("\n") <= 2


def test_a_refusal_leads_further() -> None:
    """Who names what is not there is told what is."""
    result = svcnet("explain", "-", "--to", "service/default/web:80", stdin=CLUSTER)
    assert "say which one with --node" in result.stderr
    result = svcnet(
        "explain", "-", "--node", "node-a", "--to", "service/default/web:80", stdin=CLUSTER
    )
    assert "there is no Service default/web; there is shop/web" in result.stderr
