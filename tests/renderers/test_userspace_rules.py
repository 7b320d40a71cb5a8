"""The portal rules: their text, their order, and what a node's configuration makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.graph import NodeSettings
from svcnet.models import (
    ClusterState,
    DetectLocalConfiguration,
    KubeProxyConfiguration,
    LoadBalancerIngress,
    Service,
    ServicePort,
)
from svcnet.models.state import ClusterObject
from svcnet.renderers.userspace import full, portal_rules
from svcnet.renderers.userspace.portals import PortalRules, jumps, text
from svcnet.testing import make_node, make_service

PORTS = {"cluster": 40001, "local": 40002, "firewall-cluster": 40003, "firewall-local": 40004}


def rules_of(service: Service, *nodes: ClusterObject, **config: object) -> PortalRules:
    """Return a Service's rules on node-a, whose listeners have ports by role."""
    state = ClusterState.of([*(nodes or [make_node()]), service])
    view = node_view(state, KubeProxyConfiguration(**config), node="node-a")  # type: ignore[arg-type]
    table = full(compile_state(state, view))
    return portal_rules(table.with_ports({name: PORTS[name.role] for name in table.ports}))


def lines(rules: PortalRules) -> list[str]:
    """Return the rules with their chains."""
    return [f"{rule.chain} {rule.text}" for rule in rules.rules]


def web(**fields: Any) -> Service:
    """Return a Service that is reached in every way."""
    return make_service(
        **{
            "type": "LoadBalancer",
            "ports": (ServicePort(80, "http", "TCP", 8080, 30080),),
            "external_ips": ("203.0.113.7",),
            "load_balancer_ingress": (LoadBalancerIngress("203.0.113.20"),),
            **fields,
        }
    )


def test_text() -> None:
    """The whole text has the chains, comments and order of matches of Kubernetes's proxy."""
    comment = '-m comment --comment "shop/web:http" -p tcp -m tcp'
    assert text(rules_of(web())) == (
        "*filter\n"
        ":KUBE-NODEPORT-NON-LOCAL - [0:0]\n"
        f"-A KUBE-NODEPORT-NON-LOCAL {comment} --dport 40001 -m state --state NEW -j ACCEPT\n"
        "COMMIT\n"
        "*nat\n"
        ":KUBE-PORTALS-CONTAINER - [0:0]\n"
        ":KUBE-PORTALS-HOST - [0:0]\n"
        ":KUBE-NODEPORT-CONTAINER - [0:0]\n"
        ":KUBE-NODEPORT-HOST - [0:0]\n"
        f"-A KUBE-PORTALS-CONTAINER {comment} --dport 80 -d 10.96.0.10/32 "
        "-j REDIRECT --to-ports 40001\n"
        f"-A KUBE-PORTALS-CONTAINER {comment} --dport 80 -d 203.0.113.7/32 "
        "-m physdev ! --physdev-is-in -j REDIRECT --to-ports 40001\n"
        f"-A KUBE-PORTALS-CONTAINER {comment} --dport 80 -d 203.0.113.7/32 "
        "-m addrtype --dst-type LOCAL -j REDIRECT --to-ports 40001\n"
        f"-A KUBE-PORTALS-CONTAINER {comment} --dport 80 -d 203.0.113.20/32 "
        "-j REDIRECT --to-ports 40001\n"
        f"-A KUBE-PORTALS-HOST {comment} --dport 80 -d 10.96.0.10/32 "
        "-j DNAT --to-destination 192.0.2.10:40001\n"
        f"-A KUBE-PORTALS-HOST {comment} --dport 80 -d 203.0.113.7/32 "
        "-m addrtype --dst-type LOCAL -j DNAT --to-destination 192.0.2.10:40001\n"
        f"-A KUBE-PORTALS-HOST {comment} --dport 80 -d 203.0.113.20/32 "
        "-j DNAT --to-destination 192.0.2.10:40001\n"
        f"-A KUBE-NODEPORT-CONTAINER {comment} --dport 30080 -j REDIRECT --to-ports 40001\n"
        f"-A KUBE-NODEPORT-HOST {comment} --dport 30080 "
        "-j DNAT --to-destination 192.0.2.10:40001\n"
        "COMMIT\n"
    )


def test_text_with_jumps() -> None:
    """Portals are matched before all else in the built-in chains, node ports after all else."""
    rules = rules_of(make_service())
    cluster_ips = "handle ClusterIPs; NOTE: this must be before the NodePort rules"
    node_ports = "handle service NodePorts; NOTE: this must be the last rule in the chain"
    local = "-m addrtype --dst-type LOCAL"
    end = "COMMIT\n"
    filters, nat = text(rules).split(end, 1)
    assert text(rules, with_jumps=True) == (
        f"{filters}"
        "-F INPUT\n"
        "-I INPUT -m state --state NEW "
        '-m comment --comment "Ensure that non-local NodePort traffic can flow" '
        "-j KUBE-NODEPORT-NON-LOCAL\n"
        "COMMIT\n"
        f"{nat.removesuffix(end)}"
        "-F PREROUTING\n"
        "-F OUTPUT\n"
        f'-I PREROUTING -m comment --comment "{cluster_ips}" -j KUBE-PORTALS-CONTAINER\n'
        f'-I OUTPUT -m comment --comment "{cluster_ips}" -j KUBE-PORTALS-HOST\n'
        f'-A PREROUTING {local} -m comment --comment "{node_ports}" -j KUBE-NODEPORT-CONTAINER\n'
        f'-A OUTPUT {local} -m comment --comment "{node_ports}" -j KUBE-NODEPORT-HOST\n'
        "COMMIT\n"
    )


