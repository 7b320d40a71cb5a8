"""Programs that stand in texts of tests, and run in processes of their own."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

IMPORT = re.compile(r"\bfrom (svcnet[\w.]*) import ([\w, ]+)")


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of each import of svcnet's in a text of a file's."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for module, names in IMPORT.findall(node.value):
                yield from ((module, name.split(" as ")[0].strip()) for name in names.split(","))


def is_there(module: str, name: str) -> bool:
    """Return whether a module has a name, or a module of that name."""
    if hasattr(importlib.import_module(module), name):
        return True
    try:
        importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return False
    return True


def test_programs_in_texts_import_what_there_is() -> None:
    """No tool renames in texts: what imports a name that has gone ends at once, or hangs a test."""
    found = {
        (str(path.relative_to(ROOT)), *one)
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for one in imports(path)
    }
    assert len(found) > 10
    assert [one for one in sorted(found) if not is_there(*one[1:])] == []


@pytest.mark.parametrize(("name", "there"), [("APIClient", True), ("Client", False)])
def test_a_name_that_has_gone_is_seen(name: str, there: bool) -> None:
    assert is_there("svcnet.sources.kubernetes.client", name) is there
