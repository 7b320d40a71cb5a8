"""Why a packet ends where it does, by which fields of which lines, and what would change it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import svcnet
from svcnet import modes
from svcnet.errors import UsageError
from svcnet.graph import Deliver, Outcome, Packet, evaluate
from svcnet.meaning.explanation.dot import dot
from svcnet.meaning.explanation.explanation import End, Explanation, Remedy, WayStep
from svcnet.meaning.explanation.text import text
from svcnet.models import ClusterState, KubeProxyConfiguration
from svcnet.sources import load_bytes
from svcnet.testing import make_node, make_service, make_slice

SHOP = """\
apiVersion: v1
kind: Node
metadata: {name: node-a}
status: {addresses: [{type: InternalIP, address: 192.0.2.10}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-b}
status: {addresses: [{type: InternalIP, address: 192.0.2.11}]}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  selector:
    app: web
  externalIPs:
  - 203.0.113.7
  externalTrafficPolicy: Local
  loadBalancerSourceRanges:
  - 198.51.100.0/24
  ports:
  - name: http
    port: 80
    targetPort: 8080
    nodePort: 30080
status:
  loadBalancer:
    ingress:
    - ip: 203.0.113.20
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  namespace: shop
  labels:
    kubernetes.io/service-name: web
addressType: IPv4
ports:
- name: http
  port: 8080
endpoints:
- addresses:
  - 10.244.1.5
  nodeName: node-a
  conditions:
    ready: true
- addresses:
  - 10.244.2.6
  nodeName: node-b
"""
POD = """\
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: www}}
spec:
  nodeName: node-a
  containers: [{name: web, ports: [{name: http, containerPort: 8080}]}]
status:
  phase: Running
  podIP: 10.244.1.9
  podIPs: [{ip: 10.244.1.9}]
  conditions: [{type: Ready, status: "True"}]
