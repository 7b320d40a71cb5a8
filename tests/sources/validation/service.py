"""Service (v1)."""

from __future__ import annotations

from typing import Any

from tests.sources.validation.meta import (
    LABEL_KEYS,
    LABEL_VALUES,
    LABELS,
    LONG_LABEL,
    LONG_NAME,
    NO_LABEL_KEYS,
    NO_LABEL_VALUES,
    NO_LABELS,
    NO_SUBDOMAINS,
    SUBDOMAINS,
    WRONG_TYPES_OF_TEXT,
    metadata,
)
from tests.sources.validation.values import (
    ABSENT,
    ALLOCATION,
    NO_EFFECT,
    OLD_FORM,
    OLD_STATUS,
    Values,
)

BASE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"clusterIP": "10.96.0.10", "ports": [{"name": "http", "port": 80}]},
}
NODE_PORT = {"spec.type": "NodePort"}
BALANCER = {"spec.type": "LoadBalancer"}
LOCAL = {**BALANCER, "spec.externalTrafficPolicy": "Local"}
NAMED = {
    "spec.type": "ExternalName",
    "spec.clusterIP": ABSENT,
    "spec.externalName": "db.example.com",
}
HEADLESS = {"spec.clusterIP": "None"}
SELECTING = {"spec.selector": {"app": "web"}}
DUAL = {"spec.ipFamilyPolicy": "PreferDualStack"}
BOTH = {**DUAL, "spec.clusterIPs": ["10.96.0.10", "fd00::10"]}
AFFINE = {"spec.sessionAffinity": "ClientIP"}
TIMEOUT = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
INGRESS = "status.loadBalancer.ingress"
ANNOTATIONS = "metadata.annotations"

NO_ADDRESSES = (
    "10.96.0",
    "10.96.0.256",
    "10.96.0.1.2",
    "10.96.0.1/32",
    "10.96.0.1:80",
    " 10.96.0.1",
    "10.96.0.1\n",
    "0x0a.0.0.1",
    "localhost",
    "fd00::1%eth0",
    "[fd00::1]",
    "fd00:::1",
    "fd00::1::2",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "fd00::10000",
    "é",
    "\N{ARABIC-INDIC DIGIT ONE}.0.0.1",
)
NO_ENDPOINTS = (
    "0.0.0.0",
    "::",
    "127.0.0.1",
    "127.255.255.255",
    "::1",
    "169.254.0.1",
    "fe80::1",
    "febf::1",
    "224.0.0.1",
    "ff02::1",
    "ff12::1",
)
ENDPOINTS = (
    "10.0.0.1",
    "255.255.255.255",
    "0.0.0.1",
    "224.0.1.1",
    "239.1.2.3",
    "fd00::1",
    "ff05::1",
    "fec0::1",
    "2001:db8::1",
)
OLD_ADDRESSES = (
    ("010.050.001.021", "10.50.1.21"),
    ("010.000000050.1.021", "10.50.1.21"),
    ("::ffff:10.50.1.21", "10.50.1.21"),
    ("::ffff:a32:115", "10.50.1.21"),
    ("0:0:0:0:0:ffff:010.50.1.21", "10.50.1.21"),
)
SPELLINGS = (
    "FD00::A",
    "fd00:0:0::a",
    "fd00:0000:0000:0000:0000:0000:0000:000a",
    "::10.1.2.3",
    "fd00::10.1.2.3",
)

CIDRS = (
    "10.0.0.0/8",
    "0.0.0.0/0",
    "192.0.2.1/32",
    "::/0",
    "fd00::/64",
    "2001:DB8::/32",
    "fd00:0::/64",
)
NO_CIDRS = (
    "10.0.0.0",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/",
    "/8",
    "10.0.0/8",
    "fd00::/129",
    "10.0.0.0/8/8",
    "a/8",
    "",
    "10.0.0.0 /8",
    "10.0.0.0/ 8",
    "10.0.0.0/+8",
    "10.0.0.0/255.0.0.0",
    "::ffff:10.0.0.0/129",
)
OLD_CIDRS = (
    ("010.000.000.000/8", "10.0.0.0/8"),
    ("10.0.0.0/08", "10.0.0.0/8"),
    ("10.1.2.3/8", "10.0.0.0/8"),
    ("fd00::1/64", "fd00::/64"),
    ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
    ("::ffff:10.1.2.3/128", "10.1.2.3/32"),
)

PORTS = (1, 80, 65535, 80.0, 1e3)
NO_PORTS: tuple[Any, ...] = (-1, 65536, 2**31, 2**63, 80.5, "80", "http", True, [], {})

