"""The charts of the benchmarks page, and the tables of the same figures.

`nox -s bench -- -k "dataplanes or bench_run"` measures, and keeps what it finds in
docs/reference/figures.json, see tests/bench/figures.py. `python docs/charts.py` draws that, for a
light page and for a dark one, and writes the tables, into docs/charts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from math import ceil, floor, log10
from pathlib import Path
from typing import Any, TypeAlias

FOLDER = Path(__file__).parent / "charts"
FIGURES = Path(__file__).parent / "reference/figures.json"

Row: TypeAlias = Mapping[str, Any]
"""What was measured of one way at one size."""
Where: TypeAlias = tuple[str, ...]
"""The names that lead to a figure in a row."""


@dataclass(frozen=True)
class Style:
    """How a way is drawn: a hue is a mode, a broken line with hollow points kube-proxy's layout."""

    light: str
    dark: str
    is_broken: bool = False


STYLES = {
    "nftables, as kube-proxy": Style("#0550ae", "#79c0ff", is_broken=True),
    "nftables flat, by nft": Style("#1b9e9e", "#56d4dd"),
    "nftables flat, by netlink": Style("#0550ae", "#79c0ff"),
    "iptables-nft, as kube-proxy": Style("#cf222e", "#ff7b72", is_broken=True),
    "iptables-nft flat": Style("#cf222e", "#ff7b72"),
    "iptables-legacy, as kube-proxy": Style("#bc6c00", "#f2cc60", is_broken=True),
    "iptables-legacy flat": Style("#bc6c00", "#f2cc60"),
    "guest: ipvs": Style("#8250df", "#d2a8ff"),
    "guest: iptables-legacy, as kube-proxy": Style("#bc6c00", "#f2cc60", is_broken=True),
    "userspace": Style("#1a7f37", "#3fb950"),
}
"""All ways, in the order of legends and tables."""

INK = {"light": ("#1f2328", "#d0d7de"), "dark": ("#e6edf3", "#3d444d")}
"""The colours of text and of lines behind it."""
GUEST = "guest: "

PANELS: Mapping[str, Where] = {
    "Load from empty, s": ("load, s",),
    "Endpoint replaced, ms": ("endpoint replaced, ms",),
    "Endpoint removed, ms": ("endpoint removed, ms",),
    "Endpoint added, ms": ("endpoint added, ms",),
    "Service removed, ms": ("Service removed, ms",),
    "Service added, ms": ("Service added, ms",),
    "First packet to a Service, µs": ("first packet, us",),
    "First packet to no Service, µs": ("first packet to nobody, us",),
    "New connections a second": ("connections a second",),
    "Memory of the kernel, MB": ("kernel, MB",),
    "Memory of the program, MB": ("program, MB",),
    "Largest process at its peak, MB": ("largest process, MB",),
}
"""The title of each panel, and where its figure is in a row."""
WITHOUT_RULES: Mapping[str, Where] = {
    "First packet without any rule, µs": ("first packet without rules, us",),
    "New connections a second without any rule": ("connections a second without rules",),
}
FIRST_PACKETS = {title: where for title, where in PANELS.items() if "packet" in title}
RUN_PANELS: Mapping[str, Where] = {
    "Endpoint replaced, to the log line, ms": ("event, replaced", "median, ms", "all"),
    "Endpoint replaced, to the commit, ms": (
        "event, replaced",
        "median, ms",
        "until the kernel has it",
    ),
    "Endpoint more or less, to the log line, ms": ("event", "median, ms", "all"),
    "CPU of svcnet for an event, ms": ("event", "own CPU, ms"),
    "100 events a second, % of a core": (
        "100 events a second, minSyncPeriod 1 s",
        "own, % of a core",
    ),
    "Start, until all rules are there, s": ("cold", "rules after, s"),
    "Memory after the start, MB": ("cold", "MB"),
    "Memory at the peak, MB": ("cold", "MB at the peak"),
}
"""The same of rows that tests/bench/keeping.py has found, with svcnet run and an API server."""
CHOICE: Sequence[tuple[str, int, Where]] = (
    ("load, 1k", 1_000, ("load, s",)),
    ("load, 10k", 10_000, ("load, s",)),
    ("load, 50k", 50_000, ("load, s",)),
    ("endpoint replaced, 10k", 10_000, ("endpoint replaced, ms",)),
    ("first packet, 10k", 10_000, ("first packet, us",)),
    ("kernel's memory, 10k", 10_000, ("kernel, MB",)),
)
"""The columns of the table for those who choose: a title, the Services, and a figure."""

