"""What is read of what is named: folders, patterns, namespaces, copies, and what is to be built."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main
from svcnet.errors import InputError
from svcnet.executors import build as building
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.sources import InputScope, load
from svcnet.sources.read import folder_of
from svcnet.sources.scope import PLAIN

WEB = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
"""
API = WEB.replace("web", "api").replace("0.10", "0.11")
VALUES = {
    "values.yaml": "replicaCount: 1\n",
    "dashboards/web.json": '{"panels": []}\n',
    "patch.yaml": '[{"op": "replace", "path": "/spec/type", "value": "NodePort"}]\n',
    "compose.yaml": "services: {web: {image: nginx}}\n",
    ".github/workflows/ci.yaml": "on: push\njobs: {}\n",
    "words.yaml": "a word\n",
    "comment.yaml": "# nothing\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k8s/below").mkdir(parents=True)
    (tmp_path / "k8s/web.yaml").write_text(WEB)
    (tmp_path / "k8s/below/api.yaml").write_text(API)
    return tmp_path


def svcnet(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def names(*paths: str, scope: InputScope = PLAIN) -> list[str]:
    return [
        f"{item.namespace}/{item.name}" for item in load(paths, scope=scope).state.services.values()
    ]


@pytest.mark.usefixtures("folder")
def test_folders_are_read_with_all_below_or_without() -> None:
    assert sorted(names("k8s")) == ["default/api", "default/web"]
    assert names("k8s", scope=InputScope(recursive=False)) == ["default/web"]
    assert "web" in svcnet("render", "-f", "k8s", "--no-recursive", "-f", "k8s/below").stdout
    (web,) = {
        line
        for line in svcnet("render", "k8s", "--no-recursive").stdout.split()
        if "/" in line and "default/" in line
    }
    assert web == '"default/web'


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("k8s/*.yaml", ["default/web"]),
        ("k8s/**/*.yaml", ["default/api", "default/web"]),
        ("k8*", ["default/api", "default/web"]),
        ("k8s/[w]eb.yam?", ["default/web"]),
    ],
)
def test_a_pattern_is_what_it_matches(pattern: str, found: list[str]) -> None:
    assert sorted(names(pattern)) == found
    assert folder_of(pattern) in ("k8s", ".")


@pytest.mark.usefixtures("folder")
def test_a_file_of_such_a_name_is_no_pattern() -> None:
    Path("a[1].yaml").write_text(WEB)
    assert names("a[1].yaml") == ["default/web"]
    assert folder_of("a[1].yaml") == "a[1].yaml"
    with pytest.raises(InputError, match="matches no file"):
        load("none*.yaml")


@pytest.mark.usefixtures("folder")
def test_the_namespace_is_that_of_objects_that_name_none() -> None:
    """One that names another is refused, as kubectl does; those of no namespace have none."""
    Path("k8s/node.yaml").write_text("apiVersion: v1\nkind: Node\nmetadata: {name: a}\n")
    assert sorted(names("k8s", scope=InputScope(namespace="shop"))) == ["shop/api", "shop/web"]
    Path("k8s/web.yaml").write_text(WEB.replace("{name: web}", "{name: web, namespace: test}"))
    refused = svcnet("render", "k8s", "-n", "shop")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == (
        "k8s/web.yaml:4: error: Service test/web: metadata.namespace: is not shop, which "
        "--namespace asks for [S215 other-namespace]\n"
    )
    assert svcnet("render", "k8s", "-n", "No").exit_code == 2
    assert "WEB_SERVICE_HOST" in svcnet("env", "k8s", "-n", "test").stdout


def test_files_without_objects_are_passed_over_in_folders(folder: Path) -> None:
    """They are counted in one line; by their names they are what they were: no manifests."""
    for name, text in VALUES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    result = svcnet("render", ".", "--ignore", "no-endpoints", "--ignore", "no-slice", "--strict")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == (
        "passed over: 6 files without an object (.github/workflows/ci.yaml, compose.yaml, "
        "dashboards/web.json and 3 more) [S112 passed-over]\n"
    )
    assert svcnet("render", "values.yaml").exit_code == 2
    for name in ("k8s/web.yaml", "k8s/below/api.yaml"):
        (folder / name).unlink()
    alone = svcnet("render", ".")
    assert (alone.exit_code, alone.stdout) == (2, "")
    assert "values.yaml:1: error: holds the values of a Helm chart" in alone.stderr


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nknd: Service\n",
        "kind: 5\n",
        "metadata: {name: web}\nspec: {}\n",
        "items: []\n",
        f"{WEB}---\nreplicaCount: 1\n",
        "kind: Service\n",
        "a: {b\n",
    ],
)
def test_what_may_be_an_object_is_never_passed_over(text: str) -> None:
    """A manifest with a mistake in it is told of, wherever it is."""
    Path("k8s/odd.yaml").write_text(text.replace("name: web", "name: odd").replace("0.10", "0.12"))
    with pytest.raises(InputError, match=r"odd\.yaml"):
        load("k8s")