ROWS: tuple[Values, ...] = (
    *metadata(label=True),
    Values(
        "spec",
        (
            {"clusterIP": "None"},
            {"type": "ExternalName", "externalName": "a"},
            {"ports": [{"port": 80}]},
        ),
        (ABSENT, None, {}, [], "a"),
    ),
    Values(
        "spec.type",
        ("ClusterIP", "NodePort", "LoadBalancer", "", None, ABSENT),
        ("clusterip", "Nodeport", "ExternalName", "Local", *WRONG_TYPES_OF_TEXT),
    ),
    Values(
        "spec.type", ("ClusterIP", ""), ("NodePort", "LoadBalancer", "ExternalName"), given=HEADLESS
    ),
    # Cluster IPs.
    Values(
        "spec.clusterIP",
        ("10.96.0.10", "fd00::10", *SPELLINGS, "None", "", None, ABSENT),
        ("none", *NO_ADDRESSES, *WRONG_TYPES_OF_TEXT),
        kept={OLD_FORM: OLD_ADDRESSES},
    ),
    Values("spec.clusterIP", ("", None, ABSENT), ("10.96.0.10", "None", "x"), given=NAMED),
    Values(
        "spec.clusterIPs",
        (["10.96.0.10"], ["10.96.0.10", "fd00::10"], [], None, ABSENT),
        (
            ["10.96.0.11"],
            ["fd00::10", "10.96.0.10"],
            ["10.96.0.10", "10.96.0.11"],
            ["10.96.0.10", "10.96.0.10"],
            ["10.96.0.10", "fd00::10", "fd00::11"],
            ["10.96.0.10", "None"],
            ["10.96.0.10", ""],
            ["10.96.0.10", None],
            ["None"],
            [""],
            [None],
            [1],
            "10.96.0.10",
            {},
        ),
        given=DUAL,
        kept={OLD_FORM: ((["10.96.0.10", "fd00::010.0.0.1"], ["10.96.0.10", "fd00::10.0.0.1"]),)},
    ),
    Values("spec.clusterIPs", (["10.96.0.10"],), (["10.96.0.10", "fd00::10"],)),
    Values(
        "spec.clusterIPs",
        ([], None, ABSENT),
        (["10.96.0.10"], ["None"], [""], ["10.96.0.10", "fd00::10"]),
        given={"spec.clusterIP": ABSENT},
    ),
    Values(
        "spec.clusterIPs",
        (["None"], [], ABSENT),
        (["10.96.0.10"], ["None", "None"], ["None", "10.96.0.10"], ["none"]),
        given=HEADLESS,
    ),
    Values("spec.clusterIPs", ([], None, ABSENT), (["10.96.0.10"], ["None"], [""]), given=NAMED),
    Values(
        "spec.clusterIPs",
        ([], None, ABSENT),
        (["10.96.0.010"], ["010.96.0.10"], ["::ffff:10.96.0.10"]),
    ),
    # Families.
    Values(
        "spec.ipFamilies",
        (["IPv4"], ["IPv4", "IPv6"], [], None, ABSENT),
        (
            ["IPv6"],
            ["IPv6", "IPv4"],
            ["IPv4", "IPv4"],
            ["IPv4", "IPv6", "IPv4"],
            ["ipv4"],
            ["IPv5"],
            [""],
            [None],
            [4],
            "IPv4",
            {},
        ),
        given=DUAL,
    ),
    Values("spec.ipFamilies", (["IPv4"], [], ABSENT), (["IPv4", "IPv6"],)),
    Values(
        "spec.ipFamilies",
        (["IPv6"], ["IPv6", "IPv4"], ["IPv4"]),
        (["IPv6", "IPv6"], ["IP"]),
        given={**HEADLESS, **DUAL},
    ),
    Values(
        "spec.ipFamilies",
        (["IPv6"], ["IPv6", "IPv4"], ["IPv4"]),
        (["IPv6", "IPv6"], ["IP"]),
        given=HEADLESS,
    ),
    Values(
        "spec.ipFamilies",
        (["IPv6"], ["IPv4"], ABSENT),
        (["IPv4", "IPv6"], ["IP"]),
        given={**HEADLESS, **SELECTING},
    ),
    Values("spec.ipFamilies", ([], None, ABSENT), (["IPv4"], ["IPv6", "IPv4"], ["x"]), given=NAMED),
    Values(
        "spec.ipFamilyPolicy",
        ("SingleStack", "PreferDualStack", "RequireDualStack", None, ABSENT),
        ("", "DualStack", "singlestack", *WRONG_TYPES_OF_TEXT),
    ),
    Values(
        "spec.ipFamilyPolicy",
        ("PreferDualStack", "RequireDualStack"),
        ("SingleStack", None, ABSENT),
        given=BOTH,
    ),
    Values(
        "spec.ipFamilyPolicy",
        ("PreferDualStack", "RequireDualStack"),
        ("SingleStack", None, ABSENT),
        given={"spec.ipFamilies": ["IPv4", "IPv6"]},
    ),
    Values(
        "spec.ipFamilyPolicy", (None, ABSENT), ("SingleStack", "PreferDualStack", ""), given=NAMED
    ),
    # Ports.
    Values(
        "spec.ports",
        (
            [{"port": 80}],
            [{"port": 80, "name": ""}],
            [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}],
            [{"port": 53, "name": "a"}, {"port": 53, "name": "b", "protocol": "UDP"}],
        ),
        (
            [],
            None,
            ABSENT,
            {},
            80,
            [80],
            [None],
            [{}],
            [{"port": 80}, {"port": 81}],
            [{"port": 80, "name": "a"}, {"port": 81}],
            [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}],
            [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}],
            [{"port": 80, "name": "a", "protocol": "TCP"}, {"port": 80, "name": "b"}],
        ),
    ),
    Values(
        "spec.ports", ([], None, ABSENT, [{"port": 80}]), ([{}], [{"port": 0}], 1), given=HEADLESS
    ),
    Values(
        "spec.ports",
        ([], None, ABSENT, [{"port": 80, "nodePort": 30000}]),
        ([{}], [{"port": 0}], 1),
        given=NAMED,
    ),
    Values("spec.ports[0].name", (*LABELS, "", None, ABSENT), (*NO_LABELS, *WRONG_TYPES_OF_TEXT)),
    Values("spec.ports[0].port", PORTS, (*NO_PORTS, 0, None, ABSENT)),
    Values(
        "spec.ports[0].protocol",
        ("TCP", "UDP", "SCTP", "", None, ABSENT),
        ("tcp", "ICMP", "TCP ", *WRONG_TYPES_OF_TEXT),
    ),
    Values(
        "spec.ports[0].targetPort",
        (*PORTS, 0, "", None, ABSENT, "http", "a", "1a", "a1", "a-b", "a" * 15, "80a", "1e3"),
        (
            -1,
            65536,
            2**31,
            80.5,
            "80",
            "0",
            "HTTP",
            "a_b",
            "-a",
            "a-",
            "a--b",
            "a b",
            "a" * 16,
            "é",
            True,
            [],
            {},
        ),
    ),
    Values("spec.ports[0].nodePort", (0, None, ABSENT), (30000, -1, "0", *NO_PORTS)),
    Values(
        "spec.ports[0].nodePort",
        (0, 30000, 32767, 30000.0, None, ABSENT),
        (2**31, 80.5, "30000", True, [], {}),
        given=NODE_PORT,
        lost={ALLOCATION: (-1, 65536)},
    ),
    Values(
        "spec.ports[0].nodePort", (0, 30000, None, ABSENT), (2**31, "30000", True), given=BALANCER
    ),
    Values(
        "spec.ports",
        (
            [
                {"port": 80, "name": "a", "nodePort": 30000},
                {"port": 80, "name": "b", "protocol": "UDP", "nodePort": 30000},
            ],
        ),
        (
            [
                {"port": 80, "name": "a", "nodePort": 30000},
                {"port": 81, "name": "b", "nodePort": 30000},
            ],
        ),
        given=NODE_PORT,
    ),
    Values(
        "spec.ports[0].appProtocol",
        ("http", "HTTP2", "kubernetes.io/h2c", "example.com/a_b.c", None, ABSENT),
        (
            "",
            "a b",
            "a/b/c",
            "/a",
            "a/",
            "Kubernetes.io/h2c",
            "é",
            LONG_LABEL + "a",
            *WRONG_TYPES_OF_TEXT,
        ),
    ),
    # Selector.
    Values(
        "spec.selector",
        ({}, None, ABSENT, *({key: "v"} for key in LABEL_KEYS)),
        ([], "a", 1, *({key: "v"} for key in NO_LABEL_KEYS)),
    ),
    Values("spec.selector.app", LABEL_VALUES, NO_LABEL_VALUES),
    # Ways from outside.
    Values(
        "spec.externalIPs",
        ([], None, ABSENT, ["10.0.0.1", "10.0.0.1"], ["10.0.0.1", "fd00::1"]),
        ("10.0.0.1", {}, [None], [""], [1], [["10.0.0.1"]]),
    ),
    Values(
        "spec.externalIPs[0]",
        (*ENDPOINTS, *SPELLINGS),
        (
            *NO_ADDRESSES,
            *NO_ENDPOINTS,
            *WRONG_TYPES_OF_TEXT,
            "",
            None,
            "::ffff:127.0.0.1",
            "127.000.0.1",
            "::ffff:0.0.0.0",
        ),
        kept={OLD_FORM: OLD_ADDRESSES},
    ),
    Values(
        "spec.externalName",
        (*SUBDOMAINS, "db.example.com.", "10.0.0.1", LONG_NAME + "."),
        (
            *(name for name in NO_SUBDOMAINS if name != "a."),
            "Db.Example.Net",
            "",
            ".",
            "a..",
            "_a.b",
            "*.a",
            "fd00::1",
            None,
            ABSENT,
            *WRONG_TYPES_OF_TEXT,
        ),
        given=NAMED,
    ),
    Values("spec.externalName", ("A B", "", None, ABSENT, "Db.Example.Net"), WRONG_TYPES_OF_TEXT),
    Values(
        "spec.loadBalancerSourceRanges",
        ([], None, ABSENT, ["10.0.0.0/8", "fd00::/8"]),
        ("10.0.0.0/8", {}, [None], [""], [1]),
        given=BALANCER,
    ),
    Values("spec.loadBalancerSourceRanges", ([], None, ABSENT), (["10.0.0.0/8"], ["x"], [""])),
    Values(
        "spec.loadBalancerSourceRanges",
        ([], None, ABSENT),
        (["10.0.0.0/8"], ["x"], [""]),
        given=NODE_PORT,
    ),
    Values(
        "spec.loadBalancerSourceRanges[0]",
        (*CIDRS, " 10.0.0.0/8", "10.0.0.0/8\n", "\t\u00a010.0.0.0/8 \u2003"),
        (*NO_CIDRS, "\x1c10.0.0.0/8", "\u200b10.0.0.0/8", *WRONG_TYPES_OF_TEXT, None),
        given=BALANCER,
        kept={OLD_FORM: OLD_CIDRS},
    ),
    Values(
        "spec.internalTrafficPolicy",
        ("Cluster", "Local", None, ABSENT),
        ("", "local", "Global", *WRONG_TYPES_OF_TEXT),
    ),
    Values(
        "spec.internalTrafficPolicy",
        ("Cluster", "Local", None, ABSENT),
        ("", "local", "Global"),
        given=NAMED,
    ),
    Values(
        "spec.externalTrafficPolicy",
        ("", None, ABSENT),
        ("Cluster", "Local", "x", *WRONG_TYPES_OF_TEXT),
    ),
    *(
        Values(
            "spec.externalTrafficPolicy",
            ("Cluster", "Local", "", None, ABSENT),
            ("cluster", "Global", 1),
            given=given,
        )
        for given in (
            NODE_PORT,
            BALANCER,
            {"spec.externalIPs": ["192.0.2.1"]},
            {**HEADLESS, "spec.externalIPs": ["192.0.2.1"]},
        )
    ),
    Values(
        "spec.externalTrafficPolicy",
        ("", None, ABSENT),
        ("Cluster", "Local", "x"),
        given={**NAMED, "spec.externalIPs": ["192.0.2.1"]},
    ),
    *(
        Values(
            "spec.healthCheckNodePort",
            (0, None, ABSENT),
            (-1, 65536, 2**31, "0", True, []),
            given=given,
            kept={NO_EFFECT: ((1, 0), (32000, 0))},
        )
        for given in ({}, BALANCER, {**NODE_PORT, "spec.externalTrafficPolicy": "Local"})
    ),
    Values(
        "spec.healthCheckNodePort",
        (0, 1, 32000, 65535, 32000.0, None, ABSENT),
        (-1, 65536, 2**31, "32000", True, [], 1.5),
        given=LOCAL,
    ),
    Values(
        "spec.sessionAffinity",
        ("None", "ClientIP", "", None, ABSENT),
        ("none", "clientIP", "Cookie", *WRONG_TYPES_OF_TEXT),
    ),
    Values(
        "spec.sessionAffinityConfig",
        (
            None,
            ABSENT,
            {},
            {"clientIP": None},
            {"clientIP": {}},
            {"clientIP": {"timeoutSeconds": None}},
        ),
        ([], "a", {"clientIP": 1}, {"clientIP": []}),
        given=AFFINE,
    ),
    Values("spec.sessionAffinityConfig.clientIP", ({}, None, ABSENT), (1, "a", []), given=AFFINE),
    Values(
        TIMEOUT,
        (1, 10800, 86400, 100.0, None, ABSENT),
        (0, -1, 86401, 2**31, "1", 1.5, True, []),
        given=AFFINE,
    ),
    Values(TIMEOUT, (0, -1, 86401, 5, None), (2**31, "1", 1.5, [])),
    Values(
        "spec.allocateLoadBalancerNodePorts",
        (True, False, None, ABSENT),
        (1, 0, "true", "", [], {}),
        given=BALANCER,
    ),
    Values(
        "spec.allocateLoadBalancerNodePorts",
        (None, ABSENT),
        (True, False, 1, "true", [], {}),
        given=NODE_PORT,
    ),
    Values(
        "spec.loadBalancerIP",
        ("192.0.2.1", "fd00::1", "x", "", None, ABSENT),
        WRONG_TYPES_OF_TEXT,
        given=BALANCER,
    ),
    Values(
        "spec.publishNotReadyAddresses", (True, False, None, ABSENT), (1, 0, "true", "", [], {})
    ),
    Values(
        "spec.trafficDistribution",
        ("PreferClose", "PreferSameZone", "PreferSameNode", None, ABSENT),
        ("", "preferclose", "Close", *WRONG_TYPES_OF_TEXT),
    ),
    # Status.
    Values("status", ({}, None, ABSENT), ([], "a", 1)),
    Values("status.loadBalancer", ({}, None, ABSENT), ([], "a", 1)),
    Values(
        INGRESS,
        ([], None, ABSENT, [{}], [{"hostname": "a.b"}], [{"ip": "192.0.2.1"}, {"ip": "fd00::1"}]),
        ({}, "192.0.2.1", ["192.0.2.1"], [1]),
        given=BALANCER,
    ),
    Values(
        INGRESS,
        ([], None, ABSENT),
        ([{"ip": "x"}], 1, [1]),
        kept={OLD_STATUS: (([{"ip": "192.0.2.1"}], [{"ip": "192.0.2.1"}]),)},
    ),
    Values(
        f"{INGRESS}[0].ip",
        (
            "10.0.0.1",
            "fd00::1",
            "127.0.0.1",
            "169.254.0.1",
            "224.0.0.1",
            *SPELLINGS,
            "",
            None,
            ABSENT,
        ),
        (*NO_ADDRESSES, *WRONG_TYPES_OF_TEXT),
        given=BALANCER,
        kept={OLD_FORM: OLD_ADDRESSES},
    ),
    Values(
        f"{INGRESS}[0].ipMode",
        ("VIP", "Proxy", None, ABSENT),
        ("", "vip", "DSR", *WRONG_TYPES_OF_TEXT),
        given={**BALANCER, f"{INGRESS}[0].ip": "192.0.2.1"},
    ),
    Values(
        f"{INGRESS}[0].ipMode",
        (None, ABSENT),
        ("VIP", "Proxy", "", "x"),
        given={**BALANCER, f"{INGRESS}[0].hostname": "a.b"},
    ),
    # Annotations that mean something.
    Values(
        ANNOTATIONS,
        (
            {"service.kubernetes.io/topology-mode": "Auto"},
            {"service.kubernetes.io/topology-aware-hints": "Auto"},
            {
                "service.kubernetes.io/topology-mode": "x",
                "service.kubernetes.io/topology-aware-hints": "x",
            },
        ),
        (
            {
                "service.kubernetes.io/topology-mode": "Auto",
                "service.kubernetes.io/topology-aware-hints": "auto",
            },
            {
                "service.kubernetes.io/topology-mode": "",
                "service.kubernetes.io/topology-aware-hints": "Auto",
            },
            {
                "service.kubernetes.io/topology-mode": "Auto",
                "service.kubernetes.io/topology-aware-hints": "",
            },
        ),
    ),
    Values(
        f"{ANNOTATIONS}['svcnet.io/ipvs-scheduler']",
        ("rr", "mh", ""),
        (1, [], True),
        warned=("RR", "round robin", " rr"),
    ),
    Values(
        f"{ANNOTATIONS}['svcnet.io/proxy-protocol']",
        ("v2",),
        (2, [], True),
        warned=("v1", "V2", ""),
    ),
)
