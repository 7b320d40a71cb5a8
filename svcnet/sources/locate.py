"""From the origin of a rule to its place in a file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from attrs import frozen

from svcnet.sources.findings import Key, ObjectPlace, Path
from svcnet.sources.positions import positions_of

_STEP = re.compile(r"(\w+)|\[(\d+)\]|\[('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\]")

# What the API server would make of the second is what objects are read as: the first.
_SHORT: dict[Path, Path] = {
    ("spec", "clusterIPs", 0): ("spec", "clusterIP"),
    ("status", "podIPs"): ("status", "podIP"),
}


@frozen
class Place:
    """A place in the input: ``line`` and ``column`` count from 1.

    Both are 0 where there is no text: of an object of an API server ``file`` is then such as
    ``Service default/web (server object)``.
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def to_dict(self) -> dict[str, str | int]:
        """Return the place for JSON: ``file``, ``line`` and ``column``."""
        return {"file": self.file, "line": self.line, "column": self.column}


def place_of(at: ObjectPlace, field: str) -> Place:
    """Return the place of a field of an object, such as ``spec.ports[0].nodePort``.

    One that is not written there is where the nearest is that holds it.
    """
    return places_of([(at, field)])[0]


def places_of(wanted: Sequence[tuple[ObjectPlace, str]]) -> list[Place]:
    """Return the places of fields, as :func:`place_of` does; each file is read once more."""
    found: list[Place] = [Place("")] * len(wanted)
    numbers: dict[int, list[int]] = {}
    for number, (at, _) in enumerate(wanted):
        if at.source.data:
            numbers.setdefault(id(at.source), []).append(number)
        else:
            found[number] = _without_text(at)
    for own in numbers.values():
        places = _in_text([wanted[number] for number in own])
        for number, place in zip(own, places, strict=True):
            found[number] = place
    return found


def _without_text(at: ObjectPlace) -> Place:
    source = at.source
    where = source.file if source.file.startswith("<argument>") else "server object"
    return Place(f"{at.label} ({where})")


def _in_text(wanted: Sequence[tuple[ObjectPlace, str]]) -> Iterator[Place]:
    """Yield the places of fields of objects of one file."""
    source = wanted[0][0].source
    spelled = [
        [(at.document, (*at.path, *each)) for each in _spellings(path_of(field))]
        for at, field in wanted
    ]
    positions = iter(positions_of(source.data, [one for several in spelled for one in several]))
    for several in spelled:
        # Where nothing is written out, the whole spelling is as near as the short one.
        found = max(islice(positions, len(several)), key=lambda position: position.depth)
        yield Place(source.file, found.line, found.column)


def path_of(field: str) -> Path:
    """Return the keys of a field that is written with dots, brackets and quotes in these."""
    return tuple(_key(*found) for found in _STEP.findall(field))


def _key(name: str, index: str, quoted: str) -> Key:
    if quoted:
        return str(ast.literal_eval(quoted))
    return name or int(index)


def _spellings(path: Path) -> Sequence[Path]:
    return (path, _SHORT[path]) if path in _SHORT else (path,)
