"""Tables of text: columns that are as wide as what is in them, and on a terminal as have room."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest

GAP = 2
LEAST = 6
"""A column is not narrower, unless what is in it is."""


def terminal_width() -> int | None:
    """Return how many letters a line of standard output has; None where nobody looks at it."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table_lines(rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """Yield the lines of a table. Where it has no room in `width`, cells fold; nothing is cut.

    A line of a cell ends behind a letter where a word may end, if there is one.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is not None:
        widths = _narrow(widths, width)
    for row in rows:
        cells = [_fold(cell, size) for cell, size in zip(row, widths, strict=True)]
        for line in zip_longest(*cells, fillvalue=""):
            shown = (part.ljust(size) for part, size in zip(line, widths, strict=True))
            yield (" " * GAP).join(shown).rstrip()


def _narrow(widths: list[int], most: int) -> list[int]:
    """Take from the widest columns what there is no room for."""
    widths = list(widths)
    while sum(widths) + GAP * (len(widths) - 1) > most:
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= LEAST:
            break
        widths[widest] -= 1
    return widths


def _fold(cell: str, width: int) -> list[str]:
    lines = []
    while len(cell) > width:
        end = max(cell.rfind(letter, 0, width) for letter in " ,/:-.") + 1 or width
        lines.append(cell[:end].rstrip())
        cell = cell[end:]
    return [*lines, cell]