@pytest.mark.usefixtures("folder")
def test_an_object_that_is_there_again_is_one() -> None:
    """Alike they are one, and counted; others are an error with both places."""
    Path("k8s/again.yaml").write_text(f"# another way to write it\n{WEB}")
    loaded = load(["k8s", "k8s/web.yaml"])
    assert (loaded.copies, len(loaded.objects)) == (2, 2)
    told = svcnet("render", "k8s", "--ignore", "no-endpoints", "--ignore", "no-slice").stderr
    assert told == "passed over: 1 object that is there already, and alike [S112 passed-over]\n"
    Path("k8s/again.yaml").write_text(WEB.replace("port: 80", "port: 81"))
    refused = svcnet("render", "k8s")
    assert refused.exit_code == 2
    assert (
        "k8s/web.yaml:4: error: Service default/web: metadata.name: is there twice; first as "
        "Service default/web in k8s/again.yaml:4 [S701 duplicate-object]\n"
    ) in refused.stderr


TOOL = """#!/bin/sh
case "$*" in *broken*) echo "no such resource" >&2; exit 1;; esac
[ -z "$HTTPS_PROXY" ] || echo "# $HTTPS_PROXY $GIT_ALLOW_PROTOCOL"
for last; do :; done
[ "$1" = build ] && cat "$last"/*.res || cat "$last"/templates/*.res
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    for name in ("kustomize", "helm"):
        tool = tmp_path / "bin" / name
        tool.write_text(TOOL)
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "bin"


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.usefixtures("tools")
def test_folders_are_built_on_request(folder: Path) -> None:
    """A kustomization that another refers to is a part of it; a chart is Helm's."""
    shutil.rmtree("k8s")
    write(folder, k__base__kustomization_dot_yaml="resources: [a.res]\n", k__base__a_dot_res=WEB)
    write(folder, k__over__kustomization_dot_yaml="resources: [../base]\n", k__over__a_dot_res=API)
    write(
        folder, c__Chart_dot_yaml="name: c\n", c__templates__a_dot_res=WEB, c__x_dot_yaml="{{ a }}"
    )
    refused = svcnet("render", "k", "c")
    assert refused.exit_code == 2
    assert refused.stderr.count("or say --build [S123 not-manifests]") == 3
    built = svcnet("render", "--build", "k", "c", "--ignore", "no-endpoints")
    assert (built.exit_code, built.stderr) == (0, "")
    assert "default/web" in built.stdout
    assert "default/api" in built.stdout
    told = svcnet("render", "--build", "c").stderr
    assert "c (built by helm):" in told


@pytest.mark.usefixtures("tools")
def test_what_cannot_be_built_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the tool's own words, or that it is not installed, or that it takes too long."""
    write(folder, broken__kustomization_dot_yaml="resources: [gone]\n")
    refused = svcnet("render", "--build", "broken")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == (
        "broken: error: cannot be built: kustomize build: no such resource [S101 unreadable-file]\n"
    )
    monkeypatch.setattr(building, "SECONDS", 0.2)
    (folder / "bin/kustomize").write_text("#!/bin/sh\nsleep 60\n")
    assert "kustomize" in svcnet("render", "--build", "broken").stderr
    monkeypatch.setattr(type(THIS_MACHINE), "find", lambda _self, _command: None)
    assert "kustomize or kubectl is not installed" in svcnet("render", "--build", "broken").stderr


@pytest.mark.usefixtures("tools")
def test_a_tool_has_no_network(folder: Path) -> None:
    """It is told so in its environment too, for kernels that give it no namespace of its own."""
    write(folder, k__kustomization_dot_yaml="{}\n", k__a_dot_res=WEB)
    text = building.build(THIS_MACHINE, folder / "k", "kustomize").decode()
    assert text.startswith("# http://127.0.0.1:9 file\n")
    with pytest.raises(OSError, match="helm template"):
        building.build(THIS_MACHINE, folder / "broken", "helm")


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_kubectl_builds_too(folder: Path) -> None:
    """The real thing, where it is installed."""
    write(folder, r__base__kustomization_dot_yaml="resources: [a.yaml]\n", r__base__a_dot_yaml=WEB)
    write(folder, r__o__kustomization_dot_yaml="resources: [../base]\nnamespace: prod\n")
    result = svcnet("render", "--build", "r", "--ignore", "no-endpoints")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "prod/web" in result.stdout
    write(folder, far__kustomization_dot_yaml="resources: ['https://192.0.2.1/a.yaml']\n")
    far = svcnet("render", "--build", "far")
    assert far.exit_code == 2
    assert "far: error: cannot be built: " in far.stderr