"""
CLIENT = "198.51.100.9"
POD_HERE = "10.244.1.77"


def explain(manifest: str, packet: Packet, mode: str = "iptables", node: str = "node-a") -> Any:
    return svcnet.explain(load_bytes(manifest.encode(), "shop.yaml"), packet, node=node, mode=mode)


def to(destination: str, port: int = 80, source: str = CLIENT, protocol: str = "TCP") -> Packet:
    return Packet(source, destination, port, protocol)


def address_of(end: End | Outcome) -> str:
    assert isinstance(end.verdict, Deliver)
    return end.verdict.address


def steps_of(found: Explanation) -> list[WayStep]:
    return [step for end in found.outcomes for step in end.steps]


FIELDS: dict[str, tuple[str, Packet, str, str, Packet]] = {
    "cluster IP": (
        "spec.clusterIPs[0]",
        to("10.96.0.10"),
        "10.96.0.10",
        "10.96.0.11",
        to("10.96.0.11"),
    ),
    "external IP": (
        "spec.externalIPs[0]",
        to("203.0.113.7"),
        "203.0.113.7",
        "203.0.113.8",
        to("203.0.113.8"),
    ),
    "load balancer": (
        "status.loadBalancer.ingress[0].ip",
        to("203.0.113.20"),
        "203.0.113.20",
        "203.0.113.21",
        to("203.0.113.21"),
    ),
    "node port": (
        "spec.ports[0].nodePort",
        to("192.0.2.10", 30080),
        "30080",
        "30081",
        to("192.0.2.10", 30081),
    ),
    "policy": (
        "spec.externalTrafficPolicy",
        to("203.0.113.7"),
        "Local",
        "Cluster",
        to("203.0.113.7"),
    ),
    "endpoint": (
        "endpoints[0].addresses[0]",
        to("203.0.113.7"),
        "10.244.1.5",
        "10.244.1.6",
        to("203.0.113.7"),
    ),
}


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
@pytest.mark.parametrize("case", FIELDS)
def test_a_field_that_is_named_makes_the_lines(case: str, mode: str) -> None:
    """Who changes the line of the file that a step names changes the rules of the step."""
    path, packet, old, new, other = FIELDS[case]
    before = explain(SHOP, packet, mode)
    (step,) = {step for step in steps_of(before) if step.origin and step.origin.path == path}
    lines = SHOP.splitlines(True)
    assert step.place is not None
    number = step.place.line - 1
    assert old in lines[number]
    lines[number] = lines[number].replace(old, new)
    after = explain("".join(lines), other, mode)
    same = [each for each in steps_of(after) if each.origin and each.origin.path == path]
    assert same
    if mode == "iptables":
        assert step.lines
        assert all(each.lines != step.lines for each in same)
    assert before.outcomes != after.outcomes


@pytest.mark.parametrize("mode", sorted(modes.builtin()))
def test_ends_are_those_of_the_graph(mode: str) -> None:
    """What explain says of a cluster IP is what the graph means, whatever the mode."""
    state = ClusterState.of(
        [
            make_node(),
            make_service(),
            make_slice("web", "10.244.1.5@node-a", "10.244.2.6@node-b", "10.244.3.7"),
        ]
    )
    packet = Packet("10.244.9.9", "10.96.0.10", 80)
    found = svcnet.explain(state, packet, node="node-a", mode=mode)
    outcomes = evaluate(svcnet.compile(state, node="node-a"), packet)
    assert [end.probability for end in found.outcomes] == [each.probability for each in outcomes]
    assert set(map(address_of, found.outcomes)) == set(map(address_of, outcomes))


def test_json_has_the_keys_that_are_written_of() -> None:
    document = json.loads(json.dumps(explain(SHOP, to("10.96.0.10")).to_dict()))
    assert document["packet"] == {
        "source": CLIENT,
        "destination": "10.96.0.10",
        "port": 80,
        "protocol": "TCP",
        "interface": "",
        "remembered": [],
    }
    first = document["outcomes"][0]
    assert {key: first[key] for key in ("verdict", "address", "port", "masquerade")} == {
        "verdict": "deliver",
        "address": "10.244.1.5",
        "port": 8080,
        "masquerade": False,
    }
    assert first["probability"] == "1/2"
    assert first["kernel"] == 0.5
    assert first["steps"][0]["field"] == "spec.clusterIPs[0]"
    assert first["steps"][0]["source"] == {
        "file": "shop.yaml",
        "line": SHOP.splitlines().index("  clusterIP: 10.96.0.10") + 1,
        "object": "Service shop/web",
    }
    assert first["steps"][0]["rules"][0]["tool"] == "nat"


def test_the_kernels_chance_stands_beside_the_exact_one() -> None:
    """A third is 715827883 of 2**31 in a rule of iptables."""
    endpoints = make_slice("web", "10.244.1.5@node-a", "10.244.2.6@node-b", "10.244.3.7")
    state = ClusterState.of([make_node(), make_service(), endpoints])
    found = svcnet.explain(state, Packet("10.244.9.9", "10.96.0.10", 80))
    assert found.to_dict()["outcomes"][0]["probability"] == "1/3"
    assert found.to_dict()["outcomes"][0]["kernel"] == pytest.approx(0.33333333349, abs=1e-11)
    assert "1/3 (in the kernel 0.33333333349) to 10.244.1.5:8080" in text(found)


def without(line: str, manifest: str = SHOP) -> str:
    assert line in manifest
    return manifest.replace(line, "", 1)


def swapped(old: str, new: str, manifest: str = SHOP) -> str:
    assert old in manifest
    return manifest.replace(old, new, 1)


ONLY_ELSEWHERE = without(
    "- addresses:\n  - 10.244.1.5\n  nodeName: node-a\n  conditions:\n    ready: true\n"
)
ONLY_HERE = without("- addresses:\n  - 10.244.2.6\n  nodeName: node-b\n")
NOT_READY = swapped("ready: true", "ready: false", ONLY_HERE)
NO_SLICE = SHOP[: SHOP.rindex("---\n")]
SECOND = SHOP[: SHOP.rindex("---\n")].replace("namespace: shop", "namespace: other")

WHY_NOT: dict[str, tuple[str, Packet, str, str, str]] = {
    "an endpoint is not ready": (
        NOT_READY,
        to("10.96.0.10"),
        "if the endpoint 10.244.1.5 were ready",
        "endpoints[0].conditions.ready",
        "ready: false",
    ),
    "an endpoint of this node is not ready": (
        swapped("ready: true", "ready: false"),
        to("203.0.113.7"),
        "if the endpoint 10.244.1.5 were ready",
        "endpoints[0].conditions.ready",
        "ready: false",
    ),
    "a policy keeps traffic on the node": (
        ONLY_ELSEWHERE,
        to("203.0.113.7"),
        "if externalTrafficPolicy were Cluster",
        "spec.externalTrafficPolicy",
        "externalTrafficPolicy: Local",
    ),
    "a policy keeps inside traffic on the node": (
        swapped("externalTrafficPolicy: Local", "internalTrafficPolicy: Local", ONLY_ELSEWHERE),
        to("10.96.0.10"),
        "if internalTrafficPolicy were Cluster",
        "spec.internalTrafficPolicy",
        "internalTrafficPolicy: Local",
    ),
    "no node name": (
        swapped("  nodeName: node-a\n", "", ONLY_HERE),
        to("203.0.113.7"),
        "if the endpoint 10.244.1.5 were on node-a",
        "endpoints[0].nodeName",
        "addresses:",
    ),
    "a source range": (
        SHOP,
        to("203.0.113.20", source="203.0.113.99"),
        "if loadBalancerSourceRanges had 203.0.113.99/32",
        "spec.loadBalancerSourceRanges",
        "loadBalancerSourceRanges:",
    ),
    "a port name that no slice has": (
        swapped("- name: http\n  port: 8080", "- name: web\n  port: 8080"),
        to("10.96.0.10"),
        "if port web/TCP of slice web-1 were http/TCP, as the Service's is",
        "ports[0]",
        "name: web",
    ),
    "a protocol that no slice has": (
        swapped("- name: http\n  port: 8080", "- name: http\n  protocol: UDP\n  port: 8080"),
        to("10.96.0.10"),
        "if port http/UDP of slice web-1 were http/TCP, as the Service's is",
        "ports[0]",
        "name: http",
    ),
    "a label that nearly names the Service": (
        swapped("service-name: web", "service-name: wep"),
        to("10.96.0.10"),
        "if the label of slice web-1 named web, not wep",
        "metadata.labels['kubernetes.io/service-name']",
        "service-name: wep",
    ),
    "a slice of another namespace": (
        NO_SLICE + SHOP[SHOP.rindex("---\n") :].replace("namespace: shop", "namespace: other"),
        to("10.96.0.10"),
        "if slice web-1 were in namespace shop",
        "metadata.namespace",
        "namespace: other",
    ),
    "a label for headless Services": (
        swapped(
            "    kubernetes.io/service-name: web",
            "    kubernetes.io/service-name: web\n    service.kubernetes.io/headless: ''",
        ),
        to("10.96.0.10"),
        "if no label said that slice web-1 is a headless Service's",
        "metadata.labels['service.kubernetes.io/headless']",
        "headless",
    ),
    "a selector that almost matches": (
        NO_SLICE + POD,
        to("10.96.0.10"),
        "if the selector had app: www, as Pod web-1 has",
        "spec.selector['app']",
        "app: web",
    ),
    "another proxy": (
        swapped(
            "  name: web\n  namespace: shop\nspec",
            "  name: web\n  namespace: shop\n"
            "  labels: {service.kubernetes.io/service-proxy-name: x}\nspec",
        ),
        to("10.96.0.10"),
        "if no label left Service shop/web to another proxy",
        "metadata.labels['service.kubernetes.io/service-proxy-name']",
        "service-proxy-name",
    ),
    "a load balancer that is a proxy": (
        swapped("    - ip: 203.0.113.20", "    - ip: 203.0.113.20\n      ipMode: Proxy"),
        to("203.0.113.20"),
        "if ipMode were VIP",
        "status.loadBalancer.ingress[0].ipMode",
        "ipMode: Proxy",
    ),
    "a port that the Service does not have": (
        SHOP,
        to("10.96.0.10", 81),
        "if the Service's port were 81",
        "spec.ports[0].port",
        "port: 80",
    ),
}


IN_IPV6 = {
    "192.0.2.": "2001:db8:2::",
    "10.96.0.": "fd00:96::",
    "203.0.113.": "2001:db8:113::",
    "198.51.100.0/24": "2001:db8:100::/64",
    "198.51.100.": "2001:db8:100::",
    "10.244.1.": "fd00:244:1::",
    "10.244.2.": "fd00:244:2::",
    "addressType: IPv4": "addressType: IPv6",
    "/32": "/128",
}


def in_ipv6(text: str) -> str:
    """Return a text with its addresses of IPv4 in the other family."""
    for old, new in IN_IPV6.items():
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
@pytest.mark.parametrize("mode", sorted(modes.builtin()))
@pytest.mark.parametrize("case", WHY_NOT)
def test_why_not(case: str, mode: str, family: str) -> None:
    """The nearest change is found, with the line of the file, in whatever mode and family."""
    manifest, packet, told, path, line = WHY_NOT[case]
    if family == "IPv6":
        manifest, told = in_ipv6(manifest), in_ipv6(told)
        source, destination = in_ipv6(packet.source), in_ipv6(packet.destination)
        packet = Packet(source, destination, packet.port, packet.protocol)
    found = explain(manifest, packet, mode)
    if mode == "ipvs" and found.is_delivered:
        assert found.remarks  # it sends on what others drop, and says so
        return
    assert not found.is_delivered
    change = next(each for each in found.changes if each.text == told)
    assert change.origin is not None
    assert change.origin.path == path
    assert change.place is not None
    lines = manifest.splitlines()
    assert line in lines[change.place.line - 1]
    assert all(map(_delivers, found.changes))


def test_what_would_not_help_is_not_told() -> None:
    """A cluster IP is no concern of the policy for traffic from outside."""
    both = swapped(
        "externalTrafficPolicy: Local",
        "externalTrafficPolicy: Local\n  internalTrafficPolicy: Local",
        ONLY_ELSEWHERE,
    )
    found = explain(both, to("10.96.0.10"))
    assert [change.text for change in found.changes] == ["if internalTrafficPolicy were Cluster"]


@pytest.mark.parametrize("mode", sorted(modes.builtin()))
def test_each_line_is_one_that_the_mode_writes(mode: str) -> None:
    """From each kind of sender to each frontend, within ranges of sources and without."""
    chosen, state = modes.get(mode), load_bytes(SHOP.encode()).state
    artifact = chosen.full(svcnet.compile(state, node="node-a", mode=mode))
    given = {each.name: True for each in chosen.options if each.name == "jumps"}
    written = chosen.forms["text"].full(artifact, given).text.splitlines()
    frontends = (("10.96.0.10", 80), ("203.0.113.7", 80), ("203.0.113.20", 80))
    for destination, port in (*frontends, ("192.0.2.10", 30080)):
        for source in (CLIENT, POD_HERE, "192.0.2.10", "203.0.113.99", "10.244.1.5"):
            found = explain(SHOP, to(destination, port, source), mode)
            for line in (line for step in steps_of(found) for line in step.lines):
                assert line.tool == "proxy" or line.text in written


ASK_OTHERWISE: dict[str, tuple[str, Packet, str, dict[str, Any]]] = {
    "another protocol": (
        SHOP,
        to("10.96.0.10", protocol="UDP"),
        "if it were asked by TCP: that is shop/web:http",
        {"protocol": "TCP"},
    ),
    "the target port": (
        SHOP,
        to("10.96.0.10", 8080),
        "if port 80/TCP were asked for: 8080 is its target port",
        {"port": 80},
    ),
    "the node port": (
        SHOP,
        to("10.96.0.10", 30080),
        "if port 80/TCP were asked for: 30080 is its node port",
        {"port": 80},
    ),
    "an endpoint itself": (
        SHOP,
        to("10.244.1.5", 8080, "10.244.1.77"),
        "if its Service shop/web:http were asked",
        {"destination": "10.96.0.10", "port": 80},
    ),
    "the node port of another node": (
        SHOP,
        to("192.0.2.11", 30080),
        "on node node-b, whose address 192.0.2.11 is: --node node-b",
        {"destination": "192.0.2.11"},
    ),
    "a node port on no node": (
        SHOP,
        to("192.0.2.99", 30080),
        "if 192.0.2.10, an address of this node, were asked",
        {"destination": "192.0.2.10"},
    ),
}


@pytest.mark.parametrize("case", ASK_OTHERWISE)
def test_another_packet_would_get_through(case: str) -> None:
    manifest, packet, told, fields = ASK_OTHERWISE[case]
    found = explain(manifest, packet)
    assert not found.is_delivered
    change = next(each for each in found.changes if each.text == told)
    assert change.origin is None
    assert {name: getattr(change.packet, name) for name in fields} == fields


def test_with_slices_of_pods() -> None:
    """Pods without slices are only a flag away."""
    found = explain(NO_SLICE + POD.replace("app: www", "app: web"), to("10.96.0.10"))
    assert [change.text for change in found.changes] == [
        "with --from-pods, which makes slices of Pods"
    ]


def test_node_ports_on_addresses_that_do_not_answer() -> None:
    """What the configuration leaves out is told, and an address that answers."""
    loaded = load_bytes(SHOP.encode(), "shop.yaml")
    config = KubeProxyConfiguration(node_port_addresses=("10.0.0.0/8",))
    found = svcnet.explain(loaded, to("192.0.2.10", 30080), config, node="node-a")
    assert "if nodePortAddresses of the configuration had 192.0.2.10" in {
        change.text for change in found.changes
    }


def test_changes_are_few_and_each_lets_it_through() -> None:
    """A thousand endpoints that are not ready are no thousand lines."""
    endpoints = "".join(
        f"- addresses: [10.244.{n // 250}.{n % 250 + 1}]\n  conditions: {{ready: false}}\n"
        for n in range(1000)
    )
    head = SHOP[: SHOP.rindex("endpoints:\n")]
    found = explain(f"{head}endpoints:\n{endpoints}", to("10.96.0.10"))
    assert 0 < len(found.changes) <= 5
    assert all(_delivers(change) for change in found.changes)


def _delivers(change: Remedy) -> bool:
    return any(verdict.to_dict()["kind"] == "deliver" for verdict, _ in change.ends)


@pytest.mark.parametrize(
    "packet",
    [
        Packet("fd00::5", "fd00:96::a", 80),
        Packet("10.244.1.5", "127.0.0.1", 30080),
        Packet("192.0.2.10", "127.0.0.1", 30080, interface="eth0"),
    ],
    ids=["the node's rules are of IPv4", "loopback from a pod", "loopback from outside"],
)
def test_a_packet_that_cannot_be_here_is_refused(packet: Packet) -> None:
    from svcnet.compiler import node_view
    from svcnet.meaning.explanation.explain import explain as explained
    from svcnet.meaning.explanation.question import Question

    state = load_bytes(SHOP.encode()).state
    question = Question(state, node_view(state, node="node-a"), modes.get("iptables"))
    with pytest.raises(UsageError):
        explained(question, packet)


def test_the_picture_parts_where_chances_do() -> None:
    """Each end is one of the picture, and the edges to them have the chances."""
    picture = dot(explain(SHOP, to("10.96.0.10")))
    assert picture.startswith("digraph svcnet {")
    assert picture.count('[label="1/2"]') == 2
    assert picture.count("shape=ellipse") == 2


def test_many_ends_are_told_shortly() -> None:
    """A thousand endpoints fit a screen; the JSON form has all."""
    endpoints = [f"10.244.{n // 250}.{n % 250 + 1}@node-b" for n in range(1000)]
    state = ClusterState.of([make_node(), make_service(), make_slice("web", *endpoints)])
    found = svcnet.explain(state, Packet("10.9.9.9", "10.96.0.10", 80))
    shown = text(found).splitlines()
    assert len(shown) < 500
    assert shown[-1] == "and 976 more ends: -o json has all"
    assert len(found.to_dict()["outcomes"]) == 1000


def test_what_objects_are_called_cannot_move_a_terminal() -> None:
    """Names of files and Services are shown as one line."""
    loaded = load_bytes(SHOP.encode(), "a\x1b[2J\nb.yaml")
    shown = text(svcnet.explain(loaded, to("10.96.0.10"), node="node-a"))
    assert "\x1b" not in shown


def test_from_the_example() -> None:
    """The example's picture is the one that the how-to shows."""
    folder = Path(__file__).parents[2] / "examples/my-service"
    found = svcnet.explain(svcnet.load([folder]), Packet("10.244.1.9", "10.96.0.100", 80))
    assert len(found.outcomes) == 3
    assert all(step.place for step in steps_of(found) if step.origin)