COLUMNS, WIDTH, HEIGHT = 2, 380, 230
LEFT, TOP, BOTTOM, RIGHT = 46, 30, 26, 14
WIDE = 64
"""What is at the right edge of a panel for Services of another number of endpoints."""
LEGEND_LINE, LETTER = 20, 6.8
"""How high a line of a legend is, and how wide a letter is at most on the whole."""
USUAL = 10
"""How many endpoints the Services of the lines have."""
STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Scale:
    """A logarithmic axis on `length` pixels from `start`."""

    low: float
    high: float
    start: float
    length: float

    @classmethod
    def of(cls, values: Sequence[float], start: float, length: float) -> Scale:
        """Return an axis from one round number to another."""
        low, high = rounded(min(values), down=True), rounded(max(values), down=False)
        return cls(low, high if high > low else 10 * low, start, length)

    def __call__(self, value: float) -> float:
        share = (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return self.start + self.length * share

    def ticks(self) -> Iterator[float]:
        """Yield round numbers, as many as there is room for."""
        powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        steps = STEPS if self.high / self.low <= 500 else STEPS[:1]
        for tick in (step * 10.0**power for power in powers for step in steps):
            if self.low * 0.999 <= tick <= self.high * 1.001:
                yield tick


def rounded(number: float, *, down: bool) -> float:
    """Return 1, 2 or 5 times a power of ten, next to a number."""
    power = 10.0 ** floor(log10(number))
    around = [step * power for step in (*STEPS, 10)]
    if down:
        return max(each for each in around if each <= number * 1.001)
    return min(each for each in around if each >= number * 0.999)


def files() -> dict[str, str]:
    """Return what is to be in docs/charts, by name."""
    kept: dict[str, list[Row]] = json.loads(FIGURES.read_text("utf-8"))
    rows = in_order(kept["dataplanes"])
    here = [row for row in rows if not row["way"].startswith(GUEST)]
    guests = [row for row in rows if row["way"].startswith(GUEST)]
    drawn: dict[str, tuple[str, Sequence[Row], Mapping[str, Where]]] = {
        "dataplanes": ("What each way to serve costs", here, PANELS),
        "guest": ("What ways to serve cost in a guest's slow kernel", guests, PANELS),
        "run": (
            "An event to the kernel through svcnet run --kubernetes",
            in_order(kept["run"]),
            RUN_PANELS,
        ),
    }
    found = {
        f"{name}-{theme}.svg": chart(title, own, panels, theme)
        for name, (title, own, panels) in drawn.items()
        for theme in INK
    }
    found["dataplanes.md"] = tables(rows, {**PANELS, **WITHOUT_RULES}) + origins(rows)
    found["run.md"] = tables(kept["run"], RUN_PANELS) + origins(kept["run"])
    found["choice.md"] = choice(here)
    of_iptables = [row for row in here if row["way"].startswith("iptables")]
    found["iptables.md"] = tables(of_iptables, FIRST_PACKETS)
    return found


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Return rows in the order of ways, and of sizes."""
    order = list(STYLES)
    return sorted(
        rows, key=lambda row: (order.index(row["way"]), row["endpoints"], row["services"])
    )


def value(row: Row, where: Where) -> float | None:
    """Return a figure of a row, if it has that; nothing can be less than nothing."""
    found: Any = row
    for name in where:
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return float(found) if found > 0 else None


# Pictures


def chart(title: str, rows: Sequence[Row], panels: Mapping[str, Where], theme: str) -> str:
    """Return all panels as SVG, with what the lines are of above them."""
    shown = {name: where for name, where in panels.items() if any(value(r, where) for r in rows)}
    ways = list(dict.fromkeys(row["way"] for row in rows))
    names = [*ways, *ended(rows)]
    columns = int(COLUMNS * WIDTH / (LETTER * max(map(len, names)) + 44))
    top = LEGEND_LINE * ceil(len(names) / columns) + 6
    width, height = COLUMNS * WIDTH, top + ceil(len(shown) / COLUMNS) * HEIGHT
    text, _ = INK[theme]
    body = [*legend(names, columns, theme)]
    for number, (name, where) in enumerate(shown.items()):
        row, column = divmod(number, COLUMNS)
        body += Panel(name, where, (column * WIDTH, top + row * HEIGHT), theme).drawn(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" role="img" font-family="sans-serif" font-size="12" fill="{text}">\n'
        f"<title>{escape(title)}, by the number of Services</title>\n"
        + "\n".join(body)
        + "\n</svg>\n"
    )


def ended(rows: Sequence[Row]) -> list[str]:
    """Return what a cross says, if there is one."""
    limits = sorted({row["limit, s"] for row in rows if is_given_up(row)})
    return [f"not done in {' or '.join(f'{limit:g}' for limit in limits)} s"] if limits else []


def legend(names: Sequence[str], columns: int, theme: str) -> Iterator[str]:
    """Yield a sample of each line with its name, and a cross for what is no way."""
    for number, name in enumerate(names):
        row, column = divmod(number, columns)
        x, y = 10 + column * COLUMNS * WIDTH / columns, 12 + row * LEGEND_LINE
        if name in STYLES:
            yield line(name, theme, [(x, y), (x + 26, y)]) + point(name, theme, x + 13, y)
        else:
            yield cross(x + 13, y, INK[theme][0])
        yield f'<text x="{x + 34:.0f}" y="{y + 4}">{escape(name)}</text>'


def is_given_up(row: Row) -> bool:
    """Return whether a way was not done with its load in time."""
    return "limit, s" in row and value(row, ("load, s",)) is None


def colour(way: str, theme: str) -> str:
    return STYLES[way].light if theme == "light" else STYLES[way].dark


def line(way: str, theme: str, places: Sequence[tuple[float, float]]) -> str:
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    broken = ' stroke-dasharray="5 3"' if STYLES[way].is_broken else ""
    style = f'fill="none" stroke="{colour(way, theme)}" stroke-width="1.8"{broken}'
    return f'<polyline points="{drawn}" {style}/>'


def point(way: str, theme: str, x: float, y: float) -> str:
    ink = colour(way, theme)
    inside = "none" if STYLES[way].is_broken else ink
    style = f'fill="{inside}" stroke="{ink}" stroke-width="1.4"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" {style}/>'


def cross(x: float, y: float, ink: str) -> str:
    arms = f"M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m0 -7l-7 7"
    return f'<path d="{arms}" stroke="{ink}" stroke-width="1.8"/>'


@dataclass(frozen=True)
class Panel:
    """One figure of all ways, in a rectangle whose upper left corner is given."""

    title: str
    where: Where
    corner: tuple[float, float]
    theme: str

    def drawn(self, rows: Sequence[Row]) -> Iterator[str]:
        left, top = self.corner
        bottom, tall = top + HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
        crossed = [row for row in rows if is_given_up(row)] if self.where == ("load, s",) else []
        figures = [found for row in rows if (found := value(row, self.where))]
        up = Scale.of([*figures, *(row["limit, s"] for row in crossed)], bottom, -tall)
        across = self.axis([*rows])
        place = f'x="{left + 8:.0f}" y="{top + 18:.0f}" font-weight="bold"'
        yield f"<text {place}>{escape(self.title)}</text>"
        yield from self.frame(rows, up, across, bottom)
        for way, own in groupby(rows, lambda row: row["way"]):
            yield from self.way(way, [*own], up, across)
        order = list(dict.fromkeys(row["way"] for row in crossed))
        for row in crossed:
            aside = 8 * (order.index(row["way"]) - (len(order) - 1) / 2)
            ink = colour(row["way"], self.theme)
            yield cross(across(row) + aside, up(row["limit, s"]), ink)

    def axis(self, rows: Sequence[Row]) -> Callable[[Row], float]:
        """Return where a row is from left to right: by its Services, or at the edge."""
        left, _ = self.corner
        sizes = [row["services"] for row in rows if row["endpoints"] == USUAL]
        edge = WIDE if any(row["endpoints"] != USUAL for row in rows) else 0
        scale = Scale(
            min(sizes),
            max(*sizes, 2 * min(sizes)),
            left + LEFT + 8,
            WIDTH - LEFT - RIGHT - 24 - edge,
        )

        def across(row: Row) -> float:
            if row["endpoints"] == USUAL:
                return scale(row["services"])
            return left + WIDTH - RIGHT - WIDE / 2

        return across

    def frame(
        self, rows: Sequence[Row], up: Scale, across: Callable[[Row], float], bottom: float
    ) -> Iterator[str]:
        """Yield the lines behind, and the labels of both axes."""
        left, _ = self.corner
        _text, ink = INK[self.theme]
        for tick in up.ticks():
            y = up(tick)
            ends = f'x1="{left + LEFT:.0f}" x2="{left + WIDTH - RIGHT:.0f}"'
            yield f'<line {ends} y1="{y:.1f}" y2="{y:.1f}" stroke="{ink}"/>'
            place = f'x="{left + LEFT - 5:.0f}" y="{y + 4:.1f}" text-anchor="end"'
            yield f"<text {place}>{short(tick)}</text>"
        labels = {round(across(row), 1): size_label(row) for row in rows}
        for x, label in labels.items():
            yield f'<text x="{x}" y="{bottom + 17:.0f}" text-anchor="middle">{label}</text>'
        if any(row["endpoints"] != USUAL for row in rows):
            x = left + WIDTH - RIGHT - WIDE
            ends = f'x1="{x}" x2="{x}" y1="{up(up.low):.1f}" y2="{up(up.high):.1f}"'
            yield f'<line {ends} stroke="{ink}" stroke-dasharray="3 3"/>'

    def way(
        self, way: str, rows: Sequence[Row], up: Scale, across: Callable[[Row], float]
    ) -> Iterator[str]:
        """Yield the line of one way, and its points."""
        for endpoints, own in groupby(rows, lambda row: row["endpoints"]):
            figures = [(across(row), value(row, self.where)) for row in own]
            places = [(x, up(figure)) for x, figure in figures if figure]
            if endpoints == USUAL and len(places) > 1:
                yield line(way, self.theme, places)
            for x, y in places:
                yield point(way, self.theme, x, y)


def size_label(row: Row) -> str:
    each = "" if row["endpoints"] == USUAL else f" x {short(row['endpoints'])}"
    return f"{short(row['services'])}{each}"


def short(number: float) -> str:
    """Return a number with few letters, such as ``50k``."""
    return f"{number / 1000:g}k" if number >= 1000 else f"{number:g}"


# Tables


def tables(rows: Sequence[Row], panels: Mapping[str, Where]) -> str:
    """Return a table of Markdown for each figure: a line for each way, a column for each size."""
    sizes = sorted({(row["endpoints"], row["services"]) for row in rows})
    heads = [f"{services:,} x {endpoints:,}" for endpoints, services in sizes]
    found = []
    shown = {title: where for title, where in panels.items() if any(value(r, where) for r in rows)}
    for title, where in shown.items():
        lines = [[title, *heads], ["---", *["---:"] * len(heads)]]
        for way in (way for way in STYLES if any(row["way"] == way for row in rows)):
            own = {(r["endpoints"], r["services"]): r for r in rows if r["way"] == way}
            lines.append([way, *(cell(own.get(size), where) for size in sizes)])
        found.append(markdown(lines))
    return "\n".join(found)


def choice(rows: Sequence[Row]) -> str:
    """Return the table for those who choose a way: few figures of each."""
    lines = [["", *(title for title, _, _ in CHOICE)], ["---", *["---:"] * len(CHOICE)]]
    for way in dict.fromkeys(row["way"] for row in rows):
        own = {
            row["services"]: row for row in rows if (row["way"], row["endpoints"]) == (way, USUAL)
        }
        lines.append([way, *(cell(own.get(size), where, unit(where)) for _, size, where in CHOICE)])
    return markdown(lines)


def unit(where: Where) -> str:
    """Return the unit that ends a figure's name."""
    return "\N{NO-BREAK SPACE}" + where[-1].rpartition(", ")[2].replace("us", "µs")


def cell(row: Row | None, where: Where, unit: str = "") -> str:
    """Return a figure of a row for a table: more than the limit, if it was not done in time."""
    figure = value(row, where) if row else None
    if figure is not None:
        return f"{figure:,.0f}{unit}" if figure >= 100 else f"{figure:.3g}{unit}"
    is_load = row is not None and where == ("load, s",)
    return f"over {row['limit, s']:g}{unit}" if row and is_load and is_given_up(row) else ""


def markdown(lines: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def origins(rows: Sequence[Row]) -> str:
    """Return when and of what rows were measured, and how many of each."""
    found: dict[str, int] = {}
    for row in rows:
        text = f"{row['date']}, Linux {row['kernel']}, commit {row['commit']}"
        found[text] = found.get(text, 0) + 1
    return "\nMeasured:\n\n" + "".join(
        f"- {text}: {count} rows\n" for text, count in sorted(found.items())
    )


if __name__ == "__main__":
    for name, drawn in files().items():
        (FOLDER / name).write_text(drawn, "utf-8")
