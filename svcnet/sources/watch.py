"""Knowing that manifests changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TypeAlias

from svcnet.errors import MissingExtra

try:
    from watchfiles import Change, awatch
except ModuleNotFoundError as error:
    raise MissingExtra.of(error) from None

QUIET_MILLISECONDS = 50
LONGEST_MILLISECONDS = 400
"""How long changes are gathered: until none comes for the shorter time, at most the longer."""

LOOK_MILLISECONDS = 1000
"""How often it is looked whether a watched folder is still the one of that name."""

Identity: TypeAlias = tuple[int, int] | None


def apart(paths: Sequence[str]) -> list[list[str]]:
    """Return `paths` in one or two parts, which it is better to watch each by itself.

    With a folder all below it is watched, and with a file beside it that would be all
    below *its* folder.
    """
    folders = [path for path in paths if Path(path).is_dir()]
    others = [path for path in paths if path not in folders]
    return [part for part in (folders, others) if part]


async def changes(paths: Sequence[str], stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield whenever something below `paths` may have changed, until `stop` is set.

    A folder is watched with all below it. A file is watched by its folder, so that one that
    is replaced by another of the same name is noticed, also through the link ``..data`` of a
    volume of Kubernetes. A folder that is removed, replaced or made is noticed too.
    """
    while not stop.is_set():
        folders = [Path(path).absolute() for path in paths if Path(path).is_dir()]
        files = [Path(path).absolute() for path in paths if not Path(path).is_dir()]
        async for _ in _while_the_same(folders, files, stop):
            yield
        yield


async def _while_the_same(
    folders: Sequence[Path], files: Sequence[Path], stop: asyncio.Event
) -> AsyncIterator[None]:
    """Yield at changes, until one of the folders is another one than it was."""
    watched = [*folders, *(file.parent for file in files)]
    before = _identities(watched, files)
    here = [folder.resolve() for folder in folders]
    roots = {folder.resolve() for folder in watched}

    def concerns(_change: Change, changed: str) -> bool:
        path = Path(changed)
        return (
            path in files
            or path in roots
            or path.name.startswith("..")
            or any(path.is_relative_to(folder) for folder in here)
        )

    if None in before:
        # What is not there cannot be watched; it may be made at any time.
        await asyncio.sleep(LOOK_MILLISECONDS / 1000)
        return
    looking = awatch(
        *roots,
        watch_filter=concerns,
        step=QUIET_MILLISECONDS,
        debounce=LONGEST_MILLISECONDS,
        stop_event=stop,
        rust_timeout=LOOK_MILLISECONDS,
        yield_on_timeout=True,
        recursive=bool(folders),
    )
    async with aclosing(looking):
        async for found in looking:
            if found:
                yield
            # One that is made again may have the number of the old one.
            is_gone = any(what is Change.deleted and Path(path) in roots for what, path in found)
            if is_gone or before != _identities(watched, files):
                return


def _identities(watched: Iterable[Path], files: Iterable[Path]) -> list[Identity]:
    """Return what must stay the same: the folders, and that files do not become any."""
    return [*map(_identity, watched), *(_identity(path) for path in files if path.is_dir())]


def _identity(folder: Path) -> Identity:
    """Return what makes a folder the same one, None if it is not there."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
