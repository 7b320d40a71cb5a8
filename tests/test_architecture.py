"""docs/explanation/architecture.md says what is so: its rooms are there, its walk is the way."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType

import pytest
from click.testing import CliRunner

from svcnet.cli import main
from svcnet.executors import this_machine
from svcnet.testing import FakeMachine
from tests.conftest import ROOT

PACKAGE = ROOT / "svcnet"
PAGE = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")
WALK = "| file | function | what becomes of the Service |"


def rows(head: str) -> list[list[str]]:
    """Return the cells of the table of the page that begins with `head`."""
    section = PAGE.partition(f"{head}\n")[2].partition("\n\n")[0]
    table = [line for line in section.splitlines() if line.startswith("|")][1:]
    assert table
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize(
    "head", ["| folder | what it holds |", "| folder | may import |"], ids=["holds", "imports"]
)
def test_every_room_stands_in_the_tables(head: str) -> None:
    """Each folder of svcnet has a row, and each row its folder."""
    folders = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()]
    told = [name for row in rows(head) for name in quoted(row[0])]
    if "may import" in head:
        told.append("netfilter")  # the sentence above the table says who may
    assert sorted(told) == sorted(folders)


def test_every_inner_room_stands_in_a_row_of_its_room() -> None:
    """A folder that has folders of its own has a row with all of them."""
    inner: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.glob("*/*/__init__.py")):
        inner.setdefault(path.parent.parent.name, []).append(path.parent.name)
    told = {quoted(row[0])[0]: sorted(quoted(row[1])) for row in rows("| room | its own rooms |")}
    assert told == {room: sorted(names) for room, names in inner.items()}


def test_every_room_is_in_the_picture() -> None:
    """The picture has all folders and all modules of the ground, and nothing that is not there."""
    picture = PAGE.partition("## The house")[2].partition("```text\n")[2].partition("```")[0]
    words = set(re.findall(r"[a-z]+", picture))
    for path in PACKAGE.iterdir():
        is_room = (path / "__init__.py").exists()
        if is_room or (path.suffix == ".py" and not path.stem.startswith("_")):
            assert path.stem in words, path


LIBRARIES = [row for row in rows("| library | for |") if "imported by" in row[1]]


@pytest.mark.parametrize("row", LIBRARIES, ids=[row[0] for row in LIBRARIES])
def test_libraries_are_imported_where_the_page_says(row: list[str]) -> None:
    """By each place that is named, and by none beside them."""
    name = {"dnspython": "dns", "Jinja2": "jinja2"}.get(row[0], row[0])
    places = quoted(row[1].rpartition("imported by ")[2].partition(" only")[0])
    imports = re.compile(rf"^\s*(?:from|import) {name}\b", re.MULTILINE)
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if imports.search(path.read_text("utf-8"))
    }
    assert found
    assert not [path for path in found if not path.startswith(tuple(places))]
    assert not [place for place in places if not any(path.startswith(place) for path in found)]


@pytest.fixture
def way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return the functions that an apply calls, each at its first call, with their files."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(this_machine, "THIS_MACHINE", FakeMachine())
    host = tmp_path / "host.yaml"
    host.write_text("addresses: [192.0.2.1]\n")
    called: dict[tuple[str, str], None] = {}
    root = f"{PACKAGE}/"

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(root):
            called.setdefault((code.co_filename.removeprefix(root), code.co_qualname))

    arguments = [
        "apply",
        str(ROOT / "examples/my-service"),
        "--node",
        "node-a",
        "--host",
        str(host),
    ]
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    finally:
        sys.setprofile(before)
    assert done.exit_code == 0, done.stderr
    return list(called)


def test_the_walk_is_the_way_of_a_service(way: list[tuple[str, str]]) -> None:
    """Each row is a function that is called, in that order; who comes again says why."""
    walk = [(*quoted(row[0]), *quoted(row[1])) for row in rows(WALK)]
    missing = [step for step in walk if step not in way]
    assert not missing
    order = [way.index((file, function)) for file, function in walk]
    assert order == sorted(order)
    seen: set[str] = set()
    for (file, _), row in zip(walk, rows(WALK), strict=True):
        assert row[2].startswith("again: ") == (file in seen), row
        seen.add(file)
