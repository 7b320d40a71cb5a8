"""What a program imports of svcnet brings no library of command lines with it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import svcnet

SOURCE = Path(svcnet.__file__).parent
ROOMS = ("inputs", "agent", "modes", "reconciler", "executors", "servers")
LIBRARIES = {"click", "rich"}
DRAWS = {"modes/proxy.py", "modes/userspace/proxy.py", "modes/userspace/view.py"}
"""What a proxy draws for a terminal, when it is asked to, is rich's."""


def files() -> list[Path]:
    return [path for room in ROOMS for path in sorted((SOURCE / room).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    """Yield the packages that a module imports, also inside of functions and for types alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_but_that_of_the_command_imports_them(room: str) -> None:
    found = {
        (str(path.relative_to(SOURCE)), name)
        for path in files()
        for name in LIBRARIES.intersection(imports(path))
        if path.is_relative_to(SOURCE / room)
    }
    assert found <= {(path, "rich") for path in DRAWS}


def test_all_modules_of_them_come_without() -> None:
    """Nor does what they import in turn."""
    names = [
        ".".join(("svcnet", *path.relative_to(SOURCE).with_suffix("").parts))
        for path in files()
        if path.name not in ("__init__.py", "view.py")
    ]
    told = f"import sys, {', '.join(names)}; print(*sorted({LIBRARIES!r} & set(sys.modules)))"
    command = [sys.executable, "-c", told]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=SOURCE.parent)
    assert done.stdout == "\n"
