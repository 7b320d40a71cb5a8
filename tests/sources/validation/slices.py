"""EndpointSlice (discovery.k8s.io/v1) and Endpoints (v1)."""

from __future__ import annotations

from typing import Any

from tests.sources.validation.meta import (
    LABEL_VALUES,
    LABELS,
    LONG_LABEL,
    NO_LABEL_VALUES,
    NO_LABELS,
    NO_SUBDOMAINS,
    SUBDOMAINS,
    WRONG_TYPES_OF_TEXT,
    metadata,
)
from tests.sources.validation.service import (
    ENDPOINTS,
    NO_ADDRESSES,
    NO_ENDPOINTS,
    NO_PORTS,
    OLD_ADDRESSES,
    PORTS,
    SPELLINGS,
)
from tests.sources.validation.values import ABSENT, OLD_FORM, Values

SLICE = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "labels": {"kubernetes.io/service-name": "web"},
    },
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 8080}],
    "endpoints": [{"addresses": ["10.244.1.5"]}],
}
SIX = {"addressType": "IPv6", "endpoints": [{"addresses": ["fd00::1"]}]}
DOMAINS = {"addressType": "FQDN", "endpoints": [{"addresses": ["a.example.com"]}]}
WEIGHT = "metadata.annotations['svcnet.io/ipvs-weight']"
WEIGHTS = ("0", "7", "65535", "007")
NO_WEIGHTS = (
    "-1",
    "65536",
    "1.5",
    "ten",
    "",
    " 1",
    "0x1",
    "\N{ARABIC-INDIC DIGIT ONE}",
    "100000000000",
)
APP_PROTOCOLS = ("http", "HTTP2", "kubernetes.io/h2c", None, ABSENT)
NO_APP_PROTOCOLS = (
    "",
    "a b",
    "a/b/c",
    "/a",
    "a/",
    "Kubernetes.io/h2c",
    LONG_LABEL + "a",
    *WRONG_TYPES_OF_TEXT,
)
IPV4 = tuple(text for text in ENDPOINTS if ":" not in text)
IPV6 = tuple(text for text in ENDPOINTS if ":" in text)
BOOLEANS = (True, False, None, ABSENT)
NO_BOOLEANS: tuple[Any, ...] = (1, 0, "true", "True", "", [], {})


def some(number: int) -> list[dict[str, list[str]]]:
    """Return so many endpoints."""
    return [{"addresses": [f"10.1.{n // 250}.{n % 250 + 1}"]} for n in range(number)]


def addresses(number: int) -> list[str]:
    """Return so many addresses."""
    return [f"10.1.0.{n + 1}" for n in range(number)]


def names(number: int) -> list[dict[str, str]]:
    """Return so many hints."""
    return [{"name": f"n{n}"} for n in range(number)]


def ports(number: int) -> list[dict[str, str]]:
    """Return so many ports of different names."""
    return [{"name": f"p{n}"} for n in range(number)]


TARGET_REFS: tuple[Any, ...] = (
    {},
    None,
    ABSENT,
    {"kind": "Pod", "name": "a", "namespace": "b", "uid": "c"},
    {"name": "a"},
    {"name": None, "kind": None, "namespace": None, "uid": None},
    {"kind": "Pod"},
    {"name": "A b"},
)
NO_TARGET_REFS: tuple[Any, ...] = (
    [],
    "a",
    1,
    {"name": 1},
    {"name": "a", "kind": 1},
    {"name": "a", "uid": []},
    {"name": "a", "namespace": True},
)

