"""The pictures of these pages: columns of boxes, and the ways of packets between them.

`python docs/pictures.py` draws each twice, for a light page and for a dark one, into docs/pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).parent / "pictures"

COLUMN, GAP, MARGIN, LINE, PAD, BETWEEN = 208, 76, 8, 18, 10, 18
LETTER = 6.7
"""How wide a letter of the text is at most, in a font whose letters are all as wide."""

THEMES = {
    "light": {"line": "#57606a", "text": "#1f2328", "way": "#0969da", "not": "#cf222e"},
    "dark": {"line": "#8b949e", "text": "#e6edf3", "way": "#58a6ff", "not": "#ff7b72"},
}

Kind = Literal["who", "rule", "end", "not"]


@dataclass(frozen=True)
class Box:
    """Lines of text; ``kind`` is who sends, what decides, where it ends, or where it does not."""

    lines: tuple[str, ...]
    kind: Kind = "rule"

    @property
    def height(self) -> int:
        return len(self.lines) * LINE + 2 * PAD


@dataclass(frozen=True)
class Picture:
    """Columns of boxes from left to right, by name; ``ways`` lead from box to box, with a label."""

    title: str
    columns: Sequence[Mapping[str, Box]]
    ways: Sequence[tuple[str, str, str]] = field(default=())


def who(*lines: str) -> Box:
    return Box(lines, "who")


def rule(*lines: str) -> Box:
    return Box(lines)


def end(*lines: str) -> Box:
    return Box(lines, "end")


def gone(*lines: str) -> Box:
    return Box(lines, "not")


POD1, POD2, POD3 = (
    end("web-1", "10.244.1.5:8080"),
    end("web-2", "10.244.1.6:8080"),
    end("web-3 on node-b", "10.244.2.7:8080"),
)
CHOICE = rule("choose one of 3")
PODS = {"1": POD1, "2": POD2, "3": POD3}
THIRDS = tuple(("c", name, "1/3") for name in PODS)

PICTURES = {
    "service": Picture(
        "A packet from a Pod or from outside to 10.96.0.100:80: the address is of a Service, one "
        "of three endpoints is chosen, each gets a third",
        (
            {"p": who("a Pod on the node"), "o": who("somebody outside")},
            {"d": rule("10.96.0.100:80 is", "default/my-service:http"), "c": CHOICE},
            {
                "1": end("10.244.1.5:9376", "on node-a"),
                "2": end("10.244.1.6:9376", "on node-a"),
                "3": end("10.244.2.6:9376", "on node-b"),
            },
        ),
        (("p", "d", ""), ("o", "d", ""), ("d", "c", ""), *THIRDS),
    ),
    "pod": Picture(
        "A packet from a client to the Pod web-1: no Service decides anything",
        ({"p": who("a client", "10.244.1.9")}, {"1": POD1}),
        (("p", "1", "direct"),),
    ),
    "cluster-ip": Picture(
        "A packet to the cluster IP 10.96.0.10:80: its destination is rewritten to the Pod web-1",
        (
            {"p": who("a client", "10.244.1.9")},
            {"d": rule("10.96.0.10:80", "is default/web:http")},
            {"1": POD1},
        ),
        (("p", "d", ""), ("d", "1", "DNAT")),
    ),
    "endpoints": Picture(
        "A packet to the cluster IP: one of three Pods is chosen, each gets a third",
        (
            {"p": who("a client", "10.244.1.9")},
            {"d": rule("10.96.0.10:80", "is default/web:http"), "c": CHOICE},
            PODS,
        ),
        (("p", "d", ""), ("d", "c", ""), *THIRDS),
    ),
    "hairpin": Picture(
        "The Pod web-1 asks the Service and may be chosen itself: then the source becomes the "
        "node's",
        (
            {"p": who("web-1", "10.244.1.5")},
            {"d": rule("10.96.0.10:80", "is default/web:http"), "c": CHOICE},
            {
                "1": end("web-1, the sender", "source: the node"),
                "2": POD2,
                "3": POD3,
            },
        ),
        (("p", "d", ""), ("d", "c", ""), *THIRDS),
    ),
    "node-port": Picture(
        "A packet from outside to a node port: the source becomes the node's, then one of three "
        "Pods is chosen",
        (
            {"p": who("somebody outside", "203.0.113.9")},
            {
                "d": rule("192.0.2.11:30080", "is default/web:http"),
                "m": rule("source becomes", "the node's"),
                "c": CHOICE,
            },
            PODS,
        ),
        (("p", "d", ""), ("d", "m", ""), ("m", "c", ""), *THIRDS),
    ),
    "load-balancer": Picture(
        "Packets from outside to the address of a load balancer: a source in the range goes on, "
        "all others are dropped",
        (
            {"a": who("a customer", "198.51.100.7"), "b": who("somebody else", "203.0.113.9")},
            {
                "d": rule("203.0.113.80:80", "is default/web:http"),
                "f": rule("198.51.100.0/24", "may use it"),
                "c": CHOICE,
            },
            {"x": gone("dropped"), **PODS},
        ),
        (("a", "d", ""), ("b", "d", ""), ("d", "f", ""), ("f", "c", ""), *THIRDS, ("f", "x", "")),
    ),
}


def draw(picture: Picture, theme: str) -> str:
    """Return a picture as SVG."""
    return "\n".join((*_parts(picture, THEMES[theme]), ""))


def _parts(picture: Picture, colors: Mapping[str, str]) -> Iterator[str]:
    heights = [
        sum(box.height for box in column.values()) + BETWEEN * (len(column) - 1)
        for column in picture.columns
    ]
    height = max(heights) + 2 * MARGIN
    width = len(picture.columns) * (COLUMN + GAP) - GAP + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" font-family="ui-monospace, monospace" '
        'font-size="11">'
    )
    yield f"<title>{escape(picture.title)}</title>"
    yield (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="{colors["way"]}"/>'
        "</marker></defs>"
    )
    places: dict[str, tuple[int, int, int, Box]] = {}
    for number, column in enumerate(picture.columns):
        x = MARGIN + number * (COLUMN + GAP)
        y = (height - heights[number]) // 2
        for name, box in column.items():
            places[name] = (number, x, y, box)
            y += box.height + BETWEEN
    for source, target, label in picture.ways:
        yield from _way(places[source], places[target], label, colors)
    for _, x, y, box in places.values():
        yield from _box(x, y, box, colors)
    yield "</svg>"


def _box(x: int, y: int, box: Box, colors: Mapping[str, str]) -> Iterator[str]:
    line = {"who": "line", "rule": "line", "end": "way", "not": "not"}[box.kind]
    dashes = ' stroke-dasharray="4 3"' if box.kind == "who" else ""
    yield (
        f'<rect x="{x}" y="{y}" width="{COLUMN}" height="{box.height}" rx="6" fill="none" '
        f'stroke="{colors[line]}"{dashes}/>'
    )
    for number, text in enumerate(box.lines):
        assert len(text) * LETTER <= COLUMN - 2 * PAD, text
        where = f'x="{x + COLUMN // 2}" y="{y + PAD + LINE * number + 13}"'
        weight = ' font-weight="bold"' if number == 0 else ""
        yield (
            f'<text {where} fill="{colors["text"]}" text-anchor="middle"{weight}>{escape(text)}'
            "</text>"
        )


def _way(
    source: tuple[int, int, int, Box],
    target: tuple[int, int, int, Box],
    label: str,
    colors: Mapping[str, str],
) -> Iterator[str]:
    look = f'fill="none" stroke="{colors["way"]}" marker-end="url(#tip)"'
    column, x, y, box = source
    if column == target[0]:
        middle = x + COLUMN // 2
        yield f'<path d="M{middle} {y + box.height} V{target[2]}" {look}/>'
        return
    left, right = x + COLUMN, target[1]
    start, stop = y + box.height // 2, target[2] + target[3].height // 2
    bend = (left + right) // 2
    yield f'<path d="M{left} {start} C{bend} {start} {bend} {stop} {right} {stop}" {look}/>'
    if label:
        yield (
            f'<text x="{right - 10}" y="{stop - 6}" fill="{colors["text"]}" text-anchor="end">'
            f"{escape(label)}</text>"
        )


def files() -> dict[str, str]:
    """Return what each file of the folder holds."""
    return {
        f"{name}-{theme}.svg": draw(picture, theme)
        for name, picture in PICTURES.items()
        for theme in THEMES
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, "utf-8")