def test_ipv6() -> None:
    """In IPv6 a portal is a /128 and the node's address has brackets."""
    service = make_service(cluster_ip="fd00:96::10", ports=(ServicePort(53, "", "UDP", 5353),))
    comment = '-m comment --comment "shop/web" -p udp -m udp --dport 53 -d fd00:96::10/128'
    assert lines(rules_of(service, make_node("node-a", "fd00::10"))) == [
        f"KUBE-PORTALS-CONTAINER {comment} -j REDIRECT --to-ports 40001",
        f"KUBE-PORTALS-HOST {comment} -j DNAT --to-destination [fd00::10]:40001",
    ]


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"cluster_cidrs": ("10.244.0.0/16",)}, " -s 10.244.0.0/16"),
        ({"detect_local_mode": "BridgeInterface"}, " -i cni0"),
        ({"detect_local_mode": "InterfaceNamePrefix"}, " -i veth+"),
        ({}, ""),
    ],
)
def test_near_and_far(config: dict[str, object], match: str) -> None:
    """With policy Local pods that can be told go to the listener for the node and its pods."""
    detect = DetectLocalConfiguration("cni0", "veth")
    service = web(
        external_traffic_policy="Local",
        load_balancer_source_ranges=("198.51.100.0/24",),
        health_check_node_port=32000,
    )
    comment = '-m comment --comment "shop/web:http" -p tcp -m tcp'

    def portal(address: str, extra: str, far: int, near: int) -> list[str]:
        head = f"KUBE-PORTALS-CONTAINER {comment} --dport 80 -d {address}/32"
        pods = f"{head}{match}{extra} -j REDIRECT --to-ports {near}"
        rest = f"{head}{extra} -j REDIRECT --to-ports {far}"
        return [pods, rest] if match and near != far else [rest]

    def host(address: str, extra: str, near: int) -> str:
        head = f"KUBE-PORTALS-HOST {comment} --dport 80 -d {address}/32"
        return f"{head}{extra} -j DNAT --to-destination 192.0.2.10:{near}"

    node_port = f"KUBE-NODEPORT-CONTAINER {comment} --dport 30080"
    check = comment.replace("http", "http health check node port")
    check = f"KUBE-NODEPORT-NON-LOCAL {check}"
    let_in = f"KUBE-NODEPORT-NON-LOCAL {comment} --dport"
    assert lines(rules_of(service, detect_local=detect, **config)) == [
        *portal("10.96.0.10", "", 40001, 40001),
        host("10.96.0.10", "", 40001),
        *portal("203.0.113.7", " -m physdev ! --physdev-is-in", 40002, 40001),
        *portal("203.0.113.7", " -m addrtype --dst-type LOCAL", 40002, 40001),
        host("203.0.113.7", " -m addrtype --dst-type LOCAL", 40001),
        *portal("203.0.113.20", "", 40004, 40003),
        host("203.0.113.20", "", 40003),
        *([f"{node_port}{match} -j REDIRECT --to-ports 40001"] if match else []),
        f"{node_port} -j REDIRECT --to-ports 40002",
        f"KUBE-NODEPORT-HOST {comment} --dport 30080 -j DNAT --to-destination 192.0.2.10:40001",
        f"{let_in} 40002 -m state --state NEW -j ACCEPT",
        f"{let_in} 40001 -m state --state NEW -j ACCEPT",
        f"{check} --dport 32000 -m state --state NEW -j ACCEPT",
    ]


@pytest.mark.parametrize(
    ("settings", "destinations"),
    [
        (NodeSettings("IPv4", localhost_node_ports=True), ["-m addrtype --dst-type LOCAL"]),
        (NodeSettings("IPv4"), ["! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL"]),
        (NodeSettings("IPv6"), ["! -d ::1/128 -m addrtype --dst-type LOCAL"]),
        (
            NodeSettings("IPv4", node_port_addresses=("192.0.2.10", "192.0.2.11")),
            ["-d 192.0.2.10/32", "-d 192.0.2.11/32"],
        ),
        (NodeSettings("IPv4", node_port_addresses=()), []),
    ],
)
def test_where_node_ports_are_served(settings: NodeSettings, destinations: list[str]) -> None:
    """Node ports are served on the addresses that nodePortAddresses picks, else on all."""
    found = [jump for jump in jumps(settings) if jump.place == "last"]
    for chain in ("PREROUTING", "OUTPUT"):
        texts = [jump.rule.partition(" -m comment")[0] for jump in found if jump.chain == chain]
        assert texts == destinations


def test_a_health_check_is_asked_by_tcp() -> None:
    """Whatever the service port's protocol is, its health check is a port of TCP."""
    rules = rules_of(
        make_service(
            type="LoadBalancer",
            ports=(ServicePort(53, "dns", "UDP", 5353),),
            external_traffic_policy="Local",
            health_check_node_port=32000,
        )
    )
    (rule,) = [rule for rule in rules.rules if rule.table == "filter"]
    assert "-p tcp -m tcp --dport 32000" in rule.text