SLICE_ROWS: tuple[Values, ...] = (
    *metadata(),
    Values("metadata.labels['kubernetes.io/service-name']", LABEL_VALUES, NO_LABEL_VALUES),
    Values(
        "addressType",
        ("IPv4", "FQDN"),
        ("IPv6", "ipv4", "IP", "", None, ABSENT, *WRONG_TYPES_OF_TEXT),
    ),
    Values(
        "addressType",
        ("IPv4", "IPv6", "FQDN"),
        ("ipv4", "IP", "", None, ABSENT),
        given={"endpoints": []},
    ),
    Values(
        "ports",
        (
            [],
            None,
            ABSENT,
            [{"port": 80}, {"port": 80, "name": "a"}],
            [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}],
        ),
        (
            {},
            80,
            [80],
            ["http"],
            [{"port": 80}, {"port": 81}],
            [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}],
            [{"name": ""}, {"name": None}],
        ),
    ),
    Values("ports", (ports(20_000),), (ports(20_001),)),
    Values(
        "ports",
        ([{}], [None], [{"port": None, "name": None, "protocol": None}]),
        ([[]], [1], ["a"]),
    ),
    Values("ports[0].name", (*LABELS, "", None, ABSENT), (*NO_LABELS, *WRONG_TYPES_OF_TEXT)),
    Values(
        "ports[0].port",
        (*PORTS, None, ABSENT, 0),
        (2**31, 2**63, 80.5, "80", "http", True, [], {}),
        warned=(-1, 65536, 2**31 - 1),
    ),
    Values(
        "ports[0].protocol",
        ("TCP", "UDP", "SCTP", None, ABSENT),
        ("", "tcp", "ICMP", *WRONG_TYPES_OF_TEXT),
    ),
    Values("ports[0].appProtocol", APP_PROTOCOLS, NO_APP_PROTOCOLS),
    Values(
        "endpoints",
        ([], None, ABSENT, some(2), some(1000), some(1) * 2),
        ({}, "10.0.0.1", ["10.0.0.1"], [1], [None], [{}], some(1001)),
    ),
    Values(
        "endpoints[0].addresses",
        (addresses(1), addresses(2), addresses(100), addresses(1) * 2),
        ([], None, ABSENT, {}, "10.0.0.1", [None], [""], [1], [[]], addresses(101)),
    ),
    Values(
        "endpoints[0].addresses[0]",
        IPV4,
        (
            *NO_ADDRESSES,
            *NO_ENDPOINTS,
            *IPV6,
            *SPELLINGS,
            *WRONG_TYPES_OF_TEXT,
            "",
            None,
            "127.000.0.1",
            "::ffff:127.0.0.1",
            "0127.0.0.1",
        ),
        kept={OLD_FORM: OLD_ADDRESSES},
    ),
    Values(
        "endpoints[0].addresses[0]",
        IPV6,
        (*NO_ADDRESSES, *NO_ENDPOINTS, *IPV4, "::ffff:10.50.1.21", "::ffff:a32:115", "", None),
        given=SIX,
        kept={
            OLD_FORM: (
                ("FD00::A", "fd00::a"),
                ("fd00:0:0::a", "fd00::a"),
                ("fd00:0000:0000:0000:0000:0000:0000:000a", "fd00::a"),
                ("fd00::00000a", "fd00::a"),
                ("fd00::10.1.2.3", "fd00::a01:203"),
                ("::10.1.2.3", "::a01:203"),
                ("fd00::010.1.2.3", "fd00::a01:203"),
            )
        },
    ),
    Values(
        "endpoints[0].addresses[0]",
        ("a.b", "a.example.com.", "1.2", "10.0.0.1", f"{LONG_LABEL}.a"),
        (
            "a",
            "a.",
            ".",
            "A.b",
            "a..b",
            "a.b..",
            "-a.b",
            "a_b.c",
            "é.b",
            f"{LONG_LABEL}a.a",
            "",
            None,
            1,
        ),
        given=DOMAINS,
    ),
    Values(
        "endpoints[0].nodeName",
        (*SUBDOMAINS, None, ABSENT),
        (*NO_SUBDOMAINS, "", *WRONG_TYPES_OF_TEXT),
    ),
    Values(
        "endpoints[0].hostname", (*LABELS, None, ABSENT), (*NO_LABELS, "", *WRONG_TYPES_OF_TEXT)
    ),
    Values(
        "endpoints[0].zone",
        ("a", "", "A b", "é", None, ABSENT, LONG_LABEL * 9),
        WRONG_TYPES_OF_TEXT,
    ),
    Values(
        "endpoints[0].conditions",
        ({}, None, ABSENT, {"ready": None, "serving": None, "terminating": None}),
        ([], "a", True),
    ),
    *(
        Values(f"endpoints[0].conditions.{name}", BOOLEANS, NO_BOOLEANS)
        for name in ("ready", "serving", "terminating")
    ),
    Values(
        "endpoints[0].hints", ({}, None, ABSENT, {"forZones": None, "forNodes": None}), ([], "a", 1)
    ),
    Values(
        "endpoints[0].hints.forZones",
        ([], None, ABSENT, names(8), [{}], [None]),
        ({}, "a", ["a"], names(9), [{"name": "a"}, {"name": "a"}], [1]),
    ),
    Values("endpoints[0].hints.forZones[0].name", LABEL_VALUES, NO_LABEL_VALUES),
    Values(
        "endpoints[0].hints.forNodes",
        ([], None, ABSENT, names(8)),
        ({}, "a", ["a"], names(9), [{"name": "a"}, {"name": "a"}], [{}], [None]),
    ),
    Values(
        "endpoints[0].hints.forNodes[0].name",
        SUBDOMAINS,
        (*NO_SUBDOMAINS, "", None, ABSENT, *WRONG_TYPES_OF_TEXT),
    ),
    Values("endpoints[0].targetRef", TARGET_REFS, NO_TARGET_REFS),
    *(
        Values(
            f"endpoints[0].targetRef.{name}",
            ("a", "A b", "", None, ABSENT),
            WRONG_TYPES_OF_TEXT,
            given={"endpoints[0].targetRef.name": "a"},
        )
        for name in ("name", "namespace", "uid", "kind")
    ),
    Values(WEIGHT, WEIGHTS, (1, [], True), warned=NO_WEIGHTS),
)

