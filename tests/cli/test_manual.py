"""The manual page: made of what the command says of itself, and in the source distribution."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.cli.test_help import verbs

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as a source distribution has it."""
    pytest.importorskip("hatchling", reason="hatchling, which makes distributions, is absent")
    folder = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [archive] = folder.iterdir()
    with tarfile.open(archive) as opened:
        [name] = [each for each in opened.getnames() if each.endswith("/man/svcnet.1")]
        member = opened.extractfile(name)
        assert member is not None
        made = folder / "svcnet.1"
        made.write_bytes(member.read())
    return made


def need(command: str) -> None:
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")


def test_it_has_every_verb_and_its_examples(page: Path) -> None:
    text = page.read_text("utf-8").replace("\\-", "-")
    for path, verb in verbs():
        assert f"\n.SS svcnet {path}\n" in text
        assert all(f"\n    {line}\n" in text for _, line in verb.examples)


def test_man_renders_it_without_a_warning(page: Path) -> None:
    need("man")
    done = subprocess.run(
        ["man", "--warnings", "--local-file", str(page)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "svcnet verify" in done.stdout


def test_mandoc_has_nothing_to_say_of_it(page: Path) -> None:
    """But that a version which is not released has no date."""
    need("mandoc")
    command = ["mandoc", "-Tlint", str(page)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert [line for line in told.splitlines() if "TH unreleased" not in line] == []
