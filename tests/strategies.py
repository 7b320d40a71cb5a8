"""Random clusters and packets, small enough that their parts often meet."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Literal

from attrs import evolve, frozen
from hypothesis import strategies as st

from svcnet.graph import Packet
from svcnet.models import (
    DetectLocalConfiguration,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    IPTablesConfiguration,
    KubeProxyConfiguration,
    LoadBalancerIngress,
    Node,
    Service,
    ServicePort,
)
from svcnet.models.service import ServiceType
from svcnet.models.state import ClusterObject

NODES = ("node-a", "node-b", "")
KINDS: tuple[ServiceType, ...] = ("ClusterIP", "NodePort", "LoadBalancer")
INGRESS_MODES: tuple[tuple[Literal["VIP", "Proxy"], ...], ...] = ((), ("VIP",), ("Proxy",))
ZONES = ("z1", "z2")
NAMES = ("a", "b", "web")
ENDPOINTS = ("10.244.1.5", "10.244.1.9", "10.244.1.10", "10.244.2.6")
EXTERNAL = ("203.0.113.7", "203.0.113.8", "192.0.2.10")
RANGES = ("192.0.2.0/24", "198.51.100.0/24", "10.0.0.0/8")
PORTS = (
    ServicePort(80, "http", "TCP", 8080, 30080),
    ServicePort(53, "dns", "UDP", 5353, 30053),
    ServicePort(53, "dns-tcp", "TCP", 5353, 30054),
)

endpoints = st.builds(
    Endpoint,
    addresses=st.sampled_from(ENDPOINTS).map(lambda address: (address,)),
    node_name=st.sampled_from(NODES),
    ready=st.booleans(),
    serving=st.booleans(),
    terminating=st.booleans(),
    zone_hints=st.sampled_from([(), ("z1",), ("z2",), ("z1", "z2")]),
    node_hints=st.sampled_from([(), (), ("node-a",), ("node-b",)]),
)
slices = st.builds(
    EndpointSlice,
    namespace=st.just("shop"),
    name=st.sampled_from(("s1", "s2", "s3")),
    service_name=st.sampled_from(NAMES),
    ports=st.sampled_from(
        [
            (EndpointPort(8080, "http"), EndpointPort(5353, "dns", "UDP")),
            (EndpointPort(8080, "http"), EndpointPort(5353, "dns-tcp")),
            (EndpointPort(5353, "dns", "UDP"),),
        ]
    ),
    endpoints=st.lists(endpoints, max_size=4).map(tuple),
)


@st.composite
def services(draw: st.DrawFn, names: Sequence[str] = NAMES) -> Service:
    """A Service whose addresses and node ports follow from its name, so that none collide."""
    name = draw(st.sampled_from(names))
    number = NAMES.index(name)
    kind = draw(st.sampled_from(KINDS))
    ports = tuple(
        ServicePort(
            port.port,
            port.name,
            port.protocol,
            port.target_port,
            0 if kind == "ClusterIP" else port.node_port + 100 * number,
        )
        for port in PORTS[: draw(st.integers(1, 3))]
    )
    ingress = tuple(
        LoadBalancerIngress(f"203.0.113.{20 + number}", mode)
        for mode in draw(st.sampled_from(INGRESS_MODES))
    )
    external = draw(st.sampled_from([(), (f"203.0.113.{40 + number}",), (EXTERNAL[number],)]))
    return Service(
        namespace="shop",
        name=name,
        ports=ports,
        type=kind,
        cluster_ips=(f"10.96.0.{10 + number}",),
        external_ips=external,
        load_balancer_ingress=ingress if kind == "LoadBalancer" else (),
        load_balancer_source_ranges=draw(st.sampled_from([(), RANGES[:1], RANGES[1:]])),
        session_affinity=draw(st.sampled_from(("None", "ClientIP"))),
        internal_traffic_policy=draw(st.sampled_from(("Cluster", "Local"))),
        external_traffic_policy=draw(st.sampled_from(("Cluster", "Local"))),
        health_check_node_port=32000 + number if kind == "LoadBalancer" else 0,
        annotations=draw(st.sampled_from([{}, {"service.kubernetes.io/topology-mode": "Auto"}])),
    )


CLAIMED = ("10.96.0.10", "10.96.0.11", "203.0.113.7", "203.0.113.8", "192.0.2.10")
"""Cluster IPs and the node's own address among what Services claim from outside."""


