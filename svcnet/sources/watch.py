"""Knowing that manifests changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from watchfiles import Change, awatch

QUIET_MILLISECONDS = 50
LONGEST_MILLISECONDS = 400
"""How long changes are gathered: until none comes for the shorter time, at most the longer."""


async def changes(paths: Sequence[str], stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield whenever something below `paths` may have changed, until `stop` is set.

    A folder is watched with all below it. A file is watched by its folder, so that one that
    is replaced by another of the same name is noticed, also through the link ``..data`` of a
    volume of Kubernetes.
    """
    folders = [Path(path).resolve() for path in paths if Path(path).is_dir()]
    files = [Path(path).absolute() for path in paths if not Path(path).is_dir()]
    places = {*folders, *(file.parent for file in files)}

    def concerns(_change: Change, changed: str) -> bool:
        path = Path(changed)
        return (
            path in files
            or path.name.startswith("..")
            or any(path.is_relative_to(folder) for folder in folders)
        )

    async for _ in awatch(
        *places,
        watch_filter=concerns,
        step=QUIET_MILLISECONDS,
        debounce=LONGEST_MILLISECONDS,
        stop_event=stop,
        recursive=bool(folders),
    ):
        yield
