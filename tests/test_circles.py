"""No module of svcnet needs, by whatever way, one that needs it."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import grimp
import pytest


def imports() -> dict[str, set[str]]:
    """Return what each module imports: also inside of functions, and for its types alone."""
    graph = grimp.build_graph("svcnet", cache_dir=None)
    return {name: set(graph.find_modules_directly_imported_by(name)) for name in graph.modules}


def circle(found: dict[str, set[str]]) -> list[str]:
    """Return modules each of which imports the next, and the first of which is the last again."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        # The sorter names what is needed first.
        return list(reversed(error.args[1]))
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(imports()) == []


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_circle_is_seen(length: int) -> None:
    names = [f"svcnet.new{number}" for number in range(length)]
    nexts = [*names[1:], names[0]]
    found = {one: {other} for one, other in zip(names, nexts, strict=True)}
    found["svcnet.top"] = {names[0]}
    seen = circle(found)
    assert seen[0] == seen[-1]
    assert set(seen) == set(names)
    assert all(other in found[one] for one, other in pairwise(seen))
