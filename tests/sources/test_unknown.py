"""Fields and kinds that Kubernetes does not have: told with their line and the nearest name."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet import checks
from svcnet.sources import load_bytes
from svcnet.sources.findings import Findings, ObjectPlace, Source
from svcnet.sources.objects import API_VERSIONS, meant_kind
from svcnet.sources.schema import fieldsets
from svcnet.sources.unknown import nearest, report_unknown
from tests.fuzz import examples

KINDS = (*API_VERSIONS, "KubeProxyConfiguration")
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.10
  selector: {app: web, targetport: any}
  ports:
    - {port: 80, name: a}
    - {port: 81, name: b}
"""


def told(text: str) -> list[str]:
    return [str(found) for found in load_bytes(text.encode(), "a.yaml").warnings]


def unknown(kind: str, document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the fields of a document that are told as unknown, and what is said of them."""
    findings = Findings()
    place = ObjectPlace(Source("a.json", json.dumps(document).encode()), 0, ())
    report_unknown(kind, [(place, document)], findings)
    return [(found.field, found.message) for found in findings.diagnostics()]


@pytest.mark.parametrize(
    ("good", "bad", "line", "path", "meant"),
    [
        ("port: 81", "port: 81, targetport: 1", 10, "spec.ports[1].targetport", "targetPort"),
        (
            "  sel",
            "  extrnalTrafficPolicy: Local\n  sel",
            7,
            "spec.extrnalTrafficPolicy",
            "externalT",
        ),
        ("{name: web}", "{name: web, lables: {}}", 4, "metadata.lables", "labels"),
        ("kind", "stauts: {}\nkind", 3, "stauts", "status"),
        ("  sel", "  externalIP: []\n  sel", 7, "spec.externalIP", "externalIPs"),
    ],
)
def test_a_misspelled_field(good: str, bad: str, line: int, path: str, meant: str) -> None:
    """It is a warning with its own line and the name that is nearest."""
    [found] = [one for one in told(SERVICE.replace(good, bad, 1)) if "S221" in one]
    assert found.startswith(f"a.yaml:{line}: warning: Service default/web: ")
    assert f" {path}: is no field" in found
    assert f"did you mean {meant}" in found


def test_nothing_is_told_of_names_that_anybody_may_choose() -> None:
    """Keys of labels, selectors, annotations, gates and managed fields are no fields."""
    assert not [one for one in told(SERVICE) if "unknown" in one]
    free: dict[str, Any] = {"anything": {"f:spec": {".": {}}}}
    metadata = {
        "labels": {"x": "y"},
        "annotations": {"x": "y"},
        "managedFields": [{"manager": "kubectl", "fieldsV1": free}],
    }
    assert unknown("Pod", {"metadata": metadata, "spec": {"nodeSelector": {"a": "b"}}}) == []
    container = {"resources": {"limits": {"example.net/gpu": 1}}}
    assert unknown("Pod", {"spec": {"containers": [container]}}) == []
    assert unknown("KubeProxyConfiguration", {"featureGates": {"Any": True}}) == []


def paths(of: str, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Yield every type that a kind holds, with a path to it."""
    yield of, path
    for name, (inner, listed) in sorted(fieldsets()[of].below.items()):
        yield from paths(inner, (*path, name, *((1,) if listed else ())))


def at(path: tuple[str | int, ...], value: Any) -> Any:
    """Return a document that has a value at a path."""
    for key in reversed(path):
        value = [{}, value] if isinstance(key, int) else {key: value}
    return value


@pytest.mark.parametrize("kind", KINDS)
def test_each_level_of_each_kind(kind: str) -> None:
    """All fields of a type are known where it stands, and one that it lacks is found there."""
    levels = list(islice(paths(kind), 500))
    for of, path in levels:
        known: dict[str, Any] = dict.fromkeys(fieldsets()[of].names)
        assert unknown(kind, at(path, known)) == []
        [(field, _)] = unknown(kind, at(path, {**known, "zzz": 1}))
        assert field.endswith("zzz")
        assert field.count(".") == sum(isinstance(key, str) for key in path)


NAMES = st.sampled_from(
    ["spec", "metadata", "ports", "port", "name", "status", "containers", "labels", "bad", "Spec"]
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=examples(100))
@given(st.sampled_from(KINDS), st.lists(st.dictionaries(NAMES, JUNK), min_size=1, max_size=4))
def test_all_at_once_and_one_by_one(kind: str, documents: list[dict[str, Any]]) -> None:
    """Whatever the documents hold, that all are looked at together hides nothing."""
    findings = Findings()
    source = Source("a.json", json.dumps(documents[0]).encode())
    report_unknown(kind, [(ObjectPlace(source, 0, (), "x"), each) for each in documents], findings)
    alone = [found for each in documents for found in walked(kind, each)]
    assert [found.path for found in findings.found] == alone


def walked(of: str, value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of unknown fields, the plain way."""
    fields = fieldsets()[of]
    for key, inside in value.items():
        if key not in fields.names:
            yield (*path, key)
        elif key in fields.below:
            inner, listed = fields.below[key]
            if listed and isinstance(inside, list):
                for index, each in enumerate(inside):
                    if isinstance(each, dict):
                        yield from walked(inner, each, (*path, key, index))
            elif not listed and isinstance(inside, dict):
                yield from walked(inner, inside, (*path, key))


def test_a_guess_is_near_or_none() -> None:
    """What is like no field at all is told without a guess, however long it is."""
    assert nearest("targetport", "ServicePort") == "targetPort"
    assert nearest("mod", "KubeProxyConfiguration") == "mode"
    assert nearest("zebra", "ServiceSpec") == ""
    assert nearest("x" * 100_000, "ServiceSpec") == ""


@pytest.mark.parametrize(
    ("kind", "version", "meant"),
    [
        ("service", "v1", "Service"),
        ("Servce", "v1", "Service"),
        ("service", "", "Service"),
        ("Endpoint", "v1", "Endpoints"),
        ("EndpointSlices", "discovery.k8s.io/v1", "EndpointSlice"),
        ("ENDPOINTSLICE", "discovery.k8s.io/v1", "EndpointSlice"),
        ("EndpointSlice", "v1", "EndpointSlice"),
        ("Service", "apps/v1", "Service"),
        ("pod", "v1", "Pod"),
        ("Service", "serving.knative.dev/v1", ""),
        ("Deploymnet", "apps/v1", "Deployment"),
        ("DeploymentConfig", "apps.openshift.io/v1", ""),
        ("x" * 10_000, "v1", ""),
    ],
)
def test_a_kind_that_looks_like_one(kind: str, version: str, meant: str) -> None:
    """Of groups that are Kubernetes's own a kind like one that is read is told."""
    assert meant_kind(kind, version) == meant


def test_kubernetes_has_no_kind_that_is_told() -> None:
    """All other kinds of v1.36 are passed over without a word."""
    for kind in OTHER_KINDS.split():
        for version in ("v1", "apps/v1", "networking.k8s.io/v1"):
            assert meant_kind(kind, version) == "", kind


OTHER_KINDS = """
    APIService Binding CSIDriver CSINode CSIStorageCapacity CertificateSigningRequest ClusterRole
    ClusterRoleBinding ClusterTrustBundle ComponentStatus ConfigMap ControllerRevision
    CustomResourceDefinition DeviceClass Event Eviction FlowSchema
    HorizontalPodAutoscaler IPAddress Ingress IngressClass Lease LimitRange
    LocalSubjectAccessReview MutatingAdmissionPolicy MutatingWebhookConfiguration Namespace
    NetworkPolicy PersistentVolume PersistentVolumeClaim PodDisruptionBudget PodTemplate
    PriorityClass PriorityLevelConfiguration ResourceClaim
    ResourceClaimTemplate ResourceQuota ResourceSlice Role RoleBinding RuntimeClass Scale Secret
    SelfSubjectAccessReview SelfSubjectReview ServiceAccount StorageClass
    StorageVersion SubjectAccessReview TokenRequest TokenReview ValidatingAdmissionPolicy
    ValidatingWebhookConfiguration VolumeAttachment VolumeAttributesClass
"""


def test_a_kind_in_another_case() -> None:
    """It is a warning with its line, and passed over like any other kind."""
    loaded = load_bytes(SERVICE.replace("kind: Service", "kind: service").encode(), "a.yaml")
    (found,) = [one for one in loaded.warnings if one.check.name == "unknown-kind"]
    assert str(found) == (
        "a.yaml:3: warning: service default/web: kind: names nothing that Kubernetes has: "
        "passed over; did you mean Service? [S115 unknown-kind]"
    )
    assert loaded.skipped == {"service": 1}


def test_a_million_unknown_fields() -> None:
    """Nobody guesses what is not told."""
    ports = [{"port": n % 60000 + 1, "name": f"p{n}", f"n{n}": 1} for n in range(50_000)]
    service = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "a"},
        "spec": {"clusterIP": "10.96.0.1", "ports": ports},
    }
    warnings = load_bytes(json.dumps(service).encode()).warnings
    assert 0 < sum(one.check == checks.UNKNOWN_FIELD for one in warnings) <= 10_000
