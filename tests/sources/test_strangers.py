"""What is no manifest is told by what it is, with the command that makes manifests of it."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from svcnet import load
from svcnet.checks import JOINED_DOCUMENTS, MISPLACED_CONFIGURATION, NO_KIND, NOT_MANIFESTS
from svcnet.errors import InputError
from svcnet.files import Paths
from svcnet.sources import load_bytes
from tests.sources.test_validation import SERVICE

TABLE = (
    "NAMESPACE   NAME         TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE\n"
    "default     kubernetes   ClusterIP   10.96.0.1    <none>        443/TCP   9d\n"
)
DESCRIBED = (
    "Name:              web\nNamespace:         shop\nLabels:            <none>\n"
    "IPs:                      10.96.0.10\nPort:                     http  80/TCP\n"
)
TEMPLATE = (
    'apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ include "web.fullname" . }}\n'
    "spec:\n  {{- with .Values.service }}\n  type: {{ .type }}\n  {{- end }}\n"
)
EVENT = '{"type": "ADDED", "object": {"kind": "Service", "apiVersion": "v1"}}\n'
STATUS = '{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no"}'


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("web.yaml"))
    return file.getvalue()


ROWS: dict[str, tuple[str, bytes | str, str]] = {
    "gzip": ("a.yaml", gzip.compress(SERVICE.encode()), "is compressed; gunzip -c"),
    "tar": ("a.yaml", tar(), "is a tar archive"),
    "zip": ("a.yaml", b"PK\3\4\x14\0\0\0\x08\0", "is a zip archive"),
    "html": ("a.yaml", "<!DOCTYPE html>\n<html><body>502: Bad Gateway</body></html>\n", "is HTML"),
    "table": ("a.yaml", TABLE, "is a table that kubectl prints for people; kubectl get … -o yaml"),
    "described": ("a.yaml", DESCRIBED, "is what kubectl describe prints for people"),
    "failure": (
        "a.yaml",
        'Error from server (Forbidden): services is forbidden: User "x" cannot list\n',
        "is what a command says that failed: Error from server (Forbidden): services",
    ),
    "no server": (
        "a.yaml",
        "The connection to the server localhost:8080 was refused - did you specify it?\n",
        "is what a command says that failed: The connection to the server localhost:8080",
    ),
    "error": ("a.yaml", "error: the server doesn't have a resource type\n", "that failed: error"),
    "template": (
        "a.yaml",
        TEMPLATE,
        "is a template, which is to be filled in first; for Helm helm",
    ),
    "event": ("a.json", EVENT, "is an event of a watch, not an object; kubectl get … -o yaml"),
    "cut": (
        "a.yaml",
        "apiVersion: v1\nitems:\n- kind: Service\n",
        "is a list whose end is missing",
    ),
    "patch": ("a.json", '[{"op": "add", "path": "/spec", "value": 1}]', "is a JSON patch"),
    "chart": ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n", "of a Helm chart; helm"),
    "values": ("values.yaml", "service: {port: 80}\nreplicas: 2\n", "holds the values of a Helm"),
    "kustomization": ("kustomization.yaml", "resources: [a.yaml]\n", "is for kustomize; kubectl"),
    "Kustomization": (
        "a.yaml",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
        "is for kustomize; kubectl kustomize FOLDER",
    ),
    "compose": ("a.yaml", "services:\n  web: {image: nginx}\n", "is a Compose file; kompose"),
    "status": ("a.json", STATUS, "is an API server's answer, not an object: no"),
}


@pytest.mark.parametrize("row", ROWS)
def test_what_it_is(row: str) -> None:
    """One finding, and it says what the file is and what to do."""
    file, data, said = ROWS[row]
    with pytest.raises(InputError) as caught:
        load_bytes(data if isinstance(data, bytes) else data.encode(), file)
    (found,) = caught.value.diagnostics
    assert said in found.message
    assert found.check is NOT_MANIFESTS
    assert len(found.message) < 300


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n",
            "--config",
        ),
        ("apiVersion: v1\nkind: Config\ncontexts: []\n", "is a kubeconfig, which --kubeconfig"),
    ],
)
def test_configuration_among_manifests(document: str, said: str) -> None:
    """What another option reads has no effect here, and says so; manifests beside it count."""
    loaded = load_bytes(f"{SERVICE}---\n{document}".encode(), "a.yaml")
    assert len(loaded.objects) == 1
    found = [each for each in loaded.warnings if each.check is MISPLACED_CONFIGURATION]
    assert len(found) == 1
    assert said in found[0].message


@pytest.mark.parametrize("name", ["Chart.yaml", "kustomization.yaml", "kustomization.yml"])
def test_folders_that_are_to_be_built(tmp_path: Path, name: str) -> None:
    """Of a chart or a kustomization nothing is read, for its parts say another thing."""
    built = tmp_path / "below"
    built.mkdir()
    (built / name).write_text("resources: []\n")
    (built / "service.yaml").write_text("apiVersion: v1\nkind: Service\n")
    (tmp_path / "a.yaml").write_text(SERVICE)
    with pytest.raises(InputError) as caught:
        load([tmp_path])
    (found,) = caught.value.diagnostics
    assert (found.file, found.check) == (str(built), NOT_MANIFESTS)
    assert "FOLDER | svcnet … -" in found.message


@pytest.mark.parametrize(
    "text",
    [
        "data:\n  a: '{{ $labels.instance }}'\nkind: ConfigMap\nmetadata: {name: [}\n",
        "kind: Service\nmetadata: {name: web\n",
    ],
)
def test_other_mistakes_are_what_they_were(text: str) -> None:
    """A template's braces elsewhere in a file do not make one of it."""
    with pytest.raises(InputError) as caught:
        load_bytes(text.encode(), "a.yaml")
    assert caught.value.diagnostics[0].check is not NOT_MANIFESTS


def test_a_million_strangers_take_no_time() -> None:
    """Only some are looked at to tell what they are."""
    data = json.dumps({"kind": "List", "apiVersion": "v1", "items": [{}] * 200_000}).encode()
    with pytest.raises(InputError) as caught:
        load_bytes(data, "a.json")
    assert {found.check for found in caught.value.diagnostics} == {NO_KIND}


@pytest.mark.parametrize(
    "form",
    [
        str,
        Path,
        lambda path: [path],
        lambda path: iter([str(path)]),
    ],
)
def test_one_path_is_one_path(tmp_path: Path, form: Callable[[Path], Paths]) -> None:
    """A text is a path and not its letters, one of which is the whole disk."""
    path = tmp_path / "web.yaml"
    path.write_text(SERVICE)
    assert len(load(form(path)).objects) == 1


def test_bytes_are_manifests_and_no_path(tmp_path: Path) -> None:
    """What a file is named never decides whether its name is read, or the file."""
    path = tmp_path / "web.yaml"
    path.write_text(SERVICE)
    assert len(load(SERVICE.encode()).objects) == 1
    with pytest.raises(InputError):
        load(str(path).encode())


@pytest.mark.parametrize("other", ["Service", "Deployment"])
def test_documents_that_run_together(other: str) -> None:
    """Files put together without --- between are one mapping, in which one of them is lost."""
    second = SERVICE.replace("kind: Service", f"kind: {other}").replace("name: web", "name: db")
    with pytest.raises(InputError) as caught:
        load_bytes(f"{SERVICE}{second}".encode(), "a.yaml")
    (found,) = caught.value.diagnostics
    assert (found.check, found.field) == (JOINED_DOCUMENTS, "kind")
    assert "is a line of --- missing between two objects?" in found.message