ENDPOINTS_OBJECT = {
    "apiVersion": "v1",
    "kind": "Endpoints",
    "metadata": {"name": "web", "namespace": "shop"},
    "subsets": [{"addresses": [{"ip": "10.244.1.5"}], "ports": [{"name": "http", "port": 8080}]}],
}


def listed(key: str) -> tuple[Values, ...]:
    """Return the rows of the ready or the not ready addresses of a subset."""
    path = f"subsets[0].{key}"
    return (
        Values(
            path,
            (
                [{"ip": "10.0.0.1"}],
                [{"ip": "10.0.0.1"}] * 2,
                [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
            ),
            ({}, "10.0.0.1", ["10.0.0.1"], [1], [{}], [None]),
        ),
        Values(
            f"{path}[0].ip",
            (*ENDPOINTS, *SPELLINGS),
            (
                *NO_ADDRESSES,
                *NO_ENDPOINTS,
                *WRONG_TYPES_OF_TEXT,
                "",
                None,
                ABSENT,
                "::ffff:127.0.0.1",
            ),
            kept={OLD_FORM: OLD_ADDRESSES},
        ),
        Values(
            f"{path}[0].hostname",
            (*LABELS, "", None, ABSENT),
            (*NO_LABELS, *WRONG_TYPES_OF_TEXT),
            given={f"{path}[0].ip": "10.0.0.1"},
        ),
        Values(
            f"{path}[0].nodeName",
            (*SUBDOMAINS, None, ABSENT),
            (*NO_SUBDOMAINS, "", *WRONG_TYPES_OF_TEXT),
            given={f"{path}[0].ip": "10.0.0.1"},
        ),
        Values(
            f"{path}[0].targetRef", TARGET_REFS, NO_TARGET_REFS, given={f"{path}[0].ip": "10.0.0.1"}
        ),
    )


ENDPOINTS_ROWS: tuple[Values, ...] = (
    *metadata(),
    Values(
        "subsets",
        (
            [],
            None,
            ABSENT,
            [{"addresses": [{"ip": "10.0.0.1"}]}],
            [{"notReadyAddresses": [{"ip": "10.0.0.1"}]}],
        ),
        ({}, "a", [1], [None], [{}], [{"addresses": []}], [{"ports": [{"port": 80}]}]),
    ),
    *listed("addresses"),
    *listed("notReadyAddresses"),
    Values(
        "subsets[0].addresses",
        ([], None, ABSENT),
        (1, {}, "a"),
        given={"subsets[0].notReadyAddresses": [{"ip": "10.0.0.1"}]},
    ),
    Values("subsets[0].addresses", ([{"ip": "10.0.0.1"}],), ([], None, ABSENT)),
    Values(
        "subsets[0].ports",
        ([], None, ABSENT, [{"port": 80}], [{"port": 80, "name": "a"}, {"port": 80, "name": "a"}]),
        ({}, 80, [80], [None], [{}], [{"port": 80}, {"port": 81, "name": "a"}]),
    ),
    Values(
        "subsets[0].ports[0].name", (*LABELS, "", None, ABSENT), (*NO_LABELS, *WRONG_TYPES_OF_TEXT)
    ),
    Values("subsets[0].ports[0].port", PORTS, (*NO_PORTS, 0, None, ABSENT)),
    Values(
        "subsets[0].ports[0].protocol",
        ("TCP", "UDP", "SCTP", "", None, ABSENT),
        ("tcp", "ICMP", *WRONG_TYPES_OF_TEXT),
    ),
    Values("subsets[0].ports[0].appProtocol", APP_PROTOCOLS, NO_APP_PROTOCOLS),
    Values(WEIGHT, WEIGHTS, (1, [], True), warned=NO_WEIGHTS),
)
