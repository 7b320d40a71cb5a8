"""The forms of a proxy table: JSON, text for people and iptables-restore, HAProxy, steps."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings

import svcnet
from svcnet.compiler import compile_state, node_view
from svcnet.errors import UsageError
from svcnet.graph import RuleGraph, diff
from svcnet.models import (
    ClusterState,
    KubeProxyConfiguration,
    LoadBalancerIngress,
    Node,
    Service,
    ServicePort,
)
from svcnet.models.state import ClusterObject
from svcnet.renderers import userspace
from svcnet.renderers.userspace import (
    ProxyTable,
    delta,
    document,
    full,
    haproxy_config,
    step_text,
    text,
)
from svcnet.renderers.userspace.portals import CHAINS, portal_rules
from svcnet.testing import make_node, make_service, make_slice
from tests import strategies

HTTP = ServicePort(80, "http", "TCP", 8080, 30080)
DNS = ServicePort(53, "dns", "UDP", 5353)
SCTP = ServicePort(9, "sctp", "SCTP")
PORTS = {"cluster": 40001, "local": 40002, "firewall-cluster": 40003, "firewall-local": 40004}


def graph_of(objects: Sequence[ClusterObject], **config: object) -> RuleGraph:
    """Return the graph of node-a for some objects."""
    state = ClusterState.of(objects)
    configuration = KubeProxyConfiguration(**config)  # type: ignore[arg-type]
    return compile_state(state, node_view(state, configuration, node="node-a"))


def table_of(*objects: ClusterObject) -> ProxyTable:
    """Return the table of a few objects on node-a, whose listeners have ports by role."""
    table = full(graph_of([make_node(), *objects]))
    return table.with_ports({name: PORTS[name.role] for name in table.ports})


def web(**fields: Any) -> Service:
    """Return a Service with every policy, and with ports of every protocol."""
    return make_service(
        type="LoadBalancer",
        ports=(HTTP, SCTP),
        load_balancer_ingress=(LoadBalancerIngress("203.0.113.20"),),
        load_balancer_source_ranges=("198.51.100.0/24", "203.0.113.0/28"),
        external_traffic_policy="Local",
        session_affinity="ClientIP",
        session_affinity_timeout=60,
        health_check_node_port=32000,
        annotations={"svcnet.io/proxy-protocol": "v2"},
        **fields,
    )


SLICE = make_slice("web", "10.244.1.5@node-a", "10.244.2.6@node-b")


def test_document() -> None:
    """The document has everything of the table, in its order."""
    found = json.loads(document(table_of(web(), SLICE)))
    backends = [
        {"address": "10.244.1.5", "port": 8080},
        {"address": "10.244.2.6", "port": 8080},
    ]
    sources = ["198.51.100.0/24", "203.0.113.0/28"]
    local = {"answer": "serve", "backends": backends[:1]}
    cluster = {"answer": "serve", "backends": backends}
    name = {"namespace": "shop", "name": "web"}
    assert found == {
        "version": 1,
        "family": "IPv4",
        "node": {"name": "node-a", "address": "192.0.2.10"},
        "servicePorts": [
            {
                **name,
                "portName": "http",
                "protocol": "TCP",
                "internalTrafficPolicy": "Cluster",
                "externalTrafficPolicy": "Local",
                "affinityTimeout": 60,
                "proxyProtocol": "v2",
                "healthCheckNodePort": 32000,
                "portals": [
                    {
                        "frontend": "cluster-ip",
                        "address": "10.96.0.10",
                        "port": 80,
                        "listener": "cluster",
                        "nearListener": "cluster",
                    },
                    {
                        "frontend": "load-balancer",
                        "address": "203.0.113.20",
                        "port": 80,
                        "listener": "firewall-local",
                        "nearListener": "firewall-cluster",
                    },
                    {
                        "frontend": "node-port",
                        "address": "",
                        "port": 30080,
                        "listener": "local",
                        "nearListener": "cluster",
                    },
                ],
                "listeners": [
                    {"role": "cluster", "port": 40001, **cluster, "sources": []},
                    {"role": "local", "port": 40002, **local, "sources": []},
                    {"role": "firewall-cluster", "port": 40003, **cluster, "sources": sources},
                    {"role": "firewall-local", "port": 40004, **local, "sources": sources},
                ],
            }
        ],
        "unsupported": [
            {
                **name,
                "portName": "sctp",
                "protocol": "SCTP",
                "field": "spec.ports[1].protocol",
                "reason": "port 9 is SCTP, and the userspace proxy carries TCP and UDP",
            }
        ],
    }


def test_document_of_policies() -> None:
    """The policies are those that count: what is asked for is told by the portals."""
    inside = make_service(internal_traffic_policy="Local", external_traffic_policy="Local")
    (found,) = json.loads(document(table_of(inside)))["servicePorts"]
    assert found["internalTrafficPolicy"] == "Local"
    assert found["externalTrafficPolicy"] == "Cluster"
    assert found["listeners"] == [
        {"role": "local", "port": 40002, "answer": "refuse", "backends": [], "sources": []}
    ]


def test_text() -> None:
    """The table is comments with one thing a line; the rules follow."""
    table = table_of(web(), SLICE)
    comments, rules = text(table).split("*filter\n", 1)
    title, *lines = comments.splitlines()
    assert title == "# userspace proxy of node-a, IPv4"
    name, near, far = "shop/web:http/TCP", "10.244.1.5:8080", "10.244.2.6:8080"
    ranges = [("only from 198.51.100.0/24",), ("only from 203.0.113.0/28",)]
    assert [tuple(re.split(" {2,}", line.removeprefix("#").strip())) for line in lines] == [
        ("SERVICE PORT", "STANDS FOR", "SERVED AT", "BACKENDS", "REMARKS"),
        (name, "10.96.0.10:80", "192.0.2.10:40001", near, "affinity 60 s"),
        ("node port 30080 from this node", far, "PROXY protocol"),
        ("health check on port 32000",),
        (name, "node port 30080 from outside", "192.0.2.10:40002", near, "affinity 60 s"),
        ("PROXY protocol",),
        (name, "203.0.113.20:80 from this node", "192.0.2.10:40003", near, "affinity 60 s"),
        (far, "PROXY protocol"),
        *ranges,
        (name, "203.0.113.20:80 from outside", "192.0.2.10:40004", near, "affinity 60 s"),
        ("PROXY protocol",),
        *ranges,
        (f"unsupported: {table.unsupported[0]}",),
    ]
    column = lines[0].index("BACKENDS")
    assert [line[column:].split(" ")[0] for line in lines[1:3]] == [near, far]
    assert f"*filter\n{rules}" == userspace.portals.text(portal_rules(table))


def test_no_line_is_too_long_for_iptables_restore() -> None:
    """With any number of backends a comment stays below 10,240 letters, the tool's buffer."""
    many = [f"10.244.{n // 250}.{n % 250 + 1}" for n in range(2000)]
    found = text(table_of(make_service(), make_slice("web", *many)))
    assert max(map(len, found.splitlines())) < 200
    assert found.count("8080") == 2000


