"""What svcnet takes and refuses, held against what Kubernetes does, field by field."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from svcnet import checks
from svcnet.errors import Diagnostic, InputError
from svcnet.sources import load_bytes
from svcnet.sources.kubernetes.narrow import narrow
from tests.sources.validation import nodes, service, slices
from tests.sources.validation.values import ABSENT, CLASSES, Document, Values, keys_of, leaves

TOP = Path(__file__).parents[2]
SOURCES = TOP / "svcnet/sources"
LEAST = 3
TABLES: Mapping[str, tuple[Document, tuple[Values, ...]]] = {
    "Service": (service.BASE, service.ROWS),
    "EndpointSlice": (slices.SLICE, slices.SLICE_ROWS),
    "Endpoints": (slices.ENDPOINTS_OBJECT, slices.ENDPOINTS_ROWS),
    "Node": (nodes.NODE, nodes.NODE_ROWS),
    "Pod": (nodes.POD, nodes.POD_ROWS),
    "ServiceCIDR": (nodes.SERVICE_CIDR, nodes.SERVICE_CIDR_ROWS),
}
MODULES = {
    "services": ("Service", "ServiceCIDR"),
    "slices": ("EndpointSlice", "Endpoints"),
    "nodes": ("Node",),
    "pods": ("Pod",),
    "metadata": tuple(TABLES),
}
"""The modules that read fields, and the tables that these are in."""

WORDS = (checks.ANNOTATION, checks.ENDPOINT_PORT, checks.NODE_ADDRESS, checks.POD_STATUS)
"""The warnings about single values."""

GETTERS = {
    "address",
    "addresses",
    "boolean",
    "choice",
    "cidrs",
    "get",
    "integer",
    "items",
    "mapping",
    "mappings",
    "name",
    "optional_name",
    "string",
    "string_map",
    "strings",
}
KINDS = pytest.mark.parametrize("kind", TABLES)


def findings(document: Document) -> tuple[Diagnostic, ...]:
    """Return what is wrong with an object."""
    try:
        return load_bytes(json.dumps(document).encode()).warnings
    except InputError as error:
        return error.diagnostics


def cases(kind: str) -> Iterator[tuple[Values, Document, str, Any]]:
    """Yield each row with an object, what is to become of it, and the value."""
    base, rows = TABLES[kind]
    for row in rows:
        kept = [value for pairs in row.kept.values() for value, _ in pairs]
        lost = [value for values in row.lost.values() for value in values]
        answers = (("taken", row.takes), ("taken", kept), ("warned", row.warned))
        for answer, values in (*answers, ("refused", row.refuses), ("refused", lost)):
            for value in values:
                yield row, row.document(base, value), answer, value


def is_about(found: Iterable[Diagnostic], path: str) -> bool:
    """Return whether one of the findings is at the path, above it, below it or beside it."""
    beside = keys_of(path)[:-1]
    return any(
        keys_of(one.field)[: len(beside)] == beside[: len(keys_of(one.field))] for one in found
    )


@KINDS
def test_values(kind: str) -> None:
    """Each value is taken, told or refused as the table says, and the finding is at its place."""
    wrong = []
    for row, document, answer, value in cases(kind):
        found = findings(document)
        errors = [one for one in found if one.severity == "error"]
        here = [one for one in found if one.field == row.path and one.check in WORDS]
        good = {
            "taken": not errors and not here,
            "warned": not errors and bool(here),
            "refused": is_about(errors, row.path),
        }[answer]
        if not good:
            wrong.append(f"{row.path} {value!r:.80} {answer}, {row.given}: {[*map(str, found)]}")
    assert not wrong, "\n".join(wrong)


@KINDS
def test_wrong_annotations_have_no_effect(kind: str) -> None:
    """Of svcnet's own annotations a wrong value is as if it were not there, on each way in."""
    base, rows = TABLES[kind]
    for row in rows:
        for value in row.warned if "svcnet.io" in row.path else ():
            document, bare = row.document(base, value), row.document(base, ABSENT)
            assert narrow(kind, document, "/x").model == narrow(kind, bare, "/x").model
            old, new = (load_bytes(json.dumps(one).encode()).objects for one in (document, bare))
            assert old == new, (row.path, value)


def test_objects_that_nobody_thought_of() -> None:
    """Objects made by chance, of values in the tables and others, are judged as there."""
    lines = (TOP / "tests/sources/validation/answers.jsonl").read_text("utf-8").splitlines()
    for takes, document in map(json.loads, lines):
        errors = [one for one in findings(document) if one.severity == "error"]
        assert (not errors) == takes, (document, errors)


@KINDS
def test_old_forms_mean_what_the_new_ones_do(kind: str) -> None:
    """What only older servers take is read as the value that they took it for."""
    base, rows = TABLES[kind]
    for row in rows:
        for value, same in (pair for pairs in row.kept.values() for pair in pairs):
            both = [json.dumps(row.document(base, one)).encode() for one in (value, same)]
            old, new = (load_bytes(data).objects for data in both)
            assert old == new, (row.path, value)


@KINDS
def test_an_object_of_a_server_is_never_left_out(kind: str) -> None:
    """What a server of any version takes is taken where it comes from a server."""
    for _, document, answer, _ in cases(kind):
        if answer != "refused":
            name = document["metadata"].get("name")
            found = narrow(kind, document, "/x")
            assert (found.model is not None) == bool(name), document


@KINDS
def test_every_field_has_values_on_both_sides(kind: str) -> None:
    """The table has at least three values that are taken, and three that are not, of each field."""
    _, rows = TABLES[kind]
    for path in leaves(rows):
        these = [row for row in rows if re.sub(r"\[\d+\]", "[]", row.path) == path]
        kept = sum(len(pairs) for row in these for pairs in row.kept.values())
        taken = sum(len(row.takes) + len(row.warned) for row in these)
        refused = sum(len(row.refuses) for row in these) + kept
        assert path in ("metadata", "spec") or taken >= LEAST, (path, taken)
        assert refused >= LEAST, (path, refused)


def keys_read(tree: ast.Module) -> set[str]:
    """Return the keys that a module reads of documents."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            first = node.args[0]
            if node.func.attr in GETTERS and isinstance(first, ast.Constant):
                found.add(str(first.value))
    return {key for key in found if re.fullmatch("[a-zA-Z]+", key)}


@pytest.mark.parametrize("module", MODULES)
def test_every_field_that_is_read_is_in_a_table(module: str) -> None:
    """Whoever reads one more field finds out first what the API server takes of it."""
    tree = ast.parse((SOURCES / f"{module}.py").read_text("utf-8"))
    known = {
        key for kind in MODULES[module] for row in TABLES[kind][1] for key in keys_of(row.path)
    }
    assert keys_read(tree) <= known
    assert keys_read(tree)


def test_differences_are_documented() -> None:
    """Each class of difference between svcnet and the API server is on the page of inputs."""
    text = (TOP / "docs/reference/inputs.md").read_text("utf-8")
    used = {
        name for _, rows in TABLES.values() for row in rows for name in {**row.kept, **row.lost}
    }
    assert used == set(CLASSES)
    assert all(f"| {name} |" in text for name in CLASSES)
