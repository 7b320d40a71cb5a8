"""Repositories as people keep them, each with three mistakes: check finds these and no other.

``planted.txt`` of each says where they are: file and line, the rule, and the object.
"""

from pathlib import Path

import pytest

from svcnet.check import check
from svcnet.discovery.repository import Assumptions
from svcnet.sources import open_config
from tests.conftest import ROOT

FOLDERS = sorted(path for path in (ROOT / "tests/data/check").iterdir() if path.is_dir())


def find(folder: Path, assumed: Assumptions | None = None) -> list[str]:
    """Return what is found, a line each as in ``planted.txt``."""
    file = folder / "kube-proxy.conf"
    config = open_config(file) if file.exists() else None
    return [
        f"{Path(each.file).relative_to(folder)}:{each.line} {each.check.name} {each.object}"
        for each in check(folder, config=config, assumed=assumed).findings
    ]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_was_planted_is_found(folder: Path) -> None:
    planted = (folder / "planted.txt").read_text("utf-8").splitlines()
    assert len(planted) == 3
    assert find(folder) == planted


def test_there_are_twelve_and_each_has_mistakes_of_its_own() -> None:
    assert len(FOLDERS) == 12
    planted = [(folder / "planted.txt").read_text("utf-8") for folder in FOLDERS]
    rules = {line.split()[1] for text in planted for line in text.splitlines()}
    assert len(rules) > 25


def test_examples_have_no_mistakes() -> None:
    """What the documentation shows as right is right to check, too."""
    folders = [path for path in (ROOT / "examples").iterdir() if any(path.glob("*.yaml"))]
    assert folders
    assert {path.name: found for path in folders if (found := find(path))} == {}
