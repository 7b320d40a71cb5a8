"""What is no manifest, known by its looks: what it is, and how manifests come of it.

It is asked only about what cannot be used, so good input costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from svcnet.errors import one_line

HEAD = 4096
"""So many bytes of a file tell what it is."""

MOST_SAID = 200
"""So much of another program's words is repeated."""

_PACKED = (
    (0, b"\x1f\x8b", "is compressed; gunzip -c FILE | svcnet … -"),
    (0, b"BZh", "is compressed; bunzip2 -c FILE | svcnet … -"),
    (0, b"\xfd7zXZ\0", "is compressed; xz -dc FILE | svcnet … -"),
    (0, b"\x28\xb5\x2f\xfd", "is compressed; zstd -dc FILE | svcnet … -"),
    (0, b"PK\3\4", "is a zip archive; unzip it, and name its folder"),
    (257, b"ustar", "is a tar archive; tar -xf FILE, and name its folder"),
)
_TEXTS = (
    (
        re.compile(r"\s*<(?:!doctype|html|\?xml)\b", re.IGNORECASE),
        "is HTML or XML, such as a server's page about an error",
    ),
    (
        re.compile(r"\s*(?:NAMESPACE +)?NAME +[A-Z]"),
        "is a table that kubectl prints for people; kubectl get … -o yaml prints manifests",
    ),
    (
        re.compile(r"\s*Name: +\S+\s+(?:Namespace|Roles|Labels): +"),
        "is what kubectl describe prints for people; kubectl get … -o yaml prints manifests",
    ),
)
_FAILURE = re.compile(
    r"\s*((?:Error from server|error: |Error: |The connection to the server |"
    r"Unable to connect to the server).*)"
)
_DUMP_LOGS = b"\n==== START logs for container "
_TEMPLATE = re.compile(r"\{\{.*\}\}")
KINDS = ("Kustomization", "Component", "Status", "KubeProxyConfiguration", "Config", "Template")
"""Kinds that :func:`known_kind` or :func:`configuration` may tell more of."""

HELM = "helm template FOLDER | svcnet … -"
KUSTOMIZE = "kubectl kustomize FOLDER | svcnet … -"


@frozen
class BuiltFolder:
    """A folder of which ``tool`` makes manifests; ``message`` says so."""

    tool: str
    message: str


_CHART = BuiltFolder(
    "helm", f"is a Helm chart, whose templates are no manifests; {HELM}, or say --build"
)
_KUSTOMIZATION = BuiltFolder(
    "kustomize",
    f"is to be built by kustomize, which changes its manifests; {KUSTOMIZE}, or say --build",
)
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_FOLDERS = {"Chart.yaml": _CHART, **dict.fromkeys(KUSTOMIZATIONS, _KUSTOMIZATION)}


def folder(names: Iterable[str]) -> BuiltFolder | None:
    """Return what a folder with files of these names is, None if its manifests are manifests."""
    found = set(names)
    return next((what for name, what in _FOLDERS.items() if name in found), None)


def text(data: bytes, line: int = 0) -> str | None:
    """Return what a file that cannot be parsed is, `line` is where; None if nobody knows."""
    for place, magic, what in _PACKED:
        if data.startswith(magic, place):
            return what
    head = data[:HEAD].decode("utf-8", "replace").removeprefix("\ufeff")
    for pattern, what in _TEXTS:
        if pattern.match(head):
            return what
    if failure := _FAILURE.match(head):
        return f"is what a command says that failed: {one_line(failure[1].strip(), MOST_SAID)}"
    if _DUMP_LOGS in data:
        return (
            "is what kubectl cluster-info dump prints, with logs in it; "
            "with --output-directory FOLDER it writes manifests"
        )
    lines = data.splitlines()
    near = b"\n".join(lines[max(line - 2, 0) : line + 1]).decode("utf-8", "replace")
    if line and _TEMPLATE.search(near):
        return f"is a template, which is to be filled in first; for Helm {HELM}"
    return None


def document(value: Any, file: str, data: bytes) -> str | None:
    """Return what a document without a kind is, None if nobody knows."""
    if said := text(data):
        return said
    if type(value) is list:
        if value and all(type(item) is dict and {"op", "path"} <= item.keys() for item in value):
            return "is a JSON patch; kubectl patch … --dry-run=client -o yaml prints the object"
        return None
    return _mapping(value, Path(file).name) if type(value) is dict else None


def _mapping(value: Mapping[str, Any], name: str) -> str | None:
    keys = value.keys()
    if {"type", "object"} <= keys and type(value["object"]) is dict:
        return (
            "is an event of a watch, not an object; "
            "kubectl get … -o yaml without --watch prints objects"
        )
    if "items" in keys:
        return "is a list whose end is missing, as while somebody writes it"
    if name == "Chart.yaml" or {"apiVersion", "name", "version"} <= keys:
        return f"is the description of a Helm chart; {HELM}"
    if Path(name).stem.lower() == "kustomization" or {"resources"} == keys:
        return f"is for kustomize; {KUSTOMIZE}"
    if name.startswith("values") and not {"metadata", "spec"} & keys:
        return f"holds the values of a Helm chart; {HELM}"
    if type(value.get("services")) is dict and "metadata" not in keys:
        return "is a Compose file; kompose convert --stdout -f FILE | svcnet … -"
    return None


def known_kind(kind: str, value: Mapping[str, Any]) -> str | None:
    """Return what a document of a kind is that stands for manifests, None if it may be one."""
    version = str(value.get("apiVersion", ""))
    if kind in ("Kustomization", "Component") and version.startswith("kustomize.config.k8s.io/"):
        return f"is for kustomize; {KUSTOMIZE}"
    if kind == "Template" and version.startswith("template.openshift.io/"):
        return "is a template of OpenShift; oc process --local -f FILE -o yaml | svcnet … -"
    if kind == "Status" and version == "v1" and "status" in value:
        said = one_line(str(value.get("message", "")), MOST_SAID)
        return f"is an API server's answer, not an object: {said}"
    return None


def configuration(kind: str, value: Mapping[str, Any]) -> str | None:
    """Return what a document of a kind is that another option reads, None if it is no such."""
    if kind == "KubeProxyConfiguration":
        return "is kube-proxy's configuration, which --config reads; here it has no effect"
    if kind == "Config" and "contexts" in value:
        return "is a kubeconfig, which --kubeconfig of run reads; here it has no effect"
    return None
