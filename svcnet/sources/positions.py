"""The places of fields, found in a second pass over a file that has something to report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from attrs import define, field

from svcnet.sources.scalars import key_of, resolve
from svcnet.sources.stream import (
    Chunk,
    JSONStream,
    ParseError,
    after_space,
    begins_as_json,
    json_stream,
    text_of,
    yaml_chunks,
)

Path: TypeAlias = tuple[str | int, ...]
DocumentPath: TypeAlias = tuple[int, Path]
RepeatedKey: TypeAlias = tuple[int, Path, int]

_JSON_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"|[{}\[\],:]|[^\s{}\[\],:"]++')


class Position(NamedTuple):
    """A place in a text: line and column count from 1.

    ``depth`` is how many keys of a path lead there: all, unless the field is absent.
    """

    line: int
    column: int
    depth: int


_START = Position(1, 1, 0)


def lines_of(data: bytes, wanted: Sequence[DocumentPath]) -> list[int]:
    """Return the line, from 1, of each (number of a document, path of keys)."""
    return [position.line for position in positions_of(data, wanted)]


def positions_of(data: bytes, wanted: Sequence[DocumentPath]) -> list[Position]:
    """Return where each (number of a document, path of keys) is.

    A field that is absent is where its nearest parent is that is there. What cannot be found
    at all is at the start. The cost is that of one more reading of the file, however many places
    are wanted.
    """
    paths: dict[int, list[Path]] = {}
    for document, path in wanted:
        paths.setdefault(document, []).append(path)
    stream, chunks = _documents(data)
    places = _json_places(stream, [place for place in wanted if place[0] < len(stream.values)])
    for number, chunk in enumerate(chunks, len(stream.values)):
        if number in paths:
            found = _Visit(_tree(paths[number])).places(chunk)
            for path in paths[number]:
                places[number, path] = _nearest(found, path)
    return [places.get(place, _START) for place in wanted]


def duplicates(data: bytes) -> list[RepeatedKey]:
    """Return where keys are written again in one mapping: document, path and line of each.

    It is one more reading of the file, for which :attr:`svcnet.sources.parse.Parsed.may_repeat`
    says whether there is a reason.
    """
    stream, chunks = _documents(data)
    found = list(_json_duplicates(stream))
    for number, chunk in enumerate(chunks, len(stream.values)):
        visit = _Visit(None)
        visit.places(chunk)
        found += [(number, path, line) for path, line in visit.repeated]
    return found


def _documents(data: bytes) -> tuple[JSONStream, list[Chunk]]:
    """Return the JSON values and the YAML documents that a file consists of.

    They were read before, so nothing is wrong with them.
    """
    data, _ = text_of(data)
    none = JSONStream("", (), (), 0, None)
    if not begins_as_json(data):
        return none, yaml_chunks(data)
    stream = json_stream(data)
    return stream, [] if stream.rest is None else yaml_chunks(data, stream)


Tree: TypeAlias = dict[str | int, Any]


def _tree(paths: Sequence[Path]) -> Tree:
    """Return paths as nested mappings, so that one walk meets all of them."""
    root: Tree = {}
    for path in paths:
        node = root
        for key in path:
            node = node.setdefault(key, {})
    return root


def _nearest(found: dict[Path, Position], path: Path) -> Position:
    """Return the place of a path, or of the nearest above it that was found."""
    while path not in found and path:
        path = path[:-1]
    return found.get(path, _START)


def _json_places(
    stream: JSONStream, wanted: Sequence[DocumentPath]
) -> dict[DocumentPath, Position]:
    offsets: dict[DocumentPath, tuple[int, int]] = {}
    by_document: dict[int, list[Path]] = {}
    for document, path in wanted:
        by_document.setdefault(document, []).append(path)
    for document, paths in by_document.items():
        start = stream.starts[document]
        for path, offset, depth in _json_offsets(stream.text, start, _tree(paths), ()):
            offsets[document, path] = offset, depth
    lines: dict[int, int] = {}
    line, done = 1, 0
    for offset in sorted({offset for offset, _ in offsets.values()}):
        line += stream.text.count("\n", done, offset)
        done = offset
        lines[offset] = line
    places: dict[DocumentPath, Position] = {}
    for place in wanted:
        offset, depth = offsets[place]
        column = offset - stream.text.rfind("\n", 0, offset)
        places[place] = Position(lines[offset], column, depth)
    return places


def _json_offsets(
    text: str, offset: int, tree: Tree, path: Path
) -> Iterator[tuple[Path, int, int]]:
    """Yield path, offset and depth of every node of `tree`, which belongs to one value."""
    yield path, offset, len(path)
    # Of a key that is written twice the last counts.
    places: dict[str | int, int] = {}
    if tree and text[offset] in "[{":
        for key, at, value in _json_members(text, offset):
            if key in tree:
                places[key] = value if text[value] in "[{" else at
    for key, below in tree.items():
        if key in places:
            yield from _json_offsets(text, places[key], below, (*path, key))
        else:
            yield from _absent(below, (*path, key), offset, len(path))


def _absent(tree: Tree, path: Path, offset: int, depth: int) -> Iterator[tuple[Path, int, int]]:
    yield path, offset, depth
    for key, below in tree.items():
        yield from _absent(below, (*path, key), offset, depth)


def _json_members(text: str, offset: int) -> Iterator[tuple[str | int, int, int]]:
    """Yield key, offset and offset of the value of each member; the C decoder steps over it."""
    decoder = json.JSONDecoder()
    in_list = text[offset] == "["
    position, number = after_space(text, offset + 1), 0
    while text[position] not in "]}":
        at, key = position, number
        if not in_list:
            key, position = decoder.raw_decode(text, position)
            position = after_space(text, after_space(text, position) + 1)
        yield key, at, position
        position = after_space(text, decoder.raw_decode(text, position)[1])
        if text[position] == ",":
            position = after_space(text, position + 1)
        number += 1


def _json_duplicates(stream: JSONStream) -> Iterator[RepeatedKey]:
    """Yield keys that are there already in their mapping; the text is known to be JSON."""
    line, done = 1, 0
    for number, start in enumerate(stream.starts):
        end = stream.starts[number + 1] if number + 1 < len(stream.starts) else stream.rest
        for path, offset in _json_repeated(stream.text, start, end):
            line += stream.text.count("\n", done, offset)
            done = offset
            yield number, path, line


def _json_repeated(text: str, start: int, end: int | None) -> Iterator[tuple[Path, int]]:
    # Of each mapping and list around: its keys so far, None for a list, and where one is in it.
    around: list[set[str] | None] = []
    path: list[Any] = []
    follows_key = False
    for found in _JSON_TOKEN.finditer(text, start, len(text) if end is None else end):
        sign = found.group()
        if sign in "{[":
            around.append(set() if sign == "{" else None)
            path.append(0)
        elif sign in "}]":
            around.pop()
            path.pop()
        elif sign == ",":
            if around[-1] is None:
                path[-1] += 1
        elif around and (keys := around[-1]) is not None and sign[0] == '"' and not follows_key:
            path[-1] = json.loads(sign)
            if path[-1] in keys:
                yield tuple(path), found.start()
            keys.add(path[-1])
        follows_key = sign == ":"


@define
class _Visit:
    """A walk through a YAML document: to the places of a tree, or through all of it."""

    tree: Tree | None
    found: dict[Path, Position] = field(factory=dict)
    repeated: list[tuple[Path, int]] = field(factory=list)
    events: Any = field(init=False)
    get: Any = field(init=False)

    def places(self, chunk: Chunk) -> dict[Path, Position]:
        """Return where those paths are that there are."""
        import yaml

        from svcnet.sources.yaml_events import Amendment, Events

        self.events = Events(chunk)
        while True:
            self.found.clear()
            self.repeated.clear()
            try:
                self.get = self.events.begin()
                self.get()
                self.found[()] = Position(chunk.line + 1, 1, 0)
                if not isinstance(self.get(), yaml.StreamEndEvent):
                    event = self.get()
                    self._find((), event)
                    self._visit(event, self.tree, ())
            except Amendment:
                continue
            except yaml.YAMLError as error:
                try:
                    self.events.explain(error)
                except Amendment:
                    continue
                except ParseError:
                    pass
            return self.found

    def _find(self, path: Path, event: Any) -> None:
        mark = event.start_mark
        self.found[path] = Position(self.events.line(mark), self.events.column(mark), len(path))

    def _visit(self, event: Any, tree: Tree | None, path: Path) -> None:
        from yaml import events

        if tree == {}:
            self._pass(event)
        elif type(event) is events.MappingStartEvent:
            self._visit_mapping(tree, path)
        elif type(event) is events.SequenceStartEvent:
            index = 0
            while type(event := self.get()) is not events.SequenceEndEvent:
                self._visit_member(event, event, index, tree, path)
                index += 1

    def _visit_mapping(self, tree: Tree | None, path: Path) -> None:
        from yaml import events

        seen: set[str] = set()
        while type(key := self.get()) is not events.MappingEndEvent:
            name = _name(key)
            if name in seen and tree is None:
                self.repeated.append(((*path, name), self.events.line(key.start_mark)))
            seen.add(name)
            self._visit_member(key, self.get(), name, tree, path)

    def _visit_member(
        self, at: Any, event: Any, key: str | int, tree: Tree | None, path: Path
    ) -> None:
        """Go on with a member of a mapping or a list; of a key written twice the last counts."""
        if tree is None:
            self._visit(event, None, (*path, key))
        elif key in tree:
            self._find((*path, key), at)
            self._visit(event, tree[key], (*path, key))
        else:
            self._pass(event)

    def _pass(self, event: Any) -> None:
        """Pass over a value."""
        from yaml import events

        depth = 0
        while True:
            if isinstance(event, events.CollectionStartEvent):
                depth += 1
            elif isinstance(event, events.CollectionEndEvent):
                depth -= 1
            if depth == 0:
                return
            event = self.get()


def _name(key: Any) -> str:
    """Return a key as text; what an alias stands for is not looked up."""
    value = getattr(key, "value", None)
    if value is None or key.tag is not None or not key.implicit[0]:
        return str(value)
    name = key_of(resolve(value))
    return str(name)
