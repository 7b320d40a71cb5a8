"""How svcnet's own code calls: no call hides in a tuple what its arguments are."""

from __future__ import annotations

import ast
from pathlib import Path

import svcnet

ROOT = Path(svcnet.__file__).parent


def packs(call: ast.Call) -> bool:
    """Return whether a call unpacks a tuple or a list that it has just made, of single values."""
    made = [each.value for each in call.args if isinstance(each, ast.Starred)]
    return any(
        isinstance(each, ast.Tuple | ast.List)
        and not any(isinstance(value, ast.Starred) for value in each.elts)
        for each in made
    )


def test_no_call_packs_its_arguments() -> None:
    """Many arguments have names, or are one value: their order cannot be mistaken then."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and packs(node)
    ]
    assert found == []
