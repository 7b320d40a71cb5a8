"""Reading Pods: what is wrong, where, and what a right one becomes."""

from __future__ import annotations

import pytest

from svcnet.errors import InputError
from svcnet.models import (
    ClusterState,
    Container,
    ContainerPort,
    Endpoint,
    EndpointSlice,
    EnvVar,
    NamespacedName,
    Pod,
    TargetRef,
)
from svcnet.sources import load_bytes
from svcnet.testing import make_pod

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: web-1
  namespace: shop
spec:
  nodeName: node-a
  containers:
  - name: app
    ports:
    - {name: http, containerPort: 8080}
    env:
    - {name: A, value: b}
status:
  phase: Running
  podIP: 10.244.1.5
"""

# What is replaced in POD, by what, and the line, field and part of the message to come.
WRONG = (
    ("name: web-1", "name: Web", 4, "metadata.name", "RFC 1123 subdomain"),
    ("namespace: shop", "namespace: a.b", 5, "metadata.namespace", "RFC 1123 label"),
    ("namespace: shop", "labels: {a: 1}", 5, "metadata.labels.a", "string to a string"),
    ("namespace: shop", "uid: 1", 5, "metadata.uid", "must be a string"),
    ("namespace: shop", "deletionTimestamp: 1", 5, "metadata.deletionTimestamp", "a string"),
    ("nodeName: node-a", "nodeName: a_b", 7, "spec.nodeName", "RFC 1123 subdomain"),
    ("nodeName: node-a", "hostname: a.b", 7, "spec.hostname", "RFC 1123 label"),
    ("nodeName: node-a", "subdomain: a.b", 7, "spec.subdomain", "RFC 1123 label"),
    ("nodeName: node-a", "enableServiceLinks: 1", 7, "spec.enableServiceLinks", "true or false"),
    ("name: app", "name: App", 9, "spec.containers[0].name", "RFC 1123 label"),
    ("name: app", "image: app", 9, "spec.containers[0].name", "is required"),
    ("name: app", "name: app\n  - name: app", 10, "spec.containers[1].name", "is that of"),
    (
        "containers:",
        "initContainers: [{name: app}]\n  containers:",
        8,
        "spec.initContainers[0].name",
        "app is that of containers[0] too",
    ),
    ("name: app", "name: app\n    restartPolicy: always", 10, "", "Always, OnFailure or Never"),
    ("name: app", "name: app\n    envFrom: 1", 10, "spec.containers[0].envFrom", "a list"),
    ("8080", "0", 11, "spec.containers[0].ports[0].containerPort", "from 1 to 65535"),
    (", containerPort: 8080", "", 11, "spec.containers[0].ports[0].containerPort", "required"),
    ("name: http", "name: ht--tp", 11, "spec.containers[0].ports[0].name", "IANA"),
    ("name: http", "name: '8080'", 11, "spec.containers[0].ports[0].name", "IANA"),
    ("8080}", "80, protocol: X}", 11, "spec.containers[0].ports[0].protocol", "TCP, UDP"),
    (
        "8080}",
        "8080}\n    - {name: http, containerPort: 8081}",
        12,
        "spec.containers[0].ports[1].name",
        "'http' is there twice",
    ),
    ("name: A", "name: a=b", 13, "spec.containers[0].env[0].name", "printable ASCII"),
    ("{name: A,", "{", 13, "spec.containers[0].env[0].name", "is required"),
    ("value: b", "value: 1", 13, "spec.containers[0].env[0].value", "must be a string"),
    (
        "value: b",
        "value: b, valueFrom: {fieldRef: {fieldPath: a}}",
        13,
        "spec.containers[0].env[0].valueFrom",
        "beside",
    ),
    ("value: b", "valueFrom: {}", 13, "spec.containers[0].env[0].valueFrom", "says nothing"),
    ("10.244.1.5", "10.244.1.500", 16, "status.podIP", "must be an IP address"),
    ("podIP: 10.244.1.5", "podIPs: [{ip: x}]", 16, "status.podIPs[0].ip", "an IP address"),
    (
        "podIP: 10.244.1.5",
        "podIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.2}]",
        16,
        "status.podIPs",
        "one address of each IP family",
    ),
)


@pytest.mark.parametrize(("old", "new", "line", "field", "message"), WRONG)
def test_wrong_pods_are_findings_with_their_place(
    old: str, new: str, line: int, field: str, message: str
) -> None:
    """Each wrong field is one error with line, object, field and reason."""
    assert old in POD
    with pytest.raises(InputError) as caught:
        load_bytes(POD.replace(old, new, 1).encode(), "in.yaml")
    (found,) = caught.value.diagnostics
    assert found.line == line
    assert found.field == (field or "spec.containers[0].restartPolicy")
    assert message in found.message


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("Running", "running", "status.phase"),
        (
            "phase: Running",
            "conditions: [{type: Ready, status: 'yes'}]",
            "status.conditions[0].status",
        ),
    ],
)
def test_states_that_kubernetes_does_not_have(old: str, new: str, field: str) -> None:
    """Nobody checks these, so a server may hold them: they count as Unknown, with a word."""
    loaded = load_bytes(POD.replace(old, new, 1).encode(), "in.yaml")
    assert [(one.line, one.field) for one in loaded.warnings] == [(15, field)]
    (found,) = loaded.objects
    assert isinstance(found, Pod)
    assert not found.ready
    assert found.phase == ("Unknown" if "phase" in field else "Pending")


def test_pods_without_names_are_numbered() -> None:
    """Of generateName the same input makes the same names, and no two of them are alike."""
    text = POD.replace("name: web-1", "generateName: web-")
    other = text.replace("shop", "other")
    loaded = load_bytes("---\n".join([text, text, other, text]).encode())
    assert [(one.namespace, one.name) for one in loaded.objects if isinstance(one, Pod)] == [
        ("shop", "web-00001"),
        ("shop", "web-00002"),
        ("other", "web-00001"),
        ("shop", "web-00003"),
    ]
    long = load_bytes(text.replace("web-", "a" * 63).encode()).objects
    assert [one.name for one in long] == ["a" * 58 + "00001"]
    with pytest.raises(InputError, match=r"Pod shop/web-00002: status\.podIP"):
        load_bytes(f"{text}---\n{text.replace('10.244.1.5', 'x')}".encode())


def test_a_pod_without_containers_is_an_error() -> None:
    """The API server wants at least one container."""
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n"
    with pytest.raises(InputError, match="at least one container"):
        load_bytes(text.encode())


def pod(text: str) -> Pod:
    (found,) = load_bytes(text.encode()).objects
    assert isinstance(found, Pod)
    return found


def test_a_plain_pod_has_the_defaults() -> None:
    """Protocol TCP, service links on, not ready without a condition, not deleting."""
    assert pod(POD) == Pod(
        namespace="shop",
        name="web-1",
        node_name="node-a",
        phase="Running",
        pod_ips=("10.244.1.5",),
        containers=(Container("app", (ContainerPort(8080, "http"),), (EnvVar("A", "b"),)),),
    )


def test_a_full_pod() -> None:
    """Every field that counts arrives in the model, addresses in canonical text."""
    text = (
        POD.replace("namespace: shop", "uid: u\n  deletionTimestamp: 2026-01-01T00:00:00Z")
        .replace("nodeName: node-a", "enableServiceLinks: false\n  hostname: h\n  subdomain: s")
        .replace("{name: A, value: b}", "{name: A, valueFrom: {fieldRef: {fieldPath: a}}}")
        .replace("podIP: 10.244.1.5", "podIPs: [{ip: 'FD00::0:1'}, {ip: 10.244.1.5}]")
        .replace("phase: Running", "conditions: [{type: Ready, status: 'True'}]")
        .replace(
            "  containers:",
            "  initContainers: [{name: i, restartPolicy: Always, envFrom: [{}]}]\n  containers:",
        )
    )
    assert pod(text) == Pod(
        namespace="default",
        name="web-1",
        uid="u",
        pod_ips=("fd00::1", "10.244.1.5"),
        hostname="h",
        subdomain="s",
        ready=True,
        deleting=True,
        enable_service_links=False,
        containers=(Container("app", (ContainerPort(8080, "http"),), (EnvVar("A", None),)),),
        init_containers=(Container("i", env_from=True, restart_always=True),),
    )


def test_the_single_address_counts_where_the_two_fields_differ() -> None:
    """The API server keeps podIP alone when podIPs does not begin with it."""
    text = POD.replace("podIP: 10", "podIPs: [{ip: 10.244.1.6}, {ip: 'fd00::6'}]\n  podIP: 10")
    assert pod(text).pod_ips == ("10.244.1.5",)


def test_the_state_holds_pods_by_name() -> None:
    """Pods come, are replaced and go like every object, and touch no Service by themselves."""
    one, other = make_pod("a"), make_pod("b", "10.244.1.6")
    state = ClusterState.of([one, other])
    assert state.pods[NamespacedName("shop", "a")] is one
    assert set(state.pods) == {("shop", "a"), ("shop", "b")}
    changed = make_pod("a", ready=False)
    after = ClusterState().apply([one, other]).apply([changed], [other])
    assert list(after) == [changed]
    assert state.services_of([one]) == frozenset()


def test_endpoints_keep_the_object_behind_them() -> None:
    """A targetRef is read of plain and of unusual endpoints; one without a name is none."""
    text = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a, annotations: {x: "y", svcnet.io/ipvs-weight: "3"}}
addressType: IPv4
endpoints:
- {addresses: [10.0.0.1], targetRef: {kind: Pod, namespace: d, name: p, uid: u}}
- {addresses: [10.0.0.2], hostname: h, hints: {forNodes: [{name: "n"}]}, targetRef: {name: p}}
- {addresses: [10.0.0.3], targetRef: {kind: Pod}}
"""
    (found,) = load_bytes(text.encode()).objects
    assert isinstance(found, EndpointSlice)
    assert found.annotations == {"x": "y"}
    assert found.endpoints == (
        Endpoint(("10.0.0.1",), target_ref=TargetRef("d", "p", "u")),
        Endpoint(
            ("10.0.0.2",), hostname="h", node_hints=("n",), target_ref=TargetRef("", "p", "", "")
        ),
        Endpoint(("10.0.0.3",)),
    )