HEAD = """\
# svcnet: the Services on node-a, IPv4
{unsupported}
global
    # On a reload the old process lets its connections go on for this long.
    hard-stop-after 15m

defaults
    mode tcp
    balance roundrobin
    timeout connect 1s
    # As long as Linux remembers an idle connection, and one half of which has ended.
    timeout client 24h
    timeout server 24h
    timeout client-fin 1m
    timeout server-fin 1m
    # A backend that does not answer is no client's concern: the next one is tried.
    retries 3
    option redispatch 1
"""


def test_haproxy() -> None:
    """Each listener that serves has a frontend and a backend; what has nothing is a comment."""
    service = web(internal_traffic_policy="Local")
    config, _ = haproxy_config(table_of(service, make_slice("web", "10.244.2.6@node-b")))
    assert config == HEAD.format(
        unsupported="# unsupported: Service shop/web: spec.ports[1].protocol: "
        "port 9 is SCTP, and the userspace proxy carries TCP and UDP\n"
    ) + (
        """
frontend shop:web:http:cluster
    bind 0.0.0.0:40001
    default_backend shop:web:http:cluster

backend shop:web:http:cluster
    stick-table type ip size 100k expire 60s
    stick on src
    server 10.244.2.6:8080 10.244.2.6:8080 send-proxy-v2

# shop/web:http/TCP (local) has no endpoints on this node: nothing listens on port 40002.

frontend shop:web:http:firewall-cluster
    bind 0.0.0.0:40003
    acl let-in src 198.51.100.0/24 203.0.113.0/28
    tcp-request connection reject unless let-in
    default_backend shop:web:http:firewall-cluster

backend shop:web:http:firewall-cluster
    stick-table type ip size 100k expire 60s
    stick on src
    server 10.244.2.6:8080 10.244.2.6:8080 send-proxy-v2

# shop/web:http/TCP (firewall-local) has no endpoints on this node: nothing listens on port 40004.
"""
    )


