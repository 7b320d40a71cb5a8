"""svcnet's own annotations: what they silence, and that none is without a word and an effect."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet import checks
from svcnet.checks import Check
from svcnet.errors import Diagnostic
from svcnet.sources import load_bytes
from svcnet.sources.annotations import ignorable
from svcnet.sources.kubernetes.narrow import narrow
from tests.fuzz import examples
from tests.sources.test_checks import blocks, sections, told

WARNINGS = [check for check in checks.every() if check.severity == "warning"]


def warnings(annotations: str, kind: str = "Service") -> list[str]:
    """Return the checks of a Service that is told twice, or another object, so annotated."""
    service = "spec: {ports: [{port: 80}]}"
    rest = service if kind == "Service" else ""
    text = f"{{apiVersion: v1, kind: {kind}, metadata: {{name: a, annotations: {annotations}}}"
    found = load_bytes(f"{text}{', ' + rest if rest else ''}}}".encode(), "a.yaml").warnings
    return [f"{one.check.name}: {one.message}" for one in found]


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ("", ["no-cluster-ip", "no-endpoints"]),
        ("no-endpoints", ["no-cluster-ip"]),
        ("S704", ["no-cluster-ip"]),
        ("no-cluster-ip,no-endpoints", []),
        (" S306 ,, no-endpoints ,", []),
        ("no-slice", ["no-cluster-ip", "no-endpoints"]),
    ],
)
def test_an_object_ignores_its_warnings(names: str, left: list[str]) -> None:
    """Names and numbers are taken, with commas and blanks between."""
    found = [one.partition(":")[0] for one in warnings(f'{{svcnet.io/ignore: "{names}"}}')]
    assert sorted(found) == left


def test_of_others_they_are_told() -> None:
    """What one object ignores is told of the next, and of all without the annotation."""
    text = "kind: Service\napiVersion: v1\nspec: {clusterIP: 10.96.0.1%d, ports: [{port: 80}]}\n"
    one = text % 1 + "metadata: {name: a, annotations: {svcnet.io/ignore: no-endpoints}}\n"
    two = text % 2 + "metadata: {name: b}\n"
    loaded = load_bytes(f"{one}---\n{two}".encode())
    assert [found.object for found in loaded.warnings] == ["Service default/b"]


def test_what_cannot_be_ignored_is_told() -> None:
    """Errors cannot, nor what is no check; the rest of the annotation counts."""
    assert warnings('{svcnet.io/ignore: "no-cluster-ip, no-endpoint, address, S704"}') == [
        "unknown-annotation: S204 address is an error, and only warnings can be ignored",
        "unknown-annotation: there is no check 'no-endpoint'; did you mean no-endpoints?",
    ]


@pytest.mark.parametrize(
    ("kind", "annotation", "told"),
    [
        (
            "Service",
            "svcnet.io/ingore",
            "is no annotation that svcnet has, so it has no effect; did you mean svcnet.io/ignore?",
        ),
        (
            "Service",
            "svcnet.io/ipvs-weight",
            "is for EndpointSlice and Endpoints, so it has no effect here",
        ),
        ("Node", "svcnet.io/proxy-protocol", "is for Service, so it has no effect here"),
        ("Service", "other.example/ignore", ""),
    ],
)
def test_an_annotation_without_effect(kind: str, annotation: str, told: str) -> None:
    """One of svcnet's own that it does not know, or that is for another kind, is a warning."""
    text = f'{{{annotation}: "1", svcnet.io/ignore: "no-endpoints, no-cluster-ip"}}'
    assert warnings(text, kind) == ([f"unknown-annotation: {told}"] if told else [])


OUTSIDE = {
    *("encoding", "unread-text", "empty-file", "no-object", "passed-over"),
    *("misplaced-configuration", "cleartext", "unverified-server", "empty-namespace"),
    *("environment-size", "cluster-families", "unsupported-port", "health-check-port"),
    *("family-left-out", "machine-state", "no-effect", "absent-node", "no-pod-cidr"),
    *("no-cluster-cidr", "no-node-port-address", "assumed"),
}
"""What is told of no object: of files, other files, requests and machines."""


@pytest.mark.parametrize("check", WARNINGS, ids=lambda check: check.name)
def test_every_warning_is_ignored_by_an_annotation_or_says_that_it_is_not(
    check: Check, tmp_path: Path
) -> None:
    """The example of the page, so annotated, is told of no more, or of an annotation in vain."""
    found = warnings(f"{{svcnet.io/ignore: {check.name}}}", "Node")
    in_vain = [f"unknown-annotation: {check} is told of no Node, so it has no effect; --ignore has"]
    assert found == (in_vain if check.name in OUTSIDE else [])
    if check.name in OUTSIDE:
        return
    for block in blocks(sections()[str(check)]):
        if block.file == "manifests.yaml":
            body = ignore_in(block.body, check)
            endpoints = check.number.startswith("S8")
            before = checks_of(told(block, tmp_path, endpoints=endpoints))
            after = checks_of(told(block._replace(body=body), tmp_path, endpoints=endpoints))
            assert after == before - {check}


def ignore_in(body: str, check: Check) -> str:
    """Return manifests whose objects all ignore a warning, beside what they ignore already."""
    key = "svcnet.io/ignore"
    if "annotations:" not in body:
        with_flow = body.replace(
            "metadata: {", f"metadata: {{annotations: {{{key}: {check.name}}}, "
        )
        block = f"metadata:\n  annotations: {{{key}: {check.name}}}\n"
        return with_flow.replace("metadata:\n", block)
    documents = list(yaml.safe_load_all(body))
    for document in documents:
        annotations = document["metadata"].setdefault("annotations", {})
        annotations[key] = ", ".join([*filter(None, [annotations.get(key)]), check.name])
    return yaml.safe_dump_all(documents)


def checks_of(found: Iterable[Diagnostic]) -> set[Check | None]:
    return {each.check for each in found}


@settings(max_examples=examples(100))
@given(st.text(max_size=30) | st.sampled_from([check.name for check in checks.every()]))
def test_only_warnings_can_be_ignored(name: str) -> None:
    """Any text is the name of a warning, or refused with a reason."""
    if checks.find_check(name) in WARNINGS:
        assert ignorable(name) == checks.find_check(name)
    else:
        with pytest.raises(ValueError, match=r"there is no check|is an error, and only"):
            ignorable(name)


def test_an_api_server_s_objects_have_annotations_too() -> None:
    """What is wrong with one is told and makes no object unusable; what is ignored is not told."""
    metadata = {"name": "a", "annotations": {"svcnet.io/ignore": "nothing", "svcnet.io/x": "1"}}
    spec = {"clusterIP": "10.96.0.10", "ports": [{"port": 80}], "unheardOf": 1}
    made = narrow("Service", {"metadata": metadata, "spec": spec}, "/api/v1/services")
    assert made.model is not None
    told = [one.message.partition(",")[0] for one in made.warnings]
    assert told == ["there is no check 'nothing'", "is no annotation that svcnet has"]
    metadata["annotations"] = {"svcnet.io/ignore": "unknown-annotation", "svcnet.io/x": "1"}
    assert (
        narrow("Service", {"metadata": metadata, "spec": spec}, "/api/v1/services").warnings == ()
    )
