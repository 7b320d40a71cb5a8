"""The keys of labels and annotations stand in one module, and nowhere else in svcnet."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import svcnet
from svcnet import labels

ROOM = Path(svcnet.__file__).parent
KEY = re.compile(
    r"""(?<![\w./-])                         # no path, and no URL
    (?:svcnet\.io/
      |(?:[a-z0-9-]+\.)*(?:kubernetes|k8s)\.io/
       (?!v[0-9]+(?:(?:alpha|beta)[0-9]+)?\b)  # the version of an API
       [A-Za-z0-9])""",
    re.VERBOSE,
)


def keys_in(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of what has the key of a label or annotation, but for docstrings."""
    tree = ast.parse(source)
    prose = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node not in prose:
            text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
            if isinstance(text, str) and KEY.search(text):
                yield node.lineno, text


def test_keys_stand_in_one_module() -> None:
    """A literal with such a key, in whatever text, goes to svcnet/labels.py.

    Manifests that are examples are written as people write them.
    """
    found = [
        f"{path.relative_to(ROOM)}:{line}: {text!r}"
        for path in sorted(ROOM.rglob("*.py"))
        if (path.name != "labels.py" or path.parent != ROOM) and path.parent.name != "catalogue"
        for line, text in keys_in(path.read_text("utf-8"))
    ]
    assert found == []


def test_each_key_is_there_once_and_used() -> None:
    names = {name: value for name, value in vars(labels).items() if name.isupper()}
    assert len({*names.values()}) == len(names)
    others = [path for path in ROOM.rglob("*.py") if path != Path(labels.__file__)]
    text = "\n".join(path.read_text("utf-8") for path in others)
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize(
    "source",
    [
        'X = "kubernetes.io/service-name"',
        'X = "endpoints.kubernetes.io/last-change-trigger-time"',
        'X = "node-role.kubernetes.io/control-plane"',
        'X = "volume.kubernetes.io/v"',
        'X = b"svcnet.io/anything"',
        'X = key.startswith("svcnet.io/")',
        'X = f"!service.kubernetes.io/headless={value}"',
        'X = {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}',
        'def f(x="k8s.io/cluster-service"): ...',
    ],
)
def test_a_key_is_seen(source: str) -> None:
    assert [line for line, _ in keys_in(source)] == [1]


@pytest.mark.parametrize(
    "source",
    [
        'X = "discovery.k8s.io/v1"',
        'X = "/apis/networking.k8s.io/v1beta1/servicecidrs"',
        'X = "/var/run/secrets/kubernetes.io/serviceaccount"',
        'X = "https://issue.k8s.io/76664"',
        'X = version.startswith("kustomize.config.k8s.io/")',
        'X = "endpointslice-controller.k8s.io"',
        '"""Read kubernetes.io/service-name."""',
    ],
)
def test_what_is_no_key_is_none(source: str) -> None:
    assert [*keys_in(source)] == []