@st.composite
def claims(draw: st.DrawFn, name: str) -> Service:
    """A Service that claims what another one has, even where the API server would not let it."""
    service = draw(services((name,)))
    some = st.lists(st.sampled_from(CLAIMED), max_size=2, unique=True)
    is_balanced = service.type == "LoadBalancer"
    return evolve(
        service,
        ports=tuple(
            evolve(port, port=draw(st.sampled_from((port.port, 30080))))
            for port in service.ports[:2]
        ),
        external_ips=tuple(draw(some)),
        load_balancer_ingress=tuple(
            LoadBalancerIngress(address, "VIP") for address in draw(some) if is_balanced
        ),
        health_check_node_port=draw(st.sampled_from((32000, 30080))) if is_balanced else 0,
    )


@st.composite
def _rivals(draw: st.DrawFn) -> list[ClusterObject]:
    found: list[ClusterObject] = []
    for name in draw(st.sampled_from((NAMES, NAMES[:2], NAMES[1:], NAMES[::2]))):
        found += draw(claims(name)), evolve(draw(slices), name=name, service_name=name)
    return found


objects: st.SearchStrategy[ClusterObject] = services() | slices
rivals = _rivals()
"""Clusters in which several Services claim one address and port."""

clusters = st.lists(objects, max_size=12)
nodes = st.builds(
    Node,
    name=st.just("node-a"),
    addresses=st.sampled_from([("192.0.2.10",), ("192.0.2.10", "203.0.113.8")]),
    labels=st.sampled_from([{}, {"topology.kubernetes.io/zone": "z1"}]),
)
configurations = st.builds(
    KubeProxyConfiguration,
    cluster_cidrs=st.sampled_from([(), ("10.244.0.0/16",)]),
    detect_local_mode=st.sampled_from(("", "BridgeInterface", "InterfaceNamePrefix")),
    detect_local=st.just(DetectLocalConfiguration("cni0", "veth")),
    node_port_addresses=st.sampled_from([(), ("192.0.2.0/24",), ("127.0.0.0/8",)]),
    iptables=st.builds(
        IPTablesConfiguration,
        masquerade_all=st.booleans(),
        localhost_node_ports=st.booleans(),
    ),
)
packets = st.builds(
    Packet,
    source=st.sampled_from((*ENDPOINTS, "198.51.100.9", "192.0.2.77", "192.0.2.10")),
    destination=st.sampled_from(
        (
            *(f"10.96.0.{n}" for n in (10, 11, 12)),
            *(f"203.0.113.{n}" for n in (20, 21, 22, 40, 41, 42)),
            *EXTERNAL,
        )
    ),
    port=st.sampled_from((80, 53, 30080, 30180, 30280, 30053, 30154)),
    protocol=st.sampled_from(("TCP", "UDP")),
    interface=st.sampled_from(("eth0", "cni0", "veth12")),
    remembered=st.sets(st.sampled_from([f"{a}:8080" for a in ENDPOINTS]), max_size=2).map(
        frozenset
    ),
)


@st.composite
def spellings(draw: st.DrawFn, address: str) -> str:
    """An address or network in another spelling that the API server takes."""
    head, slash, length = address.partition("/")
    if ":" not in head:
        octets = head.split(".")
        if slash and draw(st.booleans()):
            octets[3] = "77"
        how = draw(st.sampled_from(("plain", "plain", "zeros", "mapped")))
        if how == "zeros":
            octets = [octet.zfill(3) for octet in octets]
        plain = ".".join(octets)
        mapped = how == "mapped" and not slash
        return f"::ffff:{plain}" if mapped else f"{plain}{slash}{length}"
    value = ip_address(head) + (draw(st.integers(0, 9)) if slash else 0)
    forms = (value.compressed, value.exploded, value.exploded.replace(":0000", ":0"))
    text = draw(st.sampled_from(forms))
    if draw(st.booleans()) and text == value.exploded:
        tail = ip_address(int(value) & 0xFFFFFFFF)
        text = f"{text.rpartition(':')[0].rpartition(':')[0]}:{tail}"
    return f"{text.upper() if draw(st.booleans()) else text}{slash}{length}"


