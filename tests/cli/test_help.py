"""What the command says of itself: summaries, examples that run, and what was likely meant."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main
from svcnet.cli.verb import Verb, Verbs

ROOT = Path(__file__).parent.parent.parent
ROWS = 80
CODES = {"svcnet diff": 1, "svcnet dns diff": 1}
"""What examples end with that is not 0: they have a difference to show."""

GO_ON = ("svcnet run", "svcnet dns serve")
"""What goes on until a signal."""

SILENT = ("golden check", "golden update")
"""What prints nothing where all is well."""

BESIDE = ("svcnet status", "svcnet dns push")
"""What asks another process, which tests of its own begin."""


def verbs() -> Iterator[tuple[str, Verb]]:
    """Yield the name of each verb, as it is typed, and the verb."""
    context = click.Context(main)
    for path in main.paths(context):
        command: click.Command | None = main
        for name in path.split():
            assert isinstance(command, Verbs)
            command = command.get_command(context, name)
        if not isinstance(command, Verbs):
            assert isinstance(command, Verb), f"{path} has not what every verb has"
            yield path, command


EXAMPLES = [(path, line) for path, verb in verbs() for _, line in verb.examples]


def svcnet(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copy(ROOT / "examples/my-service/iptables-save.txt", tmp_path / "rules.txt")
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden/golden.toml").write_text('manifests = ["../examples/my-service"]\n')
    monkeypatch.chdir(tmp_path)
    assert svcnet("golden", "update", "golden").exit_code == 0
    return tmp_path


@pytest.mark.parametrize("group", ["", "dns", "golden"])
def test_summaries_fit_a_line(group: str) -> None:
    """Every verb has one, and none wraps in the width that terminals begin with."""
    done = CliRunner(env={"COLUMNS": "80"}).invoke(main, [*group.split(), "--help"])
    shown = done.stdout.partition("Commands:\n")[2].splitlines()
    context = click.Context(main)
    found = main.get_command(context, group) if group else main
    assert isinstance(found, click.Group)
    assert [line.split()[0] for line in shown] == found.list_commands(context)
    assert all(len(line.split()) > 1 for line in shown)


def test_help_imports_no_verb() -> None:
    """A list of the verbs comes at once, however many there are."""
    script = "import sys\nfrom svcnet.cli import main\nmain(['--help'], standalone_mode=False)\n"
    script += "print(*(each for each in sys.modules if each.startswith('svcnet.cli.')))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    verbs = {f"svcnet.cli.{name}" for name in main.list_commands(click.Context(main))}
    assert not verbs & set(done.stdout.splitlines()[-1].split())


def test_every_verb_has_examples_of_itself() -> None:
    for path, verb in verbs():
        assert verb.examples, path
        for what, line in verb.examples:
            assert line.removeprefix("sudo ").startswith(f"svcnet {path}"), line
            assert len(f"    {line}") <= ROWS, line
            assert len(f"  {what}:") <= ROWS, what
        told = svcnet(*path.split(), "--help").stdout
        assert all(f"\n    {line}\n" in told for _, line in verb.examples)


@pytest.mark.parametrize(
    ("path", "line"),
    [each for each in EXAMPLES if not each[1].startswith(("sudo ", *GO_ON, *BESIDE))],
)
def test_examples_run(path: str, line: str, folder: Path) -> None:
    command = line.partition(" > ")[0]
    done = svcnet(*shlex.split(command)[1:])
    assert done.exit_code == CODES.get(f"svcnet {path}", 0), done.output
    assert done.stdout or path in SILENT or "--since" in command or " --to " in command


@pytest.mark.parametrize("line", [line for _, line in EXAMPLES if line.startswith(GO_ON)])
def test_examples_run_until_a_signal(line: str, folder: Path) -> None:
    """The first line that they tell says that they serve."""
    # The port of an example may be taken by who runs the tests.
    command = line.replace(":5353", ":0")
    started = subprocess.Popen(
        [sys.executable, "-m", *shlex.split(command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
    )
    with started:
        assert started.stdout is not None
        first = started.stdout.readline()
        started.terminate()
        rest = started.stdout.read()
    assert started.returncode == 0, first + rest


@pytest.mark.parametrize("verb", [path for path, _ in verbs()])
def test_help_of_a_verb_is_what_its_option_prints(verb: str) -> None:
    assert svcnet("help", *verb.split()).stdout == svcnet(*verb.split(), "--help").stdout


def test_help_without_a_verb_lists_them() -> None:
    done = svcnet("help")
    assert done.exit_code == 0
    assert done.stdout == svcnet("--help").stdout


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("rendr",), "Did you mean 'render'?"),
        (("aply",), "Did you mean 'apply'?"),
        (("lokup",), "Did you mean 'dns lookup'?"),
        (("dns", "psh"), "Did you mean 'push'?"),
        (("help", "explian"), "Did you mean 'explain'?"),
        (("render", "--mod", "ipvs"), "'--mode'"),
        (("explain", "--form", "node"), "'--from'"),
        (("render", "--mode", "ipv"), "ipvs"),
        ((str(ROOT / "examples"),), "A verb comes first: svcnet render "),
    ],
)
def test_what_was_likely_meant_is_told(typed: tuple[str, ...], meant: str) -> None:
    done = svcnet(*typed)
    assert done.exit_code == 2
    assert not done.stdout
    assert meant in done.stderr


@pytest.mark.parametrize("typed", ["zzzzzz", "", "\x1b[2J", "é", "a" * 10_000])
def test_nothing_is_told_where_nothing_is_like_it(typed: str) -> None:
    done = svcnet(typed)
    assert done.exit_code == 2
    assert "Did you mean" not in done.stderr
    assert "A verb comes first" not in done.stderr
    assert done.stderr.replace("\n", "").isprintable()


def test_the_version_by_a_letter() -> None:
    assert svcnet("-V").stdout == svcnet("--version").stdout != ""
