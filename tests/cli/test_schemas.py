"""The JSON that verbs print is as their schemas say, key by key, and each verb has a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import click
import pytest

from svcnet.cli import main
from svcnet.modes import builtin
from svcnet.reconciler import Journal, RefusalEvent, status_document
from tests.cli.test_help import verbs
from tests.cli.test_status_watch import event
from tests.conftest import ROOT
from tests.json_schema import faults

EXAMPLE = ROOT / "examples" / "my-service"
LIVE = ROOT / "tests" / "live_node"
FOLDER = ROOT / "docs" / "reference" / "schemas"
PAGES = {
    **dict.fromkeys(("check", "diff", "explain", "verify"), "json-forms.md"),
    **dict.fromkeys(("dns-lookup", "endpoints", "env"), "json-forms.md"),
    **dict.fromkeys(("render-ipvs", "render-nftables"), "json-forms.md"),
    "render-userspace": "userspace-table.md",
    "status": "status.md",
}
"""Each schema, and the page that names its keys."""

CASES = sorted((ROOT / "tests/conformance/cases").glob("*/objects.yaml"))[::8]
POD = ROOT / "examples/from-pods/application.yaml"
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
    *(
        ("render", *objects, "--mode", mode)
        for mode in ("ipvs", "nftables", "userspace")
        for objects in (NODE, *((case,) for case in CASES))
    ),
    ("env", EXAMPLE),
    ("env", POD, "--from-pods", "--pod", "web-85f6d8-9qvzm"),
    ("dns", "lookup", "my-service.default.svc", EXAMPLE),
    ("dns", "lookup", "nothing.default", EXAMPLE),
    ("dns", "lookup", "_http._tcp.my-service.default.svc", "SRV", EXAMPLE),
    ("endpoints", POD),
    ("endpoints", POD, "--kind", "endpoints"),
    ("endpoints", LIVE / "objects.yaml"),
]


def name_of(arguments: tuple[object, ...]) -> str:
    """Return the schema of what a command line prints."""
    match arguments:
        case ("dns", verb, *_):
            return f"dns-{verb}"
        case ("render", *_, mode):
            return f"render-{mode}"
        case (verb, *_):
            return str(verb)
    raise AssertionError(arguments)


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
    schema = schema_of(name_of(arguments))
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


def test_status_is_as_its_schema_says() -> None:
    """Before anything is known of a run, and once it is."""
    journal = Journal(lambda: 1_000_000_000.0)
    for happens in (None, event(), RefusalEvent("IPv4", "ipvs", "no", event().graph, True)):
        if happens is not None:
            journal.take(happens)
        document = status_document(journal.record)
        document["input"]["source"] = "web.yaml"
        schema = schema_of("status")
        assert list(faults(schema, json.loads(json.dumps(document)), schema)) == []


def forms() -> Iterator[str]:
    """Yield what each form of JSON is called: by its verb, and of render by the mode as well."""
    for path, verb in verbs():
        context = click.Context(verb)
        for option in verb.get_params(context):
            choices = getattr(option.type, "choices", ())
            if "--output" in option.opts and "json" in choices:
                name = path.replace(" ", "-")
                modes = [mode for mode, each in builtin().items() if "json" in each.forms]
                yield from (f"{name}-{mode}" for mode in modes) if name == "render" else (name,)


def test_each_form_of_json_has_a_schema() -> None:
    """Of every verb, and every mode; and no schema is of a form that is not there."""
    there = {path.name.removesuffix(".schema.json") for path in FOLDER.iterdir()}
    assert there == set(PAGES) == set(forms())
    assert {name_of(arguments) for arguments in DOCUMENTS} == there - {"status"}


@pytest.mark.parametrize("name", PAGES)
def test_every_key_is_documented(name: str) -> None:
    """A schema says of each key what it is, and the page names it."""
    page = (ROOT / "docs" / "reference" / PAGES[name]).read_text()
    for each in objects(schema_of(name)):
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
