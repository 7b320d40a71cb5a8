"""The options --strict and --ignore."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80, targetport: 8080}]}
---
apiVersion: apps/v1
kind: ConfigMap
"""
CONFIG = """
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mod: ipvs
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(SERVICE)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def svcnet(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.usefixtures("folder")
def test_what_is_ignored_is_neither_a_warning_nor_an_error() -> None:
    """Names and numbers are taken; the others are told as before."""
    told = svcnet("render", "a.yaml")
    for check in ("S704 no-endpoints", "S221 unknown-field", "S112 passed-over"):
        assert check in told.stderr
    one = svcnet("render", "a.yaml", "--ignore", "no-endpoints", "--ignore", "S112")
    assert "S221" in one.stderr
    assert "S704" not in one.stderr
    assert "S112" not in one.stderr
    assert one.stdout == told.stdout
    names = ["--ignore", "no-endpoints", "--ignore", "unknown-field"]
    assert svcnet("render", "a.yaml", *names, "--strict").exit_code == 0
    assert svcnet("render", "a.yaml", *names[:2], "--strict").exit_code == 2


@pytest.mark.usefixtures("folder")
def test_a_misspelled_field_of_a_configuration() -> None:
    """It is a warning with its line, an error with --strict, and ignored on request."""
    asked = ("render", "a.yaml", "--config", "config.yaml", "--ignore", "no-endpoints")
    assert "config.yaml:4: warning: KubeProxyConfiguration: mod: is no field" in (
        svcnet(*asked).stderr
    )
    strict = svcnet(*asked, "--strict")
    assert (strict.exit_code, strict.stdout) == (2, "")
    assert "did you mean mode? [S221 unknown-field]" in strict.stderr
    assert svcnet(*asked, "--strict", "--ignore", "unknown-field").exit_code == 0


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "why"), [("address", "is an error"), ("S204", "is an error"), ("nothing", "no check")]
)
def test_a_name_that_cannot_be_ignored(name: str, why: str) -> None:
    """It is told, whatever else is asked for, and nothing is done."""
    done = svcnet("render", "a.yaml", "--ignore", name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert why in done.stderr


def test_every_verb_that_is_strict_can_ignore() -> None:
    """The two options go together."""

    def verbs(group: click.Group) -> list[click.Command]:
        context = click.Context(group)
        found = [group.get_command(context, name) for name in group.list_commands(context)]
        return [
            verb
            for each in found
            if each is not None
            for verb in (verbs(each) if isinstance(each, click.Group) else [each])
        ]

    for verb in verbs(main):
        names = {parameter.name for parameter in verb.params}
        assert bool(names & {"strict", "fail_on"}) is ("ignore" in names), verb.name


def test_what_may_explain_an_error_is_told_with_it(folder: Path) -> None:
    """A field under nearly its name is named where the one that was meant is missing."""
    (folder / "a.yaml").write_text(SERVICE.replace("port: 80", "prot: 80"))
    refused = svcnet("render", "a.yaml")
    assert refused.exit_code == 2
    assert "did you mean port? [S221 unknown-field]" in refused.stderr
    assert "ports[0].port: is required" in refused.stderr
    assert "S704" not in refused.stderr
    alone = svcnet("render", "a.yaml", "--ignore", "unknown-field")
    assert "S221" not in alone.stderr
    assert "ports[0].port: is required" in alone.stderr
