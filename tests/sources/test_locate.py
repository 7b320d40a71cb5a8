"""A rule is traced to a place in a file: line and column of the field that caused it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.graph import Origin
from svcnet.labels import IGNORE_ANNOTATION
from svcnet.models import ClusterState, IPFamily, ServiceCIDR
from svcnet.sources import LoadResult, Place, load, load_bytes
from svcnet.sources.findings import MAX_KEY, join_path
from svcnet.sources.locate import path_of
from svcnet.sources.objects import label_of
from tests.fuzz import examples
from tests.renderers.test_causes import MODES, view_of
from tests.strategies import spelled_manifests
from tests.test_conformance import CASES, FAMILIES

Object = dict[str, Any]

YAML = """\
# A Service whose cluster IP is written the short way.
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  ports:
  - name: http
    port: 80
  - {name: https, port: 443, nodePort: 30443}
status: {loadBalancer: {ingress: [{ip: 192.0.2.1},   {ip: 192.0.2.2}]}}
---
apiVersion: v1
kind: List
items:
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
  addressType: IPv4
  ports: [{name: http, port: 8080}]
  endpoints:
  - addresses: [10.244.1.5]
  - addresses:
    - "10.244.1.6"
"""
WEB = ("Service", "shop", "web")


@pytest.mark.parametrize(
    ("origin", "line", "column"),
    [
        (Origin(*WEB, "spec.clusterIPs[0]"), 7, 3),
        (Origin(*WEB, "spec.ports[0]"), 9, 5),
        (Origin(*WEB, "spec.ports[1].nodePort"), 11, 30),
        (Origin(*WEB, "spec.ports[0].targetPort"), 9, 5),
        (Origin(*WEB, "spec.externalTrafficPolicy"), 5, 1),
        (Origin(*WEB, "status.loadBalancer.ingress[1].ip"), 12, 55),
        (Origin("EndpointSlice", "shop", "web-1", "endpoints[0].addresses[0]"), 23, 17),
        (Origin("EndpointSlice", "shop", "web-1", "endpoints[1].addresses[0]"), 25, 7),
    ],
)
def test_a_field_has_a_line_and_a_column(origin: Origin, line: int, column: int) -> None:
    """What is not written is where the nearest is that would hold it, a short form for a long."""
    loaded = load_bytes(YAML.encode(), "web.yaml")
    assert loaded.locate(origin) == Place("web.yaml", line, column)
    assert str(loaded.locate(origin)) == f"web.yaml:{line}:{column}"


def test_what_was_not_read_has_no_place() -> None:
    """An object that was not in the input is no line of it."""
    with pytest.raises(KeyError):
        load_bytes(YAML.encode()).locate(Origin("Service", "shop", "other", "spec"))


def test_columns_of_json() -> None:
    """In JSON a field begins with its quoted key, on whatever line."""
    text = json.dumps({"kind": "List", "apiVersion": "v1", "items": list(yaml.safe_load_all(YAML))})
    for written, line in ((text, 1), (text.replace('"spec"', '\n\n"spec"', 1), 3)):
        found = load_bytes(written.encode(), "x.json").locate(
            Origin(*WEB, "spec.ports[1].nodePort")
        )
        assert found.line == line
        assert written.split("\n")[line - 1][found.column - 1 :].startswith('"nodePort"')


LAYOUTS: dict[str, Callable[[list[Object]], str]] = {
    "documents": yaml.safe_dump_all,
    "a list": lambda objects: yaml.safe_dump(as_list(objects)),
    "lists in documents": lambda objects: yaml.safe_dump_all([as_list([o]) for o in objects]),
    "a list on few lines": lambda objects: yaml.safe_dump(
        as_list(objects), default_flow_style=True, width=300
    ),
    "JSON, an object a line": lambda objects: "\n".join(map(json.dumps, objects)),
    "JSON, a list": lambda objects: json.dumps(as_list(objects)),
    "JSON, a list for people": lambda objects: json.dumps(as_list(objects), indent=1),
}
"""How objects may stand in one text."""


def as_list(objects: list[Object]) -> Object:
    return {"apiVersion": "v1", "kind": "List", "items": objects}


def origins_of(state: ClusterState, family: IPFamily) -> set[Origin]:
    """Return the causes of all that is written in any mode."""
    graph = compile_state(state, node_view(state, family=family))
    return {origin for of in MODES.values() for _, origin in of(graph) if origin is not None}


@settings(max_examples=examples(60))
@given(st.data(), st.sampled_from(("IPv4", "IPv6")), st.sampled_from(sorted(LAYOUTS)))
def test_whatever_is_written_has_a_place(
    data: st.DataObject, family: IPFamily, layout: str
) -> None:
    """The place of each cause begins with the key, or with the address of an endpoint."""
    objects = data.draw(spelled_manifests(family)).objects
    text = LAYOUTS[layout](objects)
    loaded = load_bytes(text.encode())
    for origin in origins_of(loaded.state, family):
        check_place(loaded, origin, text)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_object_has_the_place_of_its_own_file(layout: str, tmp_path: Path) -> None:
    """So it is in folders whose files have several objects, and for standard input."""
    documents = list(yaml.safe_load_all(YAML))
    objects = [item for document in documents for item in document.get("items", [document])]
    renamed = json.dumps(objects)
    for old, new in (("web", "other"), ("10.96.0.10", "10.96.0.11"), ("30443", "30444")):
        renamed = renamed.replace(old, new)
    other = json.loads(renamed.replace("192.0.2.", "192.0.2.3"))
    (tmp_path / "web.yaml").write_text(LAYOUTS[layout](objects))
    given = LAYOUTS[layout](other)
    loaded = load([tmp_path, "-"], stdin=BytesIO(given.encode()))
    for text, name, file in (
        ((tmp_path / "web.yaml").read_text(), "web", str(tmp_path / "web.yaml")),
        (given, "other", "<stdin>"),
    ):
        origins = [
            Origin("Service", "shop", name, "spec.ports[1].nodePort"),
            Origin("EndpointSlice", "shop", f"{name}-1", "endpoints[1].addresses[0]"),
        ]
        for origin in origins:
            assert loaded.locate(origin).file == file
            check_place(loaded, origin, text)


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_an_object_of_a_server_has_no_line(case: Path) -> None:
    """Its place names the object, for the cause of all that is written of each case."""
    state = load([case / "objects.yaml"]).state
    view_by_family = {family: view_of(case, family)(state) for family in FAMILIES}
    loaded = LoadResult.of_server(state)
    for view in view_by_family.values():
        graph = compile_state(state, view)
        for origin in {origin for of in MODES.values() for _, origin in of(graph)}:
            assert origin is not None
            place = loaded.locate(origin)
            name = label_of(origin.kind, {"namespace": origin.namespace, "name": origin.name})
            text = f"{name} (server object)"
            assert (str(place), place.line, place.column) == (text, 0, 0)


def test_what_a_server_has_not_told_has_no_place() -> None:
    """An object that is gone is none of the state's."""
    state = load_bytes(YAML.encode()).state
    gone = LoadResult.of_server(state.apply(removed=state.services.values()))
    with pytest.raises(KeyError):
        gone.locate(Origin(*WEB, "spec"))
    cidr = LoadResult.of_server(ClusterState.of([ServiceCIDR("kubernetes", ("10.96.0.0/16",))]))
    place = cidr.locate(("ServiceCIDR", "", "kubernetes", "spec.cidrs[0]"))
    assert str(place) == "ServiceCIDR kubernetes (server object)"