def test_haproxy_in_ipv6() -> None:
    """In IPv6 a frontend leaves IPv4 alone, and servers' names have no brackets."""
    service = make_service(cluster_ip="fd00:96::10", session_affinity="ClientIP")
    slices = make_slice("web", "fd00:244::5")
    table = full(graph_of([make_node("node-a", "fd00::10"), service, slices]))
    config, unsupported = haproxy_config(table.with_ports(dict.fromkeys(table.ports, 40001)))
    assert unsupported == ()
    assert "    bind :::40001 v6only\n" in config
    assert "    stick-table type ipv6 size 100k expire 10800s\n" in config
    assert "    server fd00:244::5:8080 [fd00:244::5]:8080\n" in config


def test_haproxy_without_services() -> None:
    """HAProxy starts only if it listens somewhere: where nothing is served, to nobody."""
    for table in (table_of(), table_of(make_service())):
        config, _ = haproxy_config(table)
        assert config.endswith(
            "\nfrontend nothing\n"
            "    # No Service is served now, and HAProxy starts only if it listens somewhere.\n"
            "    bind abns@svcnet-IPv4\n"
            "    tcp-request connection reject\n"
        )


def test_haproxy_carries_no_udp() -> None:
    """A UDP port is named with its field, in the configuration as well; TCP ports are there."""
    config, unsupported = haproxy_config(table_of(make_service(ports=(HTTP, DNS)), SLICE))
    (problem,) = unsupported
    assert str(problem) == (
        "Service shop/web: spec.ports[1].protocol: "
        "port 53 is UDP, and HAProxy carries TCP; svcnet run carries both"
    )
    assert f"# unsupported: {problem}\n" in config
    assert config.count("frontend ") == 1


def test_step_text() -> None:
    """A step marks what goes and comes in the table, and has one line for each rule."""
    old = graph_of([make_node(), make_service("a"), make_slice("a", "10.244.1.5")])
    new = graph_of(
        [
            make_node(),
            make_service("a"),
            make_slice("a", "10.244.1.5", "10.244.1.6"),
            make_service("b", "10.96.0.11", ports=(ServicePort(80, "http", "TCP", 8080), SCTP)),
        ]
    )
    a, b = full(new).ports.values()
    found = step_text(delta(diff(old, new)))
    port = {name.service_port.name: port for name, port in full(new).ports.items()}
    assert {a, b} == set(port.values())
    rule = '-m comment --comment "shop/b:http" -p tcp -m tcp --dport 80 -d 10.96.0.11/32'
    assert found == (
        "# userspace proxy of node-a, IPv4\n"
        "#   SERVICE PORT     STANDS FOR     SERVED AT         BACKENDS               REMARKS\n"
        f"#   shop/a:http/TCP  10.96.0.10:80  192.0.2.10:{port['a']}  10.244.1.5:8080\n"
        f"# +{' ' * 51}10.244.1.6:8080\n"
        f"# + shop/b:http/TCP  10.96.0.11:80  192.0.2.10:{port['b']}  refused: no endpoints\n"
        "# + unsupported: Service shop/b: spec.ports[1].protocol: port 9 is SCTP, and the "
        "userspace proxy carries TCP and UDP\n"
        "*nat\n"
        f"-A KUBE-PORTALS-CONTAINER {rule} -j REDIRECT --to-ports {port['b']}\n"
        f"-A KUBE-PORTALS-HOST {rule} -j DNAT --to-destination 192.0.2.10:{port['b']}\n"
        "COMMIT\n"
    )
    back = step_text(delta(diff(new, old)))
    assert back.count("\n-D ") == 2
    assert "-A " not in back
    assert "# - unsupported: Service shop/b: " in back


