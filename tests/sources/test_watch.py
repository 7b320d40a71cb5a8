"""Knowing that manifests changed, with real files."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from svcnet.sources.watch import changes

SECONDS = 10
QUIET = 1.0


def config_map(folder: Path, version: str) -> None:
    """Bring a folder to a new version as the kubelet does with a volume: by one rename."""
    (folder / f"..{version}").mkdir()
    (folder / f"..{version}/a.yaml").write_text(version)
    (folder / "..data_tmp").symlink_to(f"..{version}")
    (folder / "..data_tmp").rename(folder / "..data")


def rewrite(folder: Path) -> None:
    (folder / "a.yaml").write_text("b")


def replace(folder: Path) -> None:
    (folder / "new").write_text("b")
    (folder / "new").rename(folder / "a.yaml")


def remove(folder: Path) -> None:
    (folder / "a.yaml").unlink()


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def add_below(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "below/b.yaml").write_text("b")


def other(folder: Path) -> None:
    (folder / "other.yaml").write_text("b")


def remake_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "a.yaml").write_text("b")


def replace_folder(folder: Path) -> None:
    """Have another folder stand at the place, without a touch of the old one's files."""
    folder.rename(folder.with_name("old"))
    folder.mkdir()
    (folder / "a.yaml").write_text("b")


async def notices(paths: list[str], act: Callable[[], None], seconds: float) -> bool:
    """Return whether a change is told of within some seconds of an action."""
    stop, told = asyncio.Event(), asyncio.Event()

    async def follow() -> None:
        async for _ in changes(paths, stop):
            told.set()

    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    act()
    try:
        async with asyncio.timeout(seconds):
            await told.wait()
    except TimeoutError:
        return False
    finally:
        stop.set()
        await task
    return True


@pytest.mark.parametrize("act", [rewrite, replace, remove, remove_folder, add_below, other])
def test_a_folder(tmp_path: Path, act: Callable[[Path], None]) -> None:
    """Whatever happens in a folder, or to it, is noticed."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.yaml").write_text("a")
    assert asyncio.run(notices([str(folder)], lambda: act(folder), SECONDS))


@pytest.mark.parametrize(
    ("act", "expected"), [(rewrite, True), (replace, True), (remove, True), (other, False)]
)
def test_a_file(tmp_path: Path, act: Callable[[Path], None], expected: bool) -> None:
    """A file is followed through a replacement, and its neighbours are not its changes."""
    (tmp_path / "a.yaml").write_text("a")
    seconds = SECONDS if expected else QUIET
    paths = [str(tmp_path / "a.yaml")]
    assert asyncio.run(notices(paths, lambda: act(tmp_path), seconds)) is expected


@pytest.mark.parametrize("name", ["", "a.yaml"])
def test_a_volume_of_kubernetes(tmp_path: Path, name: str) -> None:
    """A ConfigMap's volume changes by one link, and that is noticed."""
    config_map(tmp_path, "v1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    path = str(tmp_path / name)
    assert asyncio.run(notices([path], lambda: config_map(tmp_path, "v2"), SECONDS))
    assert (tmp_path / "a.yaml").read_text() == "v2"


def test_files_beside_a_large_folder(tmp_path: Path) -> None:
    """A file's folder is not watched with all below it, even beside a folder that is."""
    (tmp_path / "home/deep").mkdir(parents=True)
    (tmp_path / "home/a.yaml").write_text("a")
    (tmp_path / "folder").mkdir()
    paths = [str(tmp_path / "home/a.yaml"), str(tmp_path / "folder")]
    deep = tmp_path / "home/deep"
    assert not asyncio.run(notices(paths, lambda: other(deep), QUIET))
    assert asyncio.run(notices(paths, lambda: other(tmp_path / "folder"), SECONDS))
    assert asyncio.run(notices(paths, lambda: rewrite(tmp_path / "home"), SECONDS))


@pytest.mark.parametrize("act", [remake_folder, replace_folder, remove_folder])
def test_a_folder_that_is_another_one(tmp_path: Path, act: Callable[[Path], None]) -> None:
    """After a folder was replaced, or removed and made again, its changes are noticed."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.yaml").write_text("a")

    async def follow() -> None:
        stop, told = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(gather(stop, told))
        await asyncio.sleep(0.1)
        act(folder)
        await quiet()
        told.clear()
        folder.mkdir(exist_ok=True)
        (folder / "a.yaml").write_text("c")
        await quiet()
        assert told.is_set()
        stop.set()
        await task

    async def gather(stop: asyncio.Event, told: asyncio.Event) -> None:
        async for _ in changes([str(folder)], stop):
            told.set()

    async def quiet() -> None:
        await asyncio.sleep(2.5)

    asyncio.run(follow())


def test_a_link_to_a_folder(tmp_path: Path) -> None:
    """A link that is turned to another folder is noticed."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to("one")

    def turn() -> None:
        (tmp_path / "new").symlink_to("two")
        (tmp_path / "new").rename(link)

    assert asyncio.run(notices([str(link)], turn, SECONDS))


def test_nothing_happens(tmp_path: Path) -> None:
    """A folder that nobody touches is told of never."""
    assert not asyncio.run(notices([str(tmp_path)], lambda: None, QUIET))
