"""Node (v1), Pod (v1) and ServiceCIDR (networking.k8s.io/v1)."""

from __future__ import annotations

from typing import Any

from tests.sources.validation.meta import (
    LABEL_VALUES,
    LABELS,
    NO_LABEL_VALUES,
    NO_LABELS,
    NO_SUBDOMAINS,
    SUBDOMAINS,
    WRONG_TYPES_OF_TEXT,
    metadata,
)
from tests.sources.validation.service import (
    CIDRS,
    NO_ADDRESSES,
    NO_CIDRS,
    NO_PORTS,
    OLD_ADDRESSES,
    OLD_CIDRS,
    PORTS,
    SPELLINGS,
)
from tests.sources.validation.slices import BOOLEANS, NO_BOOLEANS
from tests.sources.validation.values import ABSENT, OLD_FORM, Values

NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node-a"},
    "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"]},
    "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.10"}]},
}
TIMES = (
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05.5Z",
    "2026-01-02T03:04:05+02:00",
    "2024-02-29T23:59:59-00:30",
    "0001-01-01T00:00:00Z",
    None,
    ABSENT,
)
NO_TIMES: tuple[Any, ...] = (
    "",
    "now",
    "2026-01-02",
    "2026-01-02T03:04:05",
    "2026-01-02 03:04:05Z",
    "2026-01-02t03:04:05z",
    "2026-13-02T03:04:05Z",
    "2026-02-29T03:04:05Z",
    "2026-01-02T24:04:05Z",
    "2026-01-02T03:04:05+0200",
    "2026-1-2T03:04:05Z",
    1,
    True,
    [],
)
NO_POD_CIDR = {"spec.podCIDR": ABSENT}

