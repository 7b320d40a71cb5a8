"""Manifests that are right, and what becomes of them: other values, other keys, other text.

A document is kept as :class:`Pairs`, so that a key may be there twice, with :class:`Plain` for
text that is written as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

from attrs import frozen
from hypothesis import strategies as st

FULL: dict[str, dict[str, Any]] = {
    "Service": {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "labels": {"app": "web"},
            "annotations": {
                "svcnet.io/ipvs-scheduler": "lc",
                "service.kubernetes.io/topology-mode": "Auto",
            },
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.96.0.10",
            "clusterIPs": ["10.96.0.10", "fd00:10:96::a"],
            "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "PreferDualStack",
            "externalIPs": ["203.0.113.7"],
            "loadBalancerSourceRanges": ["198.51.100.0/24"],
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 600}},
            "internalTrafficPolicy": "Cluster",
            "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 32000,
            "publishNotReadyAddresses": False,
            "trafficDistribution": "PreferClose",
            "selector": {"app": "web"},
            "ports": [
                {
                    "name": "http",
                    "protocol": "TCP",
                    "appProtocol": "http",
                    "port": 80,
                    "targetPort": "http",
                    "nodePort": 30080,
                },
                {
                    "name": "dns",
                    "protocol": "UDP",
                    "port": 53,
                    "targetPort": 5353,
                    "nodePort": 30053,
                },
            ],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.20", "ipMode": "VIP"}]}},
    },
    "EndpointSlice": {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "web-1",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "web"},
            "annotations": {"svcnet.io/ipvs-weight": "3"},
        },
        "addressType": "IPv4",
        "ports": [
            {"name": "http", "protocol": "TCP", "port": 8080, "appProtocol": "http"},
            {"name": "dns", "protocol": "UDP", "port": 5353},
        ],
        "endpoints": [
            {
                "addresses": ["10.244.1.5"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "hostname": "web-0",
                "nodeName": "node-a",
                "zone": "z1",
                "hints": {"forZones": [{"name": "z1"}], "forNodes": [{"name": "node-a"}]},
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-0"},
            },
            {"addresses": ["10.244.2.6"], "conditions": {"ready": False}, "nodeName": "node-b"},
        ],
    },
    "Endpoints": {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "db", "namespace": "shop"},
        "subsets": [
            {
                "addresses": [
                    {
                        "ip": "10.244.3.7",
                        "hostname": "db-0",
                        "nodeName": "node-a",
                        "targetRef": {"kind": "Pod", "namespace": "shop", "name": "db-0"},
                    }
                ],
                "notReadyAddresses": [{"ip": "10.244.3.8"}],
                "ports": [{"name": "", "port": 5432, "protocol": "TCP", "appProtocol": "x.io/pg"}],
            }
        ],
    },
    "Node": {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "node-a", "labels": {"topology.kubernetes.io/zone": "z1"}},
        "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:10:244:1::/64"]},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": "192.0.2.10"},
                {"type": "InternalIP", "address": "2001:db8:a::10"},
                {"type": "Hostname", "address": "node-a"},
            ]
        },
    },
    "Pod": {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {
            "nodeName": "node-a",
            "hostname": "web-0",
            "subdomain": "web",
            "hostNetwork": False,
            "enableServiceLinks": True,
            "containers": [
                {
                    "name": "web",
                    "image": "web:1",
                    "env": [{"name": "A", "value": "b"}],
                    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                }
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.244.1.5",
            "podIPs": [{"ip": "10.244.1.5"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    },
    "ServiceCIDR": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": ["10.96.0.0/12", "fd00:10:96::/108"]},
    },
}
"""One object of each kind with every field that is read."""

CONFIGURATION: dict[str, Any] = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "ipvs",
    "hostnameOverride": "node-a",
    "bindAddress": "0.0.0.0",
    "clusterCIDR": "10.244.0.0/16,fd00:10:244::/48",
    "detectLocalMode": "BridgeInterface",
    "detectLocal": {"bridgeInterface": "cni0", "interfaceNamePrefix": "veth"},
    "nodePortAddresses": ["192.0.2.0/24", "2001:db8:a::/64"],
    "portRange": "30000-31000",
    "healthzBindAddress": "0.0.0.0:10256",
    "metricsBindAddress": "127.0.0.1:10249",
    "configSyncPeriod": "15m0s",
    "iptables": {
        "masqueradeBit": 14,
        "masqueradeAll": True,
        "localhostNodePorts": False,
        "syncPeriod": "30s",
        "minSyncPeriod": "1s",
    },
    "ipvs": {
        "scheduler": "rr",
        "strictARP": True,
        "excludeCIDRs": ["10.9.0.0/16"],
        "tcpTimeout": "1h",
        "tcpFinTimeout": "2m",
        "udpTimeout": "5m",
        "syncPeriod": "30s",
        "minSyncPeriod": "0s",
    },
    "nftables": {"masqueradeBit": 14, "masqueradeAll": False, "syncPeriod": "30s"},
    "conntrack": {
        "maxPerCore": 32768,
        "min": 131072,
        "tcpEstablishedTimeout": "24h0m0s",
        "tcpCloseWaitTimeout": "1h0m0s",
        "tcpBeLiberal": True,
        "udpTimeout": "30s",
        "udpStreamTimeout": "3m",
    },
    "featureGates": {"AllowServiceExternalIPs": False},
    "clientConnection": {"kubeconfig": "/etc/kubeconfig", "qps": 5, "burst": 10},
}
HOST: dict[str, Any] = {
    "addresses": ["192.0.2.10", "127.0.0.1", "2001:db8:a::10"],
    "iptablesRandomFully": True,
    "conntrackTCPBeLiberal": False,
}


@frozen
class Plain:
    """A scalar that YAML has as it stands, without quotes."""

    text: str


@frozen
class Nested:
    """A value in so many lists or mappings that it is better not to have them."""

    value: Any
    depth: int
    is_list: bool


class Pairs(list[tuple[str, Any]]):
    """A mapping, in which a key may be there several times."""


Path: TypeAlias = tuple[int, ...]

# Each way to write a scalar that some reader of YAML takes for something else than text.
SCALARS = (
    *("", "~", "null", "Null", "y", "n", "Yes", "no", "on", "OFF", "true", "True", "FALSE"),
    *("0", "-0", "+1", "80", "080", "0080", "0o17", "017", "0x1F", "0b11", "1_000", "-1", "1:20"),
    *("1e3", "90.0", "8.5", "1e400", ".inf", "-.INF", ".nan", "0e12", "72225e2", "9" * 40, "1."),
    *("2026-11-28", "2026-11-28T10:00:00Z", "=", "<<", "!x y", "!!str 80", "!!int '80'"),
    *(
        "!!binary aGk=",
        "!!set {a}",
        "!!timestamp 2026-11-28",
        "&a x",
        "*a",
        "!!python/name:os.system",
    ),
    *("@x", "`x", "%x", "? x", "- x", "a: b", "a #b", "'it''s'", '"\\x41"', '"\\ud800"', "[a", "}"),
    *("|\n x", ">-\n x", "{}", "[]", "None", "'None'", "10.96.0.1", "::ffff:10.0.0.1", "010.0.0.1"),
)
TEXTS = (
    "",
    " ",
    "web",
    "Web",
    "web.",
    "-",
    "0",
    "0a",
    "a" * 63,
    "a" * 64,
    "a.b",
    "None",
    "IPv4",
    "TCP",
    "tcp",
    "Local",
    "10.0.0.1",
    "010.050.001.021",
    "::ffff:10.50.1.21",
    "fe80::1%eth0",
    "10.0.0.0/8",
    "10.0.0.0/8 ",
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/33",
    "127.0.0.1",
    "224.0.0.1",
    "http",
    "80",
    "8080-9090",
    "-j ACCEPT",
    'a" -j ACCEPT --comment "b',
    "a\nCOMMIT\n*filter\n-A INPUT -j ACCEPT",
    "a\r\n",
    "a\\",
    "'",
    '"',
    "$(id)",
    "a b",
    "\0",
    "\x1b[2J",
    "\x7f",
    "\x85",
    "\u2028",
    "\ufeff",
    "\u202e",
    "café",
    "cafe\u0301",
    "\u0661\u0662",  # digits, but not those of ASCII
    "\uff57eb",  # a w of full width
    "\U0001f600",
    "\ud800",
    "\udfff\ud800",
    "x" * 5000,
    "9" * 400,
)
NUMBERS = (
    *(0, 1, -1, 80, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64),
    *(10**30, -(2**63) - 1, 0.0, -0.0, 0.5, 80.0, 1e3, 1e308, float("inf"), float("nan")),
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(TEXTS),
    st.text(max_size=12),
    st.sampled_from(SCALARS).map(Plain),
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.tuples(st.sampled_from(("name", "ip", "port", "a")), inner), max_size=3).map(
            Pairs
        )
    ),
    max_leaves=6,
)


def pairs_of(value: Any) -> Any:
    """Return a plain value with mappings as pairs, all its own."""
    if isinstance(value, dict):
        return Pairs((key, pairs_of(item)) for key, item in value.items())
    return [pairs_of(item) for item in value] if isinstance(value, list) else value


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every value in a document, as numbers of members."""
    yield path
    if isinstance(value, list):
        for index, item in enumerate(value):
            inner = item[1] if isinstance(value, Pairs) else item
            yield from places(inner, (*path, index))