def test_nothing_changed() -> None:
    """A step that changes nothing is false, and empty text."""
    graph = graph_of([make_node(), make_service(), SLICE])
    assert not delta(diff(graph, graph))
    assert step_text(delta(diff(graph, graph))) == ""


def test_a_step_to_other_node_port_addresses() -> None:
    """Jumps that the configuration changes are changed; all else stays."""
    objects = (make_node(), make_service(type="NodePort", ports=(HTTP,)))
    old, new = graph_of(objects), graph_of(objects, node_port_addresses=("192.0.2.0/24",))
    last = "handle service NodePorts; NOTE: this must be the last rule in the chain"
    comment = f'-m comment --comment "{last}" -j KUBE-NODEPORT'
    local = "-m addrtype --dst-type LOCAL"
    assert step_text(delta(diff(old, new))) == (
        "*nat\n"
        f"-D PREROUTING {local} {comment}-CONTAINER\n"
        f"-D OUTPUT {local} {comment}-HOST\n"
        f"-A PREROUTING -d 192.0.2.10/32 {comment}-CONTAINER\n"
        f"-A OUTPUT -d 192.0.2.10/32 {comment}-HOST\n"
        "COMMIT\n"
    )


Chains = dict[tuple[str, str], list[str]]


def rules_by_service(rules: Chains) -> dict[tuple[str, str, str], list[str]]:
    """Return the rules of each chain by their first words: a service port's, in their order."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for (table, chain), lines in rules.items():
        for line in lines:
            found.setdefault((table, chain, line.split('"')[1]), []).append(line)
    return found


def stepped(rules: Chains, step: str) -> None:
    """Change rules as iptables-restore would, by the text of a step."""
    table = ""
    for line in step.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line[:2] in ("-D", "-A", "-I"):
            command, chain, rule = line.split(" ", 2)
            lines = rules.setdefault((table, chain), [])
            if command == "-D":
                lines.remove(rule)
            else:
                lines.insert(0 if command == "-I" else len(lines), rule)
        else:
            assert line == "COMMIT" or line.startswith("#")


def rules_of(table: ProxyTable) -> Chains:
    """Return all rules of a table, with the jumps."""
    found: Chains = {(name, chain): [] for name, chains in CHAINS.items() for chain in chains}
    stepped(found, text(table, jumps=True).replace("\n:", "\n#").replace("\n-F", "\n#"))
    return found


@settings(max_examples=150)
@given(
    *(strategies.clusters, strategies.nodes, strategies.configurations),
    *(strategies.clusters, strategies.nodes, strategies.configurations),
)
def test_any_step(
    objects: list[ClusterObject],
    node: Node,
    config: KubeProxyConfiguration,
    other_objects: list[ClusterObject],
    other_node: Node,
    other_config: KubeProxyConfiguration,
) -> None:
    """A step's text leads to the rules of the new table, each service port's in their order."""
    states = [ClusterState.of([*objects, node]), ClusterState.of([*other_objects, other_node])]
    views = [
        node_view(state, one, node="node-a")
        for state, one in zip(states, (config, other_config), strict=True)
    ]
    old, new = (compile_state(s, v) for s, v in zip(states, views, strict=True))
    rules = rules_of(full(old))
    stepped(rules, step_text(delta(diff(old, new))))
    assert rules_by_service(rules) == rules_by_service(rules_of(full(new)))


def test_public_verbs() -> None:
    """``render`` and ``render_delta`` know the mode, and one that is not there is told."""
    old = graph_of([make_node(), make_service()])
    new = graph_of([make_node(), make_service(), SLICE])
    assert svcnet.render(new, mode="userspace") == full(new)
    step = svcnet.graph.diff(old, new)
    assert svcnet.render_delta(step, mode="userspace") == delta(step)
    with pytest.raises(UsageError, match="there are iptables, ipvs, nftables and userspace"):
        svcnet.render(new, mode="ebpf")