@frozen
class Manifests:
    """Manifests of a random cluster, and a configuration, as plain values."""

    objects: list[dict[str, Any]]
    config: dict[str, Any]


_SPELLED = {
    "IPv4": (
        ("10.96.0.10", "10.96.0.11", "10.100.0.7"),
        ("203.0.113.7", "203.0.113.80"),
        ("198.51.100.0/24", "0.0.0.0/0", "10.0.0.8/32", "192.0.0.0/9"),
        ("10.244.1.5", "10.244.1.9", "10.0.0.1"),
        ("192.0.2.0/24", "0.0.0.0/0"),
    ),
    "IPv6": (
        ("fd00:10:96::a", "fd00:10:96::1:0:0:b", "fd00:0:0:96:0:0:0:c"),
        ("2001:db8:cb::7", "64:ff9b::cb00:7150"),
        ("2001:db8:33::/64", "::/0", "2001:db8::5/128", "fd00:10:244:1:8000::/65"),
        ("fd00:10:244:1::11", "fd00:0:0:1::1", "::a00:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:db8:a::/64", "::/0"),
    ),
}


@st.composite
def spelled_manifests(draw: st.DrawFn, family: str) -> Manifests:
    """A cluster of one family, each of its addresses in any spelling."""
    cluster_ips, externals, ranges, backends, node_ports = _SPELLED[family]

    def some(addresses: tuple[str, ...], least: int = 0) -> list[str]:
        chosen = draw(st.lists(st.sampled_from(addresses), unique=True, min_size=least))
        return [draw(spellings(address)) for address in chosen]

    objects: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "node-a"},
            "spec": {"podCIDRs": some(ranges[:1] + ranges[3:], 1)[:1]},
            "status": {
                "addresses": [
                    {
                        "type": "InternalIP",
                        "address": "192.0.2.10" if family == "IPv4" else "2001:db8:a::10",
                    }
                ]
            },
        }
    ]
    for number, cluster_ip in enumerate(some(cluster_ips, 1)):
        name = f"web-{number}"
        kind = draw(st.sampled_from(KINDS))
        spec: dict[str, Any] = {
            "type": kind,
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "ipFamilies": [family],
            "sessionAffinity": draw(st.sampled_from(("None", "ClientIP"))),
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}],
            "externalIPs": [draw(spellings(externals[0]))] if number == 0 else [],
        }
        status: dict[str, Any] = {}
        if kind != "ClusterIP":
            spec["ports"][0]["nodePort"] = 30080 + number
            spec["externalTrafficPolicy"] = draw(st.sampled_from(("Cluster", "Local")))
        if kind == "LoadBalancer" and number < 2:
            spec["loadBalancerSourceRanges"] = some(ranges)
            status = {"loadBalancer": {"ingress": [{"ip": draw(spellings(externals[1]))}]}}
            if spec["externalTrafficPolicy"] == "Local":
                spec["healthCheckNodePort"] = 32000 + number
        meta = {"name": name, "namespace": "shop"}
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": meta,
                "spec": spec,
                "status": status,
            }
        )
        # Endpoints in other spellings than these are no addresses of their family.
        found = [text for text in some(backends) if not text.startswith(("0", "::f", "::F"))]
        usable = [text for text in found if family == "IPv6" or text.count(".0") <= 2]
        objects.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    **meta,
                    "name": f"{name}-1",
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": family,
                "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
                "endpoints": [
                    {"addresses": [text], "conditions": {"ready": True}, "nodeName": "node-a"}
                    for text in usable
                ],
            }
        )
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clusterCIDR": draw(spellings(draw(st.sampled_from(ranges[:1] + ranges[3:])))),
        "detectLocalMode": draw(st.sampled_from(("", "ClusterCIDR", "NodeCIDR"))),
        "nodePortAddresses": some(node_ports),
    }
    return Manifests(objects, config)
