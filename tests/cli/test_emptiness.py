"""Nothing is taken away because a file is half written, or because a path came to nothing."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.cli import main
from svcnet.errors import InputError
from svcnet.executors import rights
from svcnet.inputs import Strictness, load_manifests
from svcnet.sources import load_bytes
from tests.cli.test_run import ARGUMENTS, SERVICE
from tests.fuzz import examples
from tests.kernel.told import Told

MANIFESTS = SERVICE.format(protocol="TCP")
DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
VERBS = (
    ("apply",),
    ("conntrack",),
    ("dns", "push", "--server", "127.0.0.1:1"),
    ("dns", "serve", "--listen", "127.0.0.1:0"),
    ARGUMENTS,
)
NOTHING = {
    "empty": "",
    "blank": " \n\n",
    "comments": "# not yet\n---\n",
    "other kinds": DEPLOYMENT,
    "a list of none": '{"kind": "List", "apiVersion": "v1", "items": []}',
}
READ = (("render",), ("graph",), ("env",), ("endpoints",), ("dns", "zone"), ("dns", "lookup", "a"))


@pytest.fixture(autouse=True)
def _with_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes rights says so before it reads anything; these tests are about what it reads."""
    monkeypatch.setattr(rights, "lacking", lambda _machine: ())


def svcnet(*arguments: str | Path, stdin: str = MANIFESTS) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], input=stdin)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize("nothing", NOTHING)
def test_nothing_is_no_wish(verb: tuple[str, ...], nothing: str, tmp_path: Path) -> None:
    """Verbs that change something take input without an object for a mistake, by file and pipe."""
    path = tmp_path / "web.yaml"
    path.write_text(NOTHING[nothing])
    check = "S121 empty-file" if not NOTHING[nothing].strip() else "S122 no-object"
    for found, file in (
        (svcnet(*verb, path), path),
        (svcnet(*verb, "-", stdin=NOTHING[nothing]), "<stdin>"),
    ):
        assert (found.exit_code, found.stdout) == (2, "")
        last = found.stderr.splitlines()[-1]
        assert last.startswith(f"{file}: error: ")
        assert last.endswith(
            f": nothing is changed; --allow-empty takes it for what is meant [{check}]"
        )


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_an_empty_file_among_others(verb: tuple[str, ...], tmp_path: Path) -> None:
    """One empty file in a folder is a half-written one, whatever the others hold."""
    (tmp_path / "a.yaml").write_text(MANIFESTS)
    (tmp_path / "b.yaml").write_text("")
    found = svcnet(*verb, tmp_path)
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith(f"{tmp_path / 'b.yaml'}: error: is empty")


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_standard_input_is_read_when_it_is_named(verb: tuple[str, ...]) -> None:
    """What a script passes may have come to nothing: then nothing is read, and nothing done."""
    found = svcnet(*verb)
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr == "no PATH is given; - stands for standard input [S903 usage]\n"


def test_allow_empty(tmp_path: Path) -> None:
    """Said aloud, nothing is what is meant, and there is no warning of it either."""
    path = tmp_path / "web.yaml"
    path.write_text("")
    assert load_manifests((str(path),), Strictness(errors=True), allow_empty=True).objects == ()
    with pytest.raises(InputError):
        load_manifests((str(path),), Strictness(), allow_empty=False)


def test_allow_empty_is_of_manifests() -> None:
    found = svcnet("run", "--kubernetes", "--allow-empty")
    told = "--allow-empty is for the manifests of PATH [S903 usage]\n"
    assert (found.exit_code, found.stderr) == (2, told)


@pytest.mark.parametrize("verb", READ, ids=" ".join)
def test_verbs_that_only_read_warn(verb: tuple[str, ...]) -> None:
    """Others read a pipe without being told, and say that there is nothing in it."""
    found = svcnet(*verb, stdin="")
    assert found.stderr.startswith("<stdin>: warning: is empty, as while somebody writes it [S121")
    assert svcnet(*verb, "--strict", stdin="").exit_code == 2


def test_a_terminal_is_not_read_without_a_word() -> None:
    """Who forgets the path is told, and does not wait for a command that waits for them."""
    ours, terminal = pty.openpty()
    command = [sys.executable, "-m", "svcnet", "render"]
    done = subprocess.run(command, stdin=terminal, capture_output=True, text=True, check=False)
    os.close(ours)
    os.close(terminal)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "no PATH is given, and standard input is a terminal; - reads it [S903 usage]\n"
    )


def test_a_file_that_is_written_anew(tmp_path: Path) -> None:
    """While a file is empty, half written or away all is served as before; then it is read."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "web.json"
    text = json.dumps(
        {"kind": "List", "apiVersion": "v1", "items": list(yaml.safe_load_all(MANIFESTS))}
    )
    path.write_text(text)
    keeps = "the state before goes on being served"
    with Told(*ARGUMENTS, "--metrics-bind-address=", "--healthz-bind-address=", folder) as process:
        process.wait("1 service port served")
        for number, half in enumerate(("", text[:-200], None), 1):
            path.write_text(half) if half is not None else path.unlink()
            process.wait(keeps, number)
        path.write_text(text.replace("10.244.1.5", "10.244.1.7"))
        process.wait("1 service port changed")
    told = "\n".join(process.lines)
    assert "is empty, as while somebody writes it: nothing is changed" in told
    assert f"{folder}: error: is a folder without .yaml, .yml or .json files" in told
    assert "removed" not in told


LISTS = {
    "json": lambda items: json.dumps(
        {"apiVersion": "v1", "items": items, "kind": "List"}, indent=4
    ),
    "yaml": lambda items: yaml.safe_dump({"apiVersion": "v1", "items": items, "kind": "List"}),
}
"""As kubectl get prints objects: the kind of the list comes last."""


@settings(max_examples=examples(150))
@given(st.data(), st.sampled_from(sorted(LISTS)))
def test_a_list_that_is_cut(data: st.DataObject, form: str) -> None:
    """Wherever what kubectl prints is cut, it is an error, or no object: never fewer objects."""
    text = LISTS[form](list(yaml.safe_load_all(MANIFESTS))).encode()
    end = data.draw(st.integers(0, len(text.rstrip()) - len("List") + 3))
    try:
        loaded = load_bytes(text[:end], f"cluster.{form}")
    except InputError:
        return
    assert (loaded.objects, len(loaded.warnings)) == ((), 1)