NODE_ROWS: tuple[Values, ...] = (
    *metadata(annotations=False, namespaced=False),
    Values("metadata.labels['topology.kubernetes.io/zone']", LABEL_VALUES, NO_LABEL_VALUES),
    Values("metadata.deletionTimestamp", TIMES, NO_TIMES),
    Values("spec", ({}, None, ABSENT), ([], "a", 1)),
    Values(
        "spec.podCIDRs",
        (
            ["10.244.1.0/24"],
            ["10.244.1.0/24", "fd00::/64"],
            ["fd00::/64", "10.244.1.0/24"],
            [],
            None,
            ABSENT,
        ),
        (
            ["10.244.1.0/24", "10.244.2.0/24"],
            ["10.244.1.0/24", "fd00::/64", "fd01::/64"],
            ["10.244.1.0/24", "10.244.1.0/24"],
            "10.244.1.0/24",
            {},
            [1],
            [None],
            [""],
        ),
        given=NO_POD_CIDR,
    ),
    # The single field counts where the two differ.
    Values(
        "spec.podCIDRs",
        (
            ["10.244.1.0/24", "fd00::/64"],
            ["10.9.0.0/24", "10.8.0.0/24"],
            ["fd00::/64", "10.244.1.0/24"],
            ["x"],
            [""],
        ),
        (["10.244.1.0/24", "10.244.2.0/24"], "x", [1]),
    ),
    Values(
        "spec.podCIDRs[0]",
        CIDRS,
        (*NO_CIDRS, " 10.0.0.0/8", "10.0.0.0/8\n", *WRONG_TYPES_OF_TEXT),
        given=NO_POD_CIDR,
        kept={OLD_FORM: OLD_CIDRS},
    ),
    Values(
        "spec.podCIDR",
        (*CIDRS, "", None, ABSENT),
        (*(text for text in NO_CIDRS if text), " 10.0.0.0/8", *WRONG_TYPES_OF_TEXT),
        given={"spec.podCIDRs": ABSENT},
        kept={OLD_FORM: OLD_CIDRS},
    ),
    Values("spec.podCIDR", ("10.244.1.0/24", "fd00::/64", "", None, ABSENT), ("x", "10.0.0.0", 1)),
    Values(
        "spec.taints",
        (
            [],
            None,
            ABSENT,
            [{"key": "a", "effect": "NoSchedule"}],
            [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule", "value": "1"}],
        ),
        ({}, "a", [1], ["a"], [{}], [None]),
    ),
    Values(
        "spec.taints[0].key",
        ("a", "example.com/a", "A_b"),
        ("", "a b", "/a", "a/", "é", None, ABSENT, *WRONG_TYPES_OF_TEXT),
        given={"spec.taints": [{"effect": "NoSchedule"}]},
    ),
    Values(
        "spec.taints[0].effect",
        ("NoSchedule", "PreferNoSchedule", "NoExecute"),
        ("", None, ABSENT, "noschedule", "Never", *WRONG_TYPES_OF_TEXT),
        given={"spec.taints": [{"key": "a"}]},
    ),
    Values(
        "spec.taints[0].value",
        ("a", "A_b.c", "", None, ABSENT),
        ("a b", "é", "-a", "a" * 64, *WRONG_TYPES_OF_TEXT),
        given={"spec.taints": [{"key": "a", "effect": "NoSchedule"}]},
    ),
    Values("status", ({}, None, ABSENT), ([], "a", 1)),
    Values(
        "status.addresses",
        (
            [],
            None,
            ABSENT,
            [{"type": "Hostname", "address": "node-a"}],
            [{"type": "InternalDNS", "address": "A b"}],
            [{}],
            [None],
            [{"type": "InternalIP", "address": "10.0.0.1"}] * 2,
        ),
        ({}, "10.0.0.1", [1], ["10.0.0.1"]),
    ),
    Values(
        "status.addresses[0].address",
        ("10.0.0.1", "fd00::1", *SPELLINGS, *(text for text, _ in OLD_ADDRESSES)),
        WRONG_TYPES_OF_TEXT,
        given={"status.addresses[0].type": "InternalIP"},
        warned=(*NO_ADDRESSES, "", None, ABSENT),
    ),
    Values(
        "status.addresses[0].address",
        ("10.0.0.1", "fd00::1"),
        WRONG_TYPES_OF_TEXT,
        given={"status.addresses[0].type": "ExternalIP"},
        warned=("ec2-1.example.com", "", None),
    ),
    Values(
        "status.addresses[0].type",
        (
            "InternalIP",
            "ExternalIP",
            "Hostname",
            "InternalDNS",
            "ExternalDNS",
            "internalip",
            "",
            None,
            ABSENT,
        ),
        WRONG_TYPES_OF_TEXT,
    ),
    Values(
        "status.conditions",
        ([], None, ABSENT, [{"type": "Ready", "status": "True"}], [{"type": "A b"}]),
        ({}, "a", [1], ["Ready"]),
    ),
    Values(
        "status.conditions[0].type",
        ("Ready", "A b", "", None, ABSENT),
        WRONG_TYPES_OF_TEXT,
        given={"status.conditions": [{"status": "True"}]},
    ),
    Values(
        "status.conditions[0].status",
        ("True", "False", "Unknown", "yes", "", None, ABSENT),
        WRONG_TYPES_OF_TEXT,
        given={"status.conditions": [{"type": "Ready"}]},
    ),
    Values(
        "status.allocatable",
        ({}, None, ABSENT, {"cpu": "4"}, {"memory": "1Gi"}),
        ([], "a", 1),
    ),
    Values(
        "status.allocatable.cpu",
        ("4", "3920m", "0.5", "1e3", "2k", "0", 4, 0.5),
        ("a", "1 k", "4x", [], {}, True),
        given={"status.allocatable": {}},
    ),
)

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web-1", "namespace": "shop"},
    "spec": {
        "nodeName": "node-a",
        "containers": [
            {
                "name": "app",
                "image": "app",
                "ports": [{"name": "http", "containerPort": 8080}],
                "env": [{"name": "A", "value": "b"}],
            }
        ],
    },
    "status": {"phase": "Running", "podIP": "10.244.1.5", "podIPs": [{"ip": "10.244.1.5"}]},
}
FIELD_REF = {"fieldRef": {"fieldPath": "metadata.name"}}
NO_POD_IP = {"status.podIP": ABSENT}
PORT_NAMES = ("http", "a", "1a", "a1", "a-b", "a" * 15, "80a", "", None, ABSENT)
NO_PORT_NAMES = (
    "80",
    "HTTP",
    "a_b",
    "-a",
    "a-",
    "a--b",
    "a b",
    "a" * 16,
    "é",
    *WRONG_TYPES_OF_TEXT,
)
VARIABLES = ("A", "a", "_", "a.b", "1a", "a b", "~", "-", "A" * 300, "$(A)")
NO_VARIABLES = ("", None, ABSENT, "a=b", "=", "é", "a\n", "a\t", "\x7f", *WRONG_TYPES_OF_TEXT)


def named(name: str, **fields: object) -> dict[str, object]:
    """Return a container."""
    return {"name": name, "image": "app", **fields}