@given(st.lists(st.integers(0, 999) | st.text(max_size=MAX_KEY), max_size=6))
def test_a_path_is_read_as_it_is_written(path: list[str | int]) -> None:
    """The field of a diagnostic is the same path again, whatever keys it has."""
    assert path_of(join_path(tuple(path))) == tuple(path)


def test_the_field_of_a_warning_has_a_place() -> None:
    """Also of an annotation, whose key has dots and a slash."""
    text = YAML.replace(
        "name: web, namespace: shop}",
        f"name: web, namespace: shop,\n  annotations: {{{IGNORE_ANNOTATION}: nothing-such}}}}",
        1,
    )
    loaded = load_bytes(text.encode(), "web.yaml")
    found = [each for each in loaded.warnings if "annotations" in each.field]
    assert found
    for warning in found:
        assert loaded.locate((*WEB, warning.field)).line == warning.line == 5


def check_place(loaded: LoadResult, origin: Origin, text: str) -> None:
    place = loaded.locate(origin)
    there = text.split("\n")[place.line - 1][place.column - 1 :].lstrip("\"'")
    assert there.lower().startswith(BEGINNINGS[re.sub(r"\d+", "N", origin.path)]), (origin, there)


ADDRESS = tuple("0123456789abcdef:")
BEGINNINGS = {
    "spec.clusterIPs[N]": ADDRESS,
    "spec.externalIPs[N]": ADDRESS,
    "spec.externalTrafficPolicy": ("externaltrafficpolicy", "spec", "{"),
    "spec.healthCheckNodePort": ("healthchecknodeport",),
    "spec.loadBalancerSourceRanges": ("loadbalancersourceranges", "["),
    "spec.loadBalancerSourceRanges[N]": (*ADDRESS, " "),
    "spec.ports[N]": ("name", "nodeport", "port", "protocol", "{"),
    "spec.ports[N].nodePort": ("nodeport",),
    "status.loadBalancer.ingress[N].ip": ("ip",),
    "endpoints[N].addresses[N]": ADDRESS,
}
"""What a field's place begins with; in JSON a mapping or list is where its bracket is."""