def changed(value: Any, path: Path, change: Any) -> Any:
    """Return a document in which `change` gave what is at `path`."""
    if not path:
        return change(value)
    made = type(value)(value)
    first, rest = path[0], path[1:]
    if isinstance(value, Pairs):
        made[first] = (value[first][0], changed(value[first][1], rest, change))
    else:
        made[first] = changed(value[first], rest, change)
    return made


@st.composite
def damaged(draw: st.DrawFn, whole: Any, most: int = 3) -> Any:
    """Return a document with something else at up to `most` places."""
    for _ in range(draw(st.integers(0, most))):
        path = draw(st.sampled_from(list(places(whole))))
        whole = changed(whole, path, draw(st.sampled_from(_CHANGES))(draw))
    return whole


def _replaced(draw: st.DrawFn) -> Any:
    put = draw(values)
    return lambda _: put


def _alike(draw: st.DrawFn) -> Any:
    """A value of the type that was there, so that more of what is made is right."""
    flag, number, text = (
        draw(st.booleans()),
        draw(st.integers(0, 70_000)),
        draw(st.sampled_from(TEXTS)),
    )

    def change(value: Any) -> Any:
        match value:
            case bool():
                return flag
            case int():
                return number
            case str():
                return text
            case Pairs():
                return Pairs()
            case _:
                return []

    return change