def containers(key: str) -> tuple[Values, ...]:
    """Return the rows of the members of ``containers`` or ``initContainers``."""
    path = f"spec.{key}[0]"
    given = {path: named("first" if key == "initContainers" else "app")}
    return (
        Values(
            f"{path}.name",
            (*LABELS,),
            (*NO_LABELS, "", None, ABSENT, *WRONG_TYPES_OF_TEXT),
            given=given,
        ),
        Values(
            f"{path}.restartPolicy",
            ("Always", "OnFailure", "Never", None, ABSENT),
            ("", "always", "Unless", *WRONG_TYPES_OF_TEXT),
            given=given,
        ),
        Values(
            f"{path}.ports",
            (
                [],
                None,
                ABSENT,
                [{"containerPort": 80}] * 2,
                [{"containerPort": 80, "name": "a"}, {"containerPort": 80, "name": "b"}],
            ),
            (
                {},
                80,
                [80],
                [None],
                [{}],
                [{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}],
            ),
            given=given,
        ),
        Values(f"{path}.ports[0].containerPort", PORTS, (*NO_PORTS, 0, None, ABSENT), given=given),
        Values(
            f"{path}.ports[0].name",
            PORT_NAMES,
            NO_PORT_NAMES,
            given={**given, f"{path}.ports[0].containerPort": 80},
        ),
        Values(
            f"{path}.ports[0].protocol",
            ("TCP", "UDP", "SCTP", "", None, ABSENT),
            ("tcp", "ICMP", *WRONG_TYPES_OF_TEXT),
            given={**given, f"{path}.ports[0].containerPort": 80},
        ),
        Values(
            f"{path}.env",
            ([], None, ABSENT, [{"name": "A"}], [{"name": "A"}, {"name": "A"}]),
            ({}, "A=b", ["A=b"], [1], [{}], [None]),
            given=given,
        ),
        Values(f"{path}.env[0].name", VARIABLES, NO_VARIABLES, given=given),
        Values(
            f"{path}.env[0].value",
            ("", "a\n", "é", "1", None, ABSENT),
            WRONG_TYPES_OF_TEXT,
            given={**given, f"{path}.env[0].name": "A"},
        ),
        Values(
            f"{path}.env[0].valueFrom",
            (
                None,
                ABSENT,
                FIELD_REF,
                {"secretKeyRef": {"name": "a", "key": "b"}},
                {"configMapKeyRef": {"name": "a", "key": "b"}},
            ),
            ({}, [], "a", {"fieldRef": None}),
            given={**given, f"{path}.env[0].name": "A"},
        ),
        Values(
            f"{path}.env[0].valueFrom",
            (None, ABSENT),
            (FIELD_REF, {}),
            given={**given, f"{path}.env[0].name": "A", f"{path}.env[0].value": "b"},
        ),
        Values(
            f"{path}.env[0].value",
            ("", None, ABSENT),
            ("a", " "),
            given={**given, f"{path}.env[0].name": "A", f"{path}.env[0].valueFrom": FIELD_REF},
        ),
        Values(
            f"{path}.envFrom",
            (
                [],
                None,
                ABSENT,
                [{"configMapRef": {"name": "a"}}],
                [{"secretRef": {"name": "a"}, "prefix": "P_"}],
            ),
            ({}, "a", ["a"], [1]),
            given=given,
        ),
    )


