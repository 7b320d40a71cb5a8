"""A rule is traced to a place in a file: line and column of the field that caused it."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.graph import Origin
from svcnet.models import IPFamily
from svcnet.renderers.iptables import full
from svcnet.sources import Loaded, Place, load_bytes
from tests.fuzz import examples
from tests.strategies import spelled_manifests

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


@settings(max_examples=examples(60))
@given(st.data(), st.sampled_from(("IPv4", "IPv6")), st.booleans())
def test_every_line_of_rules_has_a_place(
    data: st.DataObject, family: IPFamily, as_json: bool
) -> None:
    """The place of each line's origin begins with the key, or with the address of an endpoint."""
    objects = data.draw(spelled_manifests(family)).objects
    text = "\n".join(map(json.dumps, objects)) if as_json else yaml.safe_dump_all(objects)
    loaded = load_bytes(text.encode())
    artifact = full(compile_state(loaded.state, node_view(loaded.state, family=family)))
    origins = map(artifact.origin_of_line, artifact.text.splitlines())
    for origin in {origin for origin in origins if origin is not None}:
        check_place(loaded, origin, text)


def check_place(loaded: Loaded, origin: Origin, text: str) -> None:
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
