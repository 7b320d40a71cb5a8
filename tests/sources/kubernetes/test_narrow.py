"""Objects at the edge: whatever comes is a model or a diagnostic, and only what counts is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svcnet.labels import (
    HINTS_ANNOTATION,
    LEADER_ANNOTATION,
    OLD_HINTS_ANNOTATION,
    PROXY_PROTOCOL_ANNOTATION,
    SCHEDULER_ANNOTATION,
)
from svcnet.models import Endpoints, EndpointSlice, Pod, Service
from svcnet.sources.kubernetes.narrow import (
    ANNOTATIONS,
    LABELS,
    MAX_DIAGNOSTICS,
    narrow,
)
from svcnet.sources.kubernetes.resources import PATHS
from svcnet.sources.kubernetes.versions import is_older
from tests.sources.kubernetes.following import endpoint_slice, node, service

RBAC = Path(__file__).parents[3] / "examples/kubernetes/rbac.yaml"
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
GOOD: list[dict[str, Any]] = [service(), endpoint_slice(), node()]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of everything in a document."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in members:
            found += places(inner, (*path, key))
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a document with another value at a path."""
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = replaced(copied[path[0]], path[1:], new)
    return copied


def test_the_rights_in_the_example_are_those_that_are_used() -> None:
    """The manifest lets svcnet list and watch each kind, and nothing else."""
    documents = yaml.safe_load_all(RBAC.read_text("utf-8"))
    rules = [rule for d in documents if d["kind"] == "ClusterRole" for rule in d["rules"]]
    assert all(set(rule) == {"apiGroups", "resources", "verbs"} for rule in rules)
    assert all(rule["verbs"] == ["list", "watch"] for rule in rules)
    allowed = {(group, name) for r in rules for group in r["apiGroups"] for name in r["resources"]}
    used = set()
    for paths in PATHS.values():
        *_, group, _version, name = paths[0].split("/")
        used.add(("" if group == "api" else group, name))
    assert allowed == used


@given(st.sampled_from(sorted(PATHS)), VALUES)
def test_anything_is_a_model_or_an_error(kind: str, item: Any) -> None:
    """No value makes it raise, and none is lost without a word."""
    found = narrow(kind, item, "/x")
    assert (found.model is None) == bool(found.errors)


@given(st.data())
def test_good_objects_with_something_else_in_them(data: st.DataObject) -> None:
    """An object that is wrong in one place is read or told."""
    item = data.draw(st.sampled_from(GOOD))
    path = data.draw(st.sampled_from(places(item)))
    found = narrow(item["kind"], replaced(item, path, data.draw(VALUES)), "/x")
    assert (found.model is None) == bool(found.errors)


def test_errors_are_bounded() -> None:
    """An object with a thousand mistakes is told as a few."""
    item = service()
    item["spec"]["ports"] = [{"port": -number} for number in range(1000)]
    assert len(narrow("Service", item, "/x").errors) == MAX_DIAGNOSTICS
    assert narrow("Service", service("x" * 10**6), "/x").key is None


def test_the_annotations_that_count() -> None:
    """What compiler and controllers read is kept, by the names that they read it by."""
    read = {
        SCHEDULER_ANNOTATION,
        PROXY_PROTOCOL_ANNOTATION,
        OLD_HINTS_ANNOTATION,
        HINTS_ANNOTATION,
    }
    assert read == ANNOTATIONS
    item = service(annotations=dict.fromkeys(ANNOTATIONS - {SCHEDULER_ANNOTATION}, "v2"))
    item["metadata"]["annotations"]["other"] = "x"
    found = narrow("Service", item, "/x").model
    assert isinstance(found, Service)
    assert set(found.annotations) == ANNOTATIONS - {SCHEDULER_ANNOTATION}


def test_labels_that_only_pods_need_are_not_kept() -> None:
    """Where nothing is found by labels those stay that keep an object from being served."""
    for label in LABELS:
        labels = {"app": "web", label: ""}
        item = service(labels=labels)
        item["spec"]["selector"] = {"app": "web"}
        narrowed = narrow("Service", item, "/x", labelled=False).model
        whole = narrow("Service", item, "/x").model
        assert isinstance(narrowed, Service)
        assert isinstance(whole, Service)
        assert narrowed == evolve(whole, labels={label: ""}, selector={})
        assert narrowed.has_rules == whole.has_rules
        item = endpoint_slice(**labels)
        few = narrow("EndpointSlice", item, "/x", labelled=False).model
        every = narrow("EndpointSlice", item, "/x").model
        assert isinstance(few, EndpointSlice)
        assert isinstance(every, EndpointSlice)
        assert few == evolve(every, labels={label: ""})
        assert few.is_seen == every.is_seen


def test_of_a_leader_only_the_presence_counts() -> None:
    """An Endpoints object that is renewed every two seconds is the same each time."""
    made = []
    for renewed in ("1", "2"):
        metadata = {"name": "lock", "annotations": {LEADER_ANNOTATION: renewed}}
        item = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
        made.append(narrow("Endpoints", item, "/x").model)
    assert made[0] == made[1]
    assert isinstance(made[0], Endpoints)
    assert LEADER_ANNOTATION in made[0].annotations


def test_a_pods_environment_is_not_kept() -> None:
    """No endpoint depends on variables, and they may hold secrets."""
    container = {
        "name": "app",
        "env": [{"name": "PASSWORD", "value": "x"}],
        "ports": [{"containerPort": 80, "name": "http"}],
    }
    spec = {"containers": [container], "initContainers": [{**container, "name": "first"}]}
    item = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}
    found = narrow("Pod", item, "/x").model
    assert isinstance(found, Pod)
    assert not any(c.env for c in (*found.containers, *found.init_containers))
    assert found.containers[0].ports[0].name == "http"


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        ("9", "10", True),
        ("10", "9", False),
        ("10", "10", False),
        ("0010", "9", False),
        ("", "9", False),
        ("a", "9", False),
        ("٣", "9", False),
        ("9" * 5000, "1" + "0" * 5000, True),
    ],
)
def test_versions(one: str, other: str, older: bool) -> None:
    """Versions are compared as whole numbers of any length, and not if they are none."""
    assert is_older(one, other) is older
