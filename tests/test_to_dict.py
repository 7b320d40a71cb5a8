"""What a program is told can be written as JSON, with keys that stay."""

from __future__ import annotations

import json
from typing import Any

import pytest

import svcnet
from svcnet import checks
from svcnet.errors import Diagnostic
from svcnet.graph import Origin, Packet, evaluate
from svcnet.graph.evaluate import Deliver, Pass, Refuse
from svcnet.models import ClusterState
from svcnet.modes import Omission
from svcnet.sources import Place
from svcnet.testing import make_node, make_service, make_slice

CHECK = "S201 type"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Place("a.yaml", 3, 5), {"file": "a.yaml", "line": 3, "column": 5}),
        (
            Origin("Service", "shop", "web", "spec.ports[0]"),
            {"kind": "Service", "namespace": "shop", "name": "web", "path": "spec.ports[0]"},
        ),
        (
            Diagnostic("a.yaml", 3, "Service shop/web", "spec", "is wrong", check=checks.TYPE),
            {
                "file": "a.yaml",
                "line": 3,
                "object": "Service shop/web",
                "field": "spec",
                "message": "is wrong",
                "severity": "error",
                "check": CHECK,
            },
        ),
        (Omission("Service shop/web", checks.TYPE), {"text": "Service shop/web", "check": CHECK}),
        (
            Deliver("10.0.0.1", 80, True),
            {"kind": "deliver", "address": "10.0.0.1", "port": 80, "masquerade": True},
        ),
        (Refuse("drop", "no endpoint"), {"kind": "drop", "reason": "no endpoint"}),
        (Pass(), {"kind": "pass"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_keys(value: Any, expected: dict[str, Any]) -> None:
    assert value.to_dict() == expected
    assert json.loads(json.dumps(value.to_dict())) == expected


def test_chances_are_exact() -> None:
    """An outcome has its chance as a fraction, and the nodes on the way."""
    endpoints = make_slice("web", "10.244.1.5@node-a", "10.244.1.6@node-a", "10.244.1.7@node-a")
    state = ClusterState.of([make_node("node-a"), make_service("web", "10.96.0.10"), endpoints])
    outcomes = evaluate(svcnet.compile(state), Packet("10.244.1.9", "10.96.0.10", 80))
    found = json.loads(json.dumps([outcome.to_dict() for outcome in outcomes]))
    assert [one["probability"] for one in found] == ["1/3"] * 3
    assert {one["verdict"]["kind"] for one in found} == {"deliver"}
    assert found[0]["path"][0] == "shop/web:http/TCP"
