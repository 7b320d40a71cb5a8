"""``-o`` is the form and ``--to`` the file, in every verb."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from svcnet.cli import main
from svcnet.cli.output import FormOption
from svcnet.cli.paths import FilePath

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "my-service")


def commands(
    group: click.Group, *words: str
) -> Iterator[tuple[tuple[str, ...], list[click.Parameter]]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield (*words, name), command.get_params(click.Context(command))


ALL = dict(commands(main))
PRINTING = {
    words: option
    for words, params in ALL.items()
    for option in params
    if isinstance(option, FormOption)
}


def test_one_meaning() -> None:
    """Wherever -o or --output is, it is the form; and a file's --to has no short name."""
    for words, params in ALL.items():
        for each in params:
            if {"-o", "--output"} & set(each.opts):
                assert isinstance(each, FormOption), words
                assert set(each.opts) == {"-o", "--output"}, words
            if "--to" in each.opts and isinstance(each.type, FilePath):
                assert each.opts == ["--to"], words
    assert ("render",) in PRINTING
    assert ("dns", "lookup") in PRINTING


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
@pytest.mark.parametrize("name", ["rules.txt", "json.", "", "JSON", "-", "./json", "a\x1b[2Jb\n"])
def test_a_file_is_no_form(words: tuple[str, ...], name: str, tmp_path: Path) -> None:
    """A file's name is refused before anything is done, with where it belongs."""
    result = CliRunner().invoke(main, [*words, "-o", name])
    assert (result.exit_code, result.stdout) == (2, "")
    line = result.stderr.splitlines()[-1]
    assert "is no form (" in line
    writes = any("--to" in each.opts and isinstance(each.type, FilePath) for each in ALL[words])
    assert f"; a file is {'--to' if writes else '>'} " in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    "spelling", ["-o json", "-ojson", "-o=json", "--output json", "--output=json"]
)
def test_spellings(spelling: str) -> None:
    """A form is said as kubectl has it, in any of its spellings."""
    result = CliRunner().invoke(main, ["explain", EXAMPLE, "--all", *spelling.split()])
    assert result.exit_code == 0
    assert result.stdout.startswith("{")


def test_since_in_the_order_of_diff() -> None:
    """``--since OLD NEW`` names the older state first, as diff does."""
    result = CliRunner().invoke(main, ["render", "--since", EXAMPLE, EXAMPLE])
    assert result.exit_code == 0
