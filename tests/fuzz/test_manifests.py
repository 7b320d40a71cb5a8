"""Manifests of any text and any values: rules that svcnet knows, or a refusal in plain words.

The same document means the same from a file and from an API server, in YAML and in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from svcnet.cli import main
from svcnet.discovery.endpoints import with_slices
from svcnet.discovery.environment import environment, shell
from svcnet.errors import Diagnostic, InputError
from svcnet.models import ClusterState
from svcnet.models.state import ClusterObject
from svcnet.sources import load, load_bytes
from svcnet.sources.kubernetes.narrow import MAX_DIAGNOSTICS, _less, narrow
from tests.fuzz.documents import FULL, as_json, as_yaml, bent, damaged, pairs_of
from tests.fuzz.outcomes import FAMILIES, refused, serve, told, tries
from tests.strategies import Manifests, spelled_manifests

CORPUS = Path(__file__).with_name("corpus") / "manifests"
CASES = Path(__file__).parents[1] / "conformance" / "cases"


def read(data: bytes, file: str = "x.yaml") -> ClusterState | None:
    """Return the state that text comes to, None if it is refused, as it has to be."""
    try:
        loaded = load_bytes(data, file)
    except InputError as error:
        refused(error, file)
        return None
    told(loaded.warnings)
    told(loaded.skipped)
    return loaded.state


def discover(state: ClusterState) -> None:
    """Make what controllers and the kubelet make: endpoints, and variables."""
    serve(with_slices(state))
    for namespace in {key.namespace for key in state.services} or {"default"}:
        variables = environment(state, namespace, service_links=True).variables
        text = shell({variable.name: variable.value for variable in variables})
        for line in text.splitlines():
            assert re.fullmatch(r"export [A-Z0-9_]+='?[A-Za-z0-9:/.\[\]-]*'?|", line), line


@cache
def manifests() -> tuple[bytes, ...]:
    """Texts that are right: what the cases hold, and every kind with every field."""
    found = [path.read_bytes() for path in sorted(CASES.glob("*/objects.yaml"))]
    whole = [pairs_of(document) for document in FULL.values()]
    found.append("---\n".join(map(as_yaml, whole)).encode())
    found.append(as_json(pairs_of({"kind": "List", "items": list(FULL.values())})).encode())
    return tuple(text for text in found if len(text) < 10_000)


def test_forms_of_rules_are_those_of_the_cases() -> None:
    """What the fuzzers take for the words of rules is what the cases come to."""
    for path in sorted(CASES.glob("*/objects.yaml"))[::4]:
        serve(load([path]).state)


objects = (
    st.sets(st.sampled_from(list(FULL)), min_size=1)
    .flatmap(lambda kinds: damaged([pairs_of(FULL[kind]) for kind in sorted(kinds)]))
    .map(lambda found: found if type(found) is list else [found])
)


@tries(200)
@given(documents=objects, yaml=st.booleans(), bend=st.data())
def test_values(documents: list[Any], yaml: bool, bend: st.DataObject) -> None:
    """Objects with other values, keys and nesting, as YAML and as JSON."""
    texts = [(as_yaml if yaml else as_json)(document) for document in documents]
    data = ("---\n" if yaml else "\n").join(texts).encode("utf-8", "surrogatepass")
    state = read(data, "x.yaml" if yaml else "x.json")
    if state is not None:
        serve(state)
        discover(state)


@tries(200)
@given(st.data())
def test_text(data: st.DataObject) -> None:
    """Manifests with pieces cut out, doubled and put in."""
    state = read(data.draw(bent(data.draw(st.sampled_from(manifests())))))
    if state is not None:
        serve(state)


def test_every_beginning() -> None:
    """A manifest that is cut off anywhere is refused or means what is there of it."""
    for whole in (manifests()[-1], as_yaml(pairs_of(FULL["Service"])).encode()):
        for end in range(0, len(whole), 7):
            read(whole[:end])


@pytest.mark.parametrize("kind", FULL)
def test_every_kind_is_read_whole(kind: str) -> None:
    """The objects that others are made from are right, and nothing of them is unknown."""
    loaded = load_bytes(json.dumps(FULL[kind]).encode(), "x.json")
    assert len(loaded.objects) == 1
    assert not [found for found in loaded.warnings if "unknown" in found.message]


Remarks = set[tuple[str, str, str]]


def remarks(errors: Iterable[Diagnostic]) -> Remarks:
    """Return errors without where they came from."""
    return {(error.object, error.field, error.message) for error in errors}


def by_file(data: bytes) -> tuple[list[ClusterObject], Remarks]:
    try:
        return list(load_bytes(data, "x.json").objects), set()
    except InputError as error:
        return [], remarks(each for each in error.diagnostics if each.severity == "error")


@tries(300)
@given(kind=st.sampled_from(list(FULL)), bend=st.data())
def test_a_file_and_an_api_server_mean_the_same(kind: str, bend: st.DataObject) -> None:
    """An object that both give is the same object, or wrong in the same ways."""
    whole = pairs_of({k: v for k, v in FULL[kind].items() if k not in ("kind", "apiVersion")})
    try:
        item = orjson.loads(as_json(bend.draw(damaged(whole, 2))))
    except orjson.JSONDecodeError:
        return
    if type(item) is not dict:
        return
    item = {**item, "kind": kind, "apiVersion": FULL[kind]["apiVersion"]}
    made = narrow(kind, item, "/api")
    found, wrong = by_file(json.dumps(item).encode())
    # Of what a server gives the first findings are told.
    told_of = remarks(made.errors)
    assert told_of <= wrong
    assert told_of == wrong or len(told_of) == MAX_DIAGNOSTICS
    if not wrong:
        assert [made.model] == list(map(_less, found))


@tries(30)
@given(st.sampled_from(FAMILIES).flatmap(spelled_manifests))
def test_yaml_and_json_mean_the_same(manifests: Manifests) -> None:
    """The same objects in YAML, in JSON, and in YAML so long that it is read in another way."""
    documents = [pairs_of(document) for document in manifests.objects]
    yaml = "---\n".join(map(as_yaml, documents)).encode()
    long = b"# " + b"-" * 40_000 + b"\n" + yaml
    as_list = as_json(pairs_of({"kind": "List", "items": manifests.objects})).encode()
    states = [
        read(text) for text in (yaml, long, as_list, json.dumps(json.loads(as_list)).encode())
    ]
    assert states[0] is not None
    assert states[1:] == states[:1] * 3


VERBS = (
    *("render -", "render - --mode ipvs", "render - --mode userspace", "render - --from-pods"),
    *("render - --strict", "render - --family ipv6 --mode ipvs -o messages"),
    *("render - --mode userspace -o haproxy", "render - --mode userspace -o json"),
    *("endpoints -", "endpoints - -o table", "endpoints - --kind endpoints -o json"),
    *("check -", "check - -o sarif", "check - -o junit", "check - -o github"),
    *("env - --namespace shop", "env - --pod web-0 -o dotenv", "graph -", "dns zone -"),
)


@tries(60)
@given(documents=objects, verb=st.sampled_from(VERBS))
@example(documents=["\ud800"], verb="render -")
def test_command(documents: list[Any], verb: str) -> None:
    """Every verb ends with 0 or 2, or 1 for findings; it prints nothing of what it refuses."""
    text = "\n---\n".join(map(as_yaml, documents)).encode("utf-8", "surrogatepass")
    result = CliRunner().invoke(main, verb.split(), input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    found = verb.startswith("check") and result.exit_code == 1
    assert result.exit_code in (0, 2) or found
    told(result.stderr.splitlines())
    assert result.exit_code == 0 or found or not result.stdout
    assert result.exit_code == 0 or found or result.stderr


@pytest.mark.parametrize("node", ["a\nfrontend x", 'a"', "W1", "a b", "\u2028", "-", "a" * 300])
def test_a_node_that_cannot_be_one(node: str) -> None:
    """What --node says does not become text of rules, or of a configuration."""
    text = json.dumps(FULL["Service"])
    args = ["render", "-", "--mode", "userspace", "--output", "haproxy", "--node", node]
    result = CliRunner().invoke(main, args, input=text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--node: must be" in result.stderr


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_corpus(path: Path) -> None:
    """Manifests that once broke something."""
    state = read(path.read_bytes(), path.name)
    if state is not None:
        serve(state)
        discover(state)