def _renamed(draw: st.DrawFn) -> Any:
    """Keys of a mapping with another name: misspelt, in another case, or of any text."""
    how = draw(st.sampled_from(("lower", "cut", "any", "twice", "drop", "add")))
    name, put = draw(st.sampled_from(TEXTS) | st.text(max_size=6)), draw(values)
    number = draw(st.integers(0, 20))

    def change(value: Any) -> Any:
        if not isinstance(value, Pairs) or not value:
            return value
        at = number % len(value)
        key, item = value[at]
        new = {"lower": key.lower(), "cut": key[:-1], "any": name}.get(how, key)
        if how == "drop":
            return Pairs([*value[:at], *value[at + 1 :]])
        if how == "twice":
            return Pairs([*value, (key, put)])
        if how == "add":
            return Pairs([*value, (name, put)])
        return Pairs([*value[:at], (new, item), *value[at + 1 :]])

    return change


def _wrapped(draw: st.DrawFn) -> Any:
    depth, is_list = draw(st.sampled_from((1, 2, 50, 250, 20_000))), draw(st.booleans())
    return lambda value: Nested(value, depth, is_list)


def _many(draw: st.DrawFn) -> Any:
    count = draw(st.sampled_from((0, 2, 3, 101)))
    return lambda value: list(value) * count if type(value) is list else value


_CHANGES = (_replaced, _alike, _alike, _alike, _renamed, _renamed, _wrapped, _many)


def as_json(value: Any) -> str:
    """Return JSON as a bad writer makes it: with NaN, halves of surrogates and keys twice."""
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{as_json(key)}:{as_json(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(as_json, value)) + "]"
    if isinstance(value, Nested):
        start, end = ("[", "]") if value.is_list else ('{"a":', "}")
        return start * value.depth + as_json(value.value) + end * value.depth
    return json.dumps(value.text if isinstance(value, Plain) else value)


def as_yaml(value: Any, indent: str = "") -> str:
    """Return YAML in block style, text in double quotes and what is :class:`Plain` without."""
    if isinstance(value, list) and value:
        lines = []
        for item in value:
            head = f"{as_json(item[0])}:" if isinstance(value, Pairs) else "-"
            inner = item[1] if isinstance(value, Pairs) else item
            nested = isinstance(inner, list) and inner
            text = as_yaml(inner, f"{indent}  ")
            lines.append(f"{indent}{head}\n{text}" if nested else f"{indent}{head} {text}\n")
        return "".join(lines)
    return value.text if isinstance(value, Plain) else as_json(value)


PIECES = (
    *(
        b"",
        b"\n",
        b"\r",
        b"\t",
        b" ",
        b"\0",
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
    ),
    *(b"\xc2\x85", b"\xe2\x80\xa8", b"---\n", b"\n---\n", b"\n...\n", b"--- ", b"%YAML 1.1\n"),
    *(b"%TAG ! tag:x,2000:\n", b"&a ", b"*a", b"!!binary ", b"!!omap ", b"!x ", b"<<: ", b"? "),
    *(
        b": ",
        b"- ",
        b"| \n",
        b">-\n",
        b"'",
        b'"',
        b"#",
        b" #",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"=",
        b"@",
    ),
    *(
        b"`",
        b"[" * 300,
        b"{" * 300,
        b"- " * 300,
        b"{}",
        b'"a":1,"a":2,',
        b"\n" * 50,
        b"a: &a [*a]\n",
    ),
)


@st.composite
def bent(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return text that is cut off, or has pieces cut out, doubled or put in."""
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(whole)))
        end = draw(
            st.sampled_from((start, start + 1, start + draw(st.integers(0, 60)), len(whole)))
        )
        put = draw(st.sampled_from(PIECES))
        kept = whole[start:end] * 2 if draw(st.integers(0, 9)) == 0 else b""
        whole = whole[:start] + put + kept + whole[end:]
    return whole