POD_ROWS: tuple[Values, ...] = (
    *metadata(annotations=False),
    Values("metadata.deletionTimestamp", TIMES, NO_TIMES),
    Values("metadata.uid", ("", "a", "A b", None, ABSENT), WRONG_TYPES_OF_TEXT),
    Values("spec", (), (ABSENT, None, {}, [], "a")),
    Values(
        "spec.nodeName", (*SUBDOMAINS, "", None, ABSENT), (*NO_SUBDOMAINS, *WRONG_TYPES_OF_TEXT)
    ),
    Values("spec.hostname", (*LABELS, "", None, ABSENT), (*NO_LABELS, *WRONG_TYPES_OF_TEXT)),
    Values("spec.subdomain", (*LABELS, "", None, ABSENT), (*NO_LABELS, *WRONG_TYPES_OF_TEXT)),
    Values("spec.enableServiceLinks", BOOLEANS, NO_BOOLEANS),
    Values(
        "spec.containers",
        ([named("a")], [named("a"), named("b")], [named("a", restartPolicy="Never")]),
        ([], None, ABSENT, {}, "a", ["a"], [None], [named("a")] * 2),
    ),
    Values(
        "spec.initContainers",
        ([], None, ABSENT, [named("a")], [named("a"), named("b")]),
        ({}, "a", ["a"], [None], [named("a")] * 2, [named("app")]),
    ),
    *containers("containers"),
    *containers("initContainers"),
    Values("status", ({}, None, ABSENT), ([], "a", 1)),
    Values(
        "status.phase",
        ("Pending", "Running", "Succeeded", "Failed", "Unknown", "", None, ABSENT),
        WRONG_TYPES_OF_TEXT,
        warned=("running", "Ended"),
    ),
    Values(
        "status.podIP",
        ("10.244.1.5", "fd00::1", *SPELLINGS, "127.0.0.1", "", None, ABSENT),
        (*NO_ADDRESSES, *WRONG_TYPES_OF_TEXT),
        given={"status.podIPs": ABSENT},
        kept={OLD_FORM: OLD_ADDRESSES},
    ),
    Values(
        "status.podIPs",
        (
            [{"ip": "10.244.1.5"}],
            [{"ip": "10.244.1.5"}, {"ip": "fd00::1"}],
            [{"ip": "fd00::1"}, {"ip": "10.244.1.5"}],
            [],
            None,
            ABSENT,
        ),
        (
            [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}],
            [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}, {"ip": "fd00::2"}],
            {},
            "10.0.0.1",
            ["10.0.0.1"],
            [1],
            [{}],
            [None],
        ),
        given=NO_POD_IP,
    ),
    # The single field counts where the two differ.
    Values(
        "status.podIPs",
        (
            [{"ip": "10.244.1.5"}, {"ip": "fd00::1"}],
            [{"ip": "fd00::1"}, {"ip": "10.244.1.5"}],
            [{"ip": "10.9.0.1"}, {"ip": "10.9.0.2"}],
            [{"ip": "x"}],
            [{}],
        ),
        ([{"ip": "10.244.1.5"}, {"ip": "10.0.0.1"}], "x", [1]),
    ),
    Values(
        "status.podIPs[0].ip",
        ("10.244.1.5", "fd00::1", *SPELLINGS),
        (*NO_ADDRESSES, *WRONG_TYPES_OF_TEXT, "", None, ABSENT),
        given={"status.podIP": ABSENT, "status.podIPs": [{}]},
        kept={OLD_FORM: OLD_ADDRESSES},
    ),
    Values(
        "status.conditions",
        (
            [],
            None,
            ABSENT,
            [{"type": "Ready", "status": "True"}],
            [{"type": "ContainersReady", "status": "x"}],
        ),
        ({}, "a", [1], ["Ready"]),
    ),
    Values(
        "status.conditions[0].type",
        ("Ready", "PodScheduled", "a", "example.com/a"),
        ("", None, ABSENT, "a b", "/Ready", "Ready/", "-a", *WRONG_TYPES_OF_TEXT),
        given={"status.conditions[0].status": "True"},
    ),
    Values(
        "status.conditions[0].status",
        ("True", "False", "Unknown", "", None, ABSENT),
        WRONG_TYPES_OF_TEXT,
        given={"status.conditions[0].type": "Ready"},
        warned=("true", "yes"),
    ),
)

SERVICE_CIDR = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "ServiceCIDR",
    "metadata": {"name": "services"},
    "spec": {"cidrs": ["10.96.0.0/12"]},
}
SERVICE_CIDR_ROWS: tuple[Values, ...] = (
    *metadata(labels=False, annotations=False, namespaced=False),
    Values("spec", ({"cidrs": ["10.96.0.0/12"]},), (ABSENT, None, {}, [], "a")),
    Values(
        "spec.cidrs",
        (["10.96.0.0/12"], ["10.96.0.0/12", "fd00::/108"], ["fd00::/108", "10.96.0.0/12"]),
        (
            [],
            None,
            ABSENT,
            {},
            "10.96.0.0/12",
            ["10.96.0.0/12", "10.0.0.0/16"],
            ["10.96.0.0/12"] * 2,
            ["10.96.0.0/12", "fd00::/108", "fd01::/108"],
            [1],
            [None],
            [""],
        ),
    ),
    Values(
        "spec.cidrs[0]",
        ("10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "::/0", "fd00::/64"),
        (
            *NO_CIDRS,
            " 10.0.0.0/8",
            *(text for text, _ in OLD_CIDRS),
            "2001:DB8::/32",
            "fd00:0::/64",
            *WRONG_TYPES_OF_TEXT,
        ),
    ),
)
