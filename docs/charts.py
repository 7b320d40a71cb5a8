"""The charts of the benchmarks page: one panel for each figure, one line for each way to serve.

`nox -s bench -- -k dataplanes` measures, and keeps what it finds in docs/reference/figures.json;
`python docs/charts.py` draws that, for a light page and for a dark one, into docs/charts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "charts"
FIGURES = Path(__file__).parent / "reference/figures.json"

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 300, 220, 46, 28, 24, 12
COLUMNS, LEGEND = 3, 22
PALETTE = {
    "light": (
        "#0969da",
        "#54aeff",
        "#1a7f37",
        "#cf222e",
        "#ff8182",
        "#9a6700",
        "#d4a72c",
        "#8250df",
    ),
    "dark": (
        "#388bfd",
        "#a5d6ff",
        "#3fb950",
        "#ff7b72",
        "#ffc1ba",
        "#d29922",
        "#f2cc60",
        "#bc8cff",
    ),
}
INK = {"light": ("#1f2328", "#d0d7de"), "dark": ("#e6edf3", "#30363d")}
"""The colours of text and of lines behind it."""

PANELS = {
    "Load from empty, s": ("load, s",),
    "Endpoint replaced, event to kernel, ms": ("endpoint replaced", "event, ms"),
    "Endpoint removed, ms": ("endpoint removed", "event, ms"),
    "Endpoint added, ms": ("endpoint added", "event, ms"),
    "Service added, ms": ("Service added", "event, ms"),
    "Service removed, ms": ("Service removed", "event, ms"),
    "Connection to the last Service, µs": ("connection to the last", "median, us"),
    "Connections a second, to the last": ("connection to the last", "a second"),
    "Memory of the kernel, MB": ("kernel, MB",),
    "Memory of svcnet for it, MB": ("own, MB",),
}
"""The title of each panel, and where its figure is in a measurement."""


@dataclass(frozen=True)
class Scale:
    """A logarithmic axis from one power of ten to another, on `length` pixels from `start`."""

    low: int
    high: int
    start: float
    length: float

    @classmethod
    def of(cls, values: Sequence[float], start: float, length: float) -> Scale:
        low, high = floor(log10(min(values))), ceil(log10(max(values)))
        return cls(low, max(high, low + 1), start, length)

    def __call__(self, value: float) -> float:
        return self.start + self.length * (log10(value) - self.low) / (self.high - self.low)

    def ticks(self) -> Iterator[float]:
        for power in range(self.low, self.high + 1):
            yield 10.0**power


def files() -> dict[str, str]:
    """Return what is to be in docs/charts, by name."""
    found: list[dict[str, Any]] = json.loads(FIGURES.read_text("utf-8"))
    alike = [each for each in found if each["endpoints"] == 10]
    return {f"dataplanes-{theme}.svg": chart(alike, theme) for theme in PALETTE}


def chart(found: Sequence[dict[str, Any]], theme: str) -> str:
    """Return all panels as SVG, with what the lines are of above them."""
    ways = list(dict.fromkeys(each["way"] for each in found))
    colours = dict(zip(ways, PALETTE[theme], strict=False))
    rows = ceil(len(PANELS) / COLUMNS)
    width, height = COLUMNS * WIDTH, LEGEND + rows * HEIGHT
    text, _ = INK[theme]
    body = [*legend(colours)]
    for number, (title, path) in enumerate(PANELS.items()):
        row, column = divmod(number, COLUMNS)
        body += panel(found, title, path, (column * WIDTH, LEGEND + row * HEIGHT), colours, theme)
    told = "Figures of each way to serve, by the number of Services of ten endpoints"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" role="img" font-family="sans-serif" font-size="11" fill="{text}">\n'
        f"<title>{told}</title>\n" + "\n".join(body) + "\n</svg>\n"
    )


def legend(colours: dict[str, str]) -> Iterator[str]:
    x = 8.0
    for way, colour in colours.items():
        yield f'<rect x="{x:.0f}" y="5" width="14" height="4" fill="{colour}"/>'
        yield f'<text x="{x + 18:.0f}" y="12">{escape(way)}</text>'
        x += 34 + 6.4 * len(way)


def panel(
    found: Sequence[dict[str, Any]],
    title: str,
    path: tuple[str, ...],
    corner: tuple[float, float],
    colours: dict[str, str],
    theme: str,
) -> Iterator[str]:
    """Yield one panel, whose upper left corner is given."""
    points = [(each["way"], each["services"], value(each, path)) for each in found]
    points = [point for point in points if point[2] > 0]
    left, top = corner
    across = Scale.of([p[1] for p in points], left + LEFT, WIDTH - LEFT - RIGHT)
    bottom, tall = top + HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    up = Scale.of([p[2] for p in points], bottom, -tall)
    _text, line = INK[theme]
    yield f'<text x="{left + 8:.0f}" y="{top + 18:.0f}" font-weight="bold">{escape(title)}</text>'
    for tick in up.ticks():
        y = up(tick)
        ends = f'x1="{left + LEFT:.0f}" x2="{left + WIDTH - RIGHT:.0f}"'
        yield f'<line {ends} y1="{y:.1f}" y2="{y:.1f}" stroke="{line}"/>'
        place = f'x="{left + LEFT - 4:.0f}" y="{y + 4:.1f}" text-anchor="end"'
        yield f"<text {place}>{short(tick)}</text>"
    for size in sorted({p[1] for p in points}):
        x = across(size)
        yield f'<text x="{x:.1f}" y="{bottom + 14:.0f}" text-anchor="middle">{short(size)}</text>'
    for way, own in groupby(points, lambda point: point[0]):
        places = [(across(size), up(figure)) for _, size, figure in own]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        colour = colours[way]
        yield f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
        for x, y in places:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>'


def value(found: dict[str, Any], path: tuple[str, ...]) -> float:
    for name in path:
        found = found[name]
    return float(found)  # type: ignore[arg-type]


def short(number: float) -> str:
    """Return a number with few letters, such as ``50k``."""
    if number >= 1000:
        return f"{number / 1000:g}k"
    return f"{number:g}"


if __name__ == "__main__":
    for name, drawn in files().items():
        (FOLDER / name).write_text(drawn, "utf-8")
