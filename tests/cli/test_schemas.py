"""The JSON that explain, verify and diff print is as their schemas say, key by key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from svcnet.cli import main
from tests.conftest import ROOT
from tests.json_schema import faults

EXAMPLE = ROOT / "examples" / "my-service"
LIVE = ROOT / "tests" / "live_node"
FOLDER = ROOT / "docs" / "reference" / "schemas"
VERBS = ("check", "diff", "explain", "verify")
NODE = (LIVE / "objects.yaml", "--config", LIVE / "config.yaml", "--node", "node1")
DOCUMENTS = [
    ("check", EXAMPLE),
    ("check", ROOT / "examples"),
    ("diff", EXAMPLE, EXAMPLE),
    ("diff", EXAMPLE, ROOT / "examples" / "from-pods"),
    ("diff", LIVE / "objects.yaml", LIVE / "objects.yaml", "--node", "node1"),
    ("diff", EXAMPLE, "--to-mode", "nftables"),
    ("diff", *NODE, "--mode", "ipvs", "--to-mode", "userspace"),
    ("diff", "--rules", LIVE / "iptables-save.txt", LIVE / "nft-ruleset.json"),
    ("explain", EXAMPLE, "--to", "10.96.0.100:80"),
    ("explain", EXAMPLE, "--to", "10.96.0.100:81", "--mode", "nftables"),
    ("explain", EXAMPLE, "--to", "my-service.default.svc.cluster.local:80", "--from", "node"),
    ("explain", *NODE, "--to", "10.96.0.1:443", "--mode", "ipvs"),
    ("explain", *NODE, "--all"),
    ("explain", EXAMPLE, "--to", "10.96.0.100:80", "--rules", EXAMPLE / "iptables-save.txt"),
    ("explain", "--to", "10.96.0.100:80", "--rules", EXAMPLE / "iptables-save.txt"),
    ("verify", EXAMPLE, "--rules", EXAMPLE / "iptables-save.txt"),
    ("verify", *NODE, "--rules", LIVE / "nft-ruleset.txt"),
    ("verify", EXAMPLE, "--rules", LIVE / "iptables-save.txt"),
]


def schema_of(verb: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{verb}.schema.json").read_text())
    return found


@pytest.mark.parametrize("arguments", DOCUMENTS, ids=lambda each: " ".join(map(str, each))[:60])
def test_documents_are_as_their_schemas_say(
    capsys: pytest.CaptureFixture[str], arguments: tuple[object, ...]
) -> None:
    """Each key is in the schema, each that must be there is, and each value is of its kind."""
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments), "--output", "json"])
    assert end.value.code in (None, 0, 1)
    schema = schema_of(str(arguments[0]))
    assert list(faults(schema, json.loads(capsys.readouterr().out), schema)) == []


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield each object that a schema tells of."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for each in schema.values():
            yield from objects(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from objects(each)


@pytest.mark.parametrize("verb", VERBS)
def test_every_key_is_documented(verb: str) -> None:
    """A schema says of each key what it is, and the page names it."""
    page = (ROOT / "docs" / "reference" / "json-forms.md").read_text()
    for each in objects(schema_of(verb)):
        assert each["additionalProperties"] is False
        for key, value in each["properties"].items():
            assert value["description"].endswith("."), key
            assert re.search(rf"`{key}`", page), key


def test_a_schema_is_heeded() -> None:
    """A key too many, one that is missing and a value of another kind are each found."""
    schema = schema_of("diff")
    family = {
        "family": "IPv4",
        "mode": "iptables",
        "toMode": "iptables",
        "cells": 1,
        "frontends": [],
        "healthChecks": [],
        "known": [],
        "same": [],
        "text": False,
        "unknown": [],
        "rewritten": None,
    }
    assert not list(faults(schema, {"families": [family]}, schema))
    for change in ({"more": 1}, {"cells": "1"}, {"family": "IPX"}, {"text": None}):
        assert list(faults(schema, {"families": [{**family, **change}]}, schema))
    del family["cells"]
    assert list(faults(schema, {"families": [family]}, schema)) == [".families[0].cells is missing"]
