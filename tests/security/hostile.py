"""A cluster of which any text may be somebody's attack, and all that is written of it."""

from __future__ import annotations

import copy
import functools
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import svcnet
from svcnet.discovery import environment as forms
from svcnet.discovery.dns import DNSOptions, records
from svcnet.discovery.dns.zonefile import zone_file
from svcnet.discovery.endpoints import with_slices
from svcnet.errors import Diagnostic, InputError
from svcnet.graph import RuleGraph, dot, dump
from svcnet.models import ClusterState, Host
from svcnet.models.state import ClusterObject
from svcnet.renderers import conntrack, ipvs, monitoring, userspace
from svcnet.sources import load_bytes
from svcnet.sources.kubernetes.narrow import narrow

Path = tuple[str | int, ...]
Place = tuple[int, Path]

PORT = {"name": "http", "protocol": "TCP", "port": 80, "nodePort": 30080, "targetPort": "http"}
OBJECTS: tuple[dict[str, Any], ...] = (
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "labels": {"app": "web"},
            "annotations": {
                "svcnet.io/ipvs-scheduler": "rr",
                "svcnet.io/proxy-protocol": "v2",
                "service.kubernetes.io/topology-mode": "Auto",
                "note": "none",
            },
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.96.0.10",
            "clusterIPs": ["10.96.0.10"],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [PORT, {"name": "dns", "protocol": "UDP", "port": 53, "nodePort": 30053}],
            "externalIPs": ["198.51.100.7"],
            "loadBalancerIP": "198.51.100.8",
            "loadBalancerClass": "example.com/lb",
            "loadBalancerSourceRanges": ["192.0.2.0/24"],
            "sessionAffinity": "ClientIP",
            "internalTrafficPolicy": "Cluster",
            "externalTrafficPolicy": "Local",
            "trafficDistribution": "PreferClose",
            "healthCheckNodePort": 30090,
            "externalName": "",
            "selector": {"app": "web"},
        },
        "status": {
            "loadBalancer": {
                "ingress": [{"ip": "198.51.100.9", "hostname": "lb.example", "ipMode": "VIP"}]
            }
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "old", "namespace": "shop"},
        "spec": {"type": "ExternalName", "externalName": "old.example"},
    },
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "web-1",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "web", "app": "web"},
            "annotations": {"svcnet.io/ipvs-weight": "2"},
        },
        "addressType": "IPv4",
        "ports": [
            {"name": "http", "protocol": "TCP", "port": 8080, "appProtocol": "http"},
            {"name": "dns", "protocol": "UDP", "port": 5353},
        ],
        "endpoints": [
            {
                "addresses": ["10.244.1.5"],
                "nodeName": "node-a",
                "zone": "z1",
                "hostname": "web-0",
                "hints": {"forZones": [{"name": "z1"}], "forNodes": [{"name": "node-a"}]},
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-0", "uid": "u"},
            },
            {"addresses": ["10.244.1.6"], "nodeName": "node-b", "zone": "z1"},
        ],
    },
    {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "plain", "namespace": "shop", "labels": {"app": "plain"}},
        "subsets": [
            {
                "addresses": [
                    {
                        "ip": "10.244.1.7",
                        "hostname": "plain-0",
                        "nodeName": "node-a",
                        "targetRef": {"kind": "Pod", "name": "plain-0"},
                    }
                ],
                "ports": [{"name": "http", "port": 8080}],
            }
        ],
    },
    {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "node-a",
            "labels": {"topology.kubernetes.io/zone": "z1", "kubernetes.io/hostname": "node-a"},
        },
        "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.10"}]},
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "app", "namespace": "shop"},
        "spec": {
            "clusterIP": "10.96.0.20",
            "selector": {"app": "app"},
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http"}],
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "app-0", "namespace": "shop", "labels": {"app": "app"}},
        "spec": {
            "nodeName": "node-a",
            "hostname": "app-0",
            "subdomain": "app",
            "containers": [
                {
                    "name": "c",
                    "ports": [{"name": "http", "protocol": "TCP", "containerPort": 8080}],
                }
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.244.1.8",
            "podIPs": [{"ip": "10.244.1.8"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "plain", "namespace": "shop"},
        "spec": {
            "clusterIP": "10.96.0.21",
            "ports": [{"name": "http", "protocol": "TCP", "port": 80}],
        },
    },
)
TEXTS = (
    "",
    " ",
    "-",
    "-j",
    "--",
    "!",
    "#",
    '"',
    "'",
    "\\",
    "`reboot`",
    "$(reboot)",
    ";reboot",
    "a|b",
    "%s%n",
    "../../etc/passwd",
    " -j ACCEPT",
    "web -j ACCEPT",
    'web" -j ACCEPT -m comment --comment "',
    "10.96.0.11 -j ACCEPT",
    "10.96.0.11/32 -j ACCEPT",
    "10.96.0.11\n-A KUBE-SERVICES -j ACCEPT",
    "web\nCOMMIT\n*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT",
    "web\n",
    "\nweb",
    "web\r\n",
    "web\t",
    "10.96.0.11\n",
    "10.96.0.11\0",
    "10.96.0.11%lo",
    "10.96.0.11/",
    "10.96.0.11/33",
    "10.96.0.11/32\n",
    "10.96.0.0/8,10.0.0.0/8",
    "0.0.0.0/0",
    "::/0",
    "fe80::1%lo",
    "::ffff:10.96.0.11",
    "010.096.000.011",
    "0x0a600a0b",
    "٣.٣.٣.٣",
    "10.96.0.11",
    "fd00::1",
    "web\0",
    "web\x07",
    "web\x1b[2J\x1b]0;owned\x07",
    "web\x7f",
    "web\x85",
    "web\u2028other",
    "web\u202egnp",
    "\ufeffweb",
    "web\ud800",
    "\N{KELVIN SIGN}elvin.example",
    "WEB",
    "wéb",
    "a" * 63,
    "a" * 64,
    "a" * 253,
    "a" * 1_000_000,
    "1" * 5_000,
    "web.shop.svc.cluster.local.",
    "KUBE-SERVICES",
    "None",
    "null",
    "TCP",
    "tcp\nudp",
)
"""What somebody may try; some of it is a good value at some place."""


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every text below a value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


PLACES: tuple[Place, ...] = tuple(
    (number, path)
    for number, item in enumerate(OBJECTS)
    for path in places(item)
    if path not in (("apiVersion",), ("kind",))
)


def attacked(place: Place, value: object) -> list[dict[str, Any]]:
    """Return the cluster with a value at one place."""
    number, path = place
    made = copy.deepcopy(list(OBJECTS))
    inner: Any = made[number]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


def of_api(objects: Iterable[dict[str, Any]]) -> tuple[list[ClusterObject], list[Diagnostic]]:
    """Return what is kept of objects that an API server gave, and what is said of the others."""
    found = [narrow(item["kind"], item, "/api") for item in objects]
    models = [one.model for one in found if one.model is not None]
    return models, [error for one in found for error in one.errors]


def of_manifests(
    objects: list[dict[str, Any]],
) -> tuple[list[ClusterObject], list[Diagnostic]]:
    """Return the same for objects that come in a file; one error refuses all."""
    document = {"apiVersion": "v1", "kind": "List", "items": objects}
    try:
        loaded = load_bytes(json.dumps(document).encode(), "objects.json")
    except InputError as error:
        return [], list(error.diagnostics)
    return list(loaded.objects), list(loaded.warnings)


def compiled(models: Iterable[ClusterObject]) -> tuple[ClusterState, RuleGraph]:
    """Return the state of objects, and the graph of the Node that is among them.

    Services without endpoints have those that Pods make.
    """
    state = with_slices(ClusterState.of(models))
    node = next(iter(state.nodes), "node-a")
    host = Host(addresses=("192.0.2.10", "127.0.0.1"))
    return state, svcnet.compile(state, host=host, node=node, family="IPv4")


def written(models: Iterable[ClusterObject]) -> Mapping[str, str]:
    """Return every text that svcnet writes of objects, by a name for it."""
    state, graph = compiled(models)
    tables, table = ipvs.full(graph), userspace.full(graph)
    summary = monitoring.full(graph)
    zones = records(state, DNSOptions())
    variables = {
        variable.name: variable.value
        for namespace in {key.namespace for key in state.services}
        for variable in forms.environment(state, namespace).variables
    }
    flow = conntrack.Flow("192.0.2.1", 4000, "10.96.0.10", 53, "10.9.9.9", 53, "192.0.2.1", 4000)
    return {
        "iptables": svcnet.render(graph).text_with_jumps,
        "ipvs": ipvs.text(tables, jumps=True),
        "messages": ipvs.listing(ipvs.program(tables)),
        "ipvs json": ipvs.document(tables),
        "userspace": userspace.text(table, jumps=True),
        "userspace json": userspace.document(table),
        "haproxy": userspace.haproxy_config(table)[0],
        "conntrack": str(conntrack.plan([flow], graph)),
        "dump": dump(graph),
        "dot": dot(graph),
        "checks": "".join(f"{check}\n" for check in monitoring.health_checks([summary])),
        "shell": forms.shell(variables),
        "dotenv": forms.dotenv(variables),
        "kubectl": forms.env_list(variables),
        **{origin: zone_file(zones, origin) for origin in zones.options.zones},
    }


_OWN_CHAIN = re.compile(r"\b(KUBE-[A-Z]{2,3})-[A-Z2-7]{16}")
_KEYWORD = re.compile(r"-.*|!|[A-Z]+(?:-[A-Z]+)*|\*\w+|:[A-Z-]+")


def structures(text: str) -> frozenset[tuple[str, ...]]:
    """Return the lines of rules as words, of which only what programs act on is kept.

    That is options, tables, chains and verdicts. All else, which names and addresses are, is
    a dot.
    """
    return frozenset(_structure(line) for line in text.splitlines() if not line.startswith("# "))


@functools.lru_cache(10_000)
def _structure(line: str) -> tuple[str, ...]:
    words = shlex.split(_OWN_CHAIN.sub(r"\1", line))
    return tuple(word if _KEYWORD.fullmatch(word) else "·" for word in words)
