"""The lines of a file, as places count them, short enough to be shown."""

from __future__ import annotations

from svcnet.sources.locate import Place
from svcnet.sources.stream import text_of

_MOST = 160
_BEFORE = 40


def text_lines(data: bytes) -> list[str]:
    """Return the lines of a file, each of which ends with a line feed and nothing else."""
    data, _ = text_of(data)
    return data.decode().split("\n")


def excerpt(lines: list[str], place: Place, around: int) -> list[tuple[int, str]]:
    """Return a place's line, and so many before and after it, each with its number.

    Of a long line there is what stands around the place.
    """
    if not 0 < place.line <= len(lines):
        return []
    first, last = max(place.line - around, 1), min(place.line + around, len(lines))
    return [(each, _cut(lines[each - 1], place.column)) for each in range(first, last + 1)]


def _cut(line: str, column: int) -> str:
    line = line.rstrip("\r")
    if len(line) <= _MOST:
        return line
    start = max(min(column - 1 - _BEFORE, len(line) - _MOST), 0)
    before, after = "…" if start else "", "…" if start + _MOST < len(line) else ""
    return f"{before}{line[start : start + _MOST]}{after}"
