"""Tools in front of the machine's own, which misbehave when they are told to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import frozen

RUBBISH = r"printf '\351 \033[2J is no \"listing\n-A x\n'"
FAULTS: Mapping[str, str] = {
    "hangs": "touch FOLDER/hangs; sleep 600",
    "is killed": "kill -9 $$",
    "fails with rubbish": f"{RUBBISH} >&2; exit 1",
    "does nothing": "cat >/dev/null; exit 0",
    "prints rubbish": f"cat >/dev/null; {RUBBISH}; exit 0",
    "is cut off": 'REAL "$@" | head -c 150; kill -9 $$',
}
"""What a tool may do in the place of its work."""

_WRAPPER = """#!/bin/sh
echo NAME >> FOLDER/calls
at=$(cat FOLDER/at 2>/dev/null)
if [ "$at" = always ] || [ "$at" = "$(wc -l < FOLDER/calls)" ]; then
    . FOLDER/fault-NAME
fi
exec REAL "$@"
"""


@frozen
class Tools:
    """A folder in front of PATH, with a wrapper of each tool."""

    folder: Path

    @classmethod
    def wrapped(cls, folder: Path, names: tuple[str, ...]) -> Tools:
        """Make wrappers for tools of this machine."""
        folder.mkdir()
        for name in names:
            real = shutil.which(name)
            assert real is not None
            path = folder / name
            path.write_text(_filled(_WRAPPER, folder, name, real))
            path.chmod(0o755)
        return cls(folder)

    @property
    def path(self) -> str:
        """What PATH is to be."""
        return f"{self.folder}{os.pathsep}{os.environ['PATH']}"

    @property
    def calls(self) -> list[str]:
        """The tools that were started since the last fault was set, in their order."""
        return (self.folder / "calls").read_text().split()

    @property
    def hangs(self) -> bool:
        """Whether one hangs, or has hung."""
        return (self.folder / "hangs").exists()

    def misbehave(self, fault: str = "", at: int | str = 0, only: str = "") -> None:
        """Have call number `at` from here on, or ``always`` each, do a fault; 0 for none.

        The fault is one of the table, or a command. With `only` it is that tool's alone.
        """
        for name in ("calls", "hangs"):
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / "calls").touch()
        for wrapper in self.folder.iterdir():
            if wrapper.stat().st_mode & 0o100:
                real = wrapper.read_text().rpartition("exec ")[2].split()[0]
                does = (
                    FAULTS.get(fault, fault or "true")
                    if wrapper.name == (only or wrapper.name)
                    else "true"
                )
                text = _filled(does, self.folder, wrapper.name, real)
                (self.folder / f"fault-{wrapper.name}").write_text(text + "\n")
        (self.folder / "at").write_text(str(at))

    def put_in_front(self, patch: pytest.MonkeyPatch) -> None:
        """Have this process find them; one that hangs has at once done so for a long time."""
        import time

        from svcnet.executors import children

        patch.setenv("PATH", self.path)
        patch.setattr(
            children, "monotonic", lambda: time.monotonic() + (1e6 if self.hangs else 0.0)
        )


def _filled(text: str, folder: Path, name: str, real: str) -> str:
    return text.replace("FOLDER", str(folder)).replace("NAME", name).replace("REAL", real)
