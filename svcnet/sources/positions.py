"""The lines of fields, found in a second pass over a file that has something to report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

Wanted = tuple[int, tuple[str | int, ...]]

_SPACE = re.compile(r"[ \t\r\n]*")
_DOCUMENT_START = re.compile(r"(?m)^---(?=\s|$)")
_DOCUMENT_END = re.compile(r"(?m)^\.\.\.(?=\s|$)")
_CONTENT = re.compile(r"(?m)^(?![ \t\r]*(?:#|$)|%)")


def lines_of(data: bytes, wanted: Sequence[Wanted]) -> list[int]:
    """Return the line, from 1, of each (number of a document, path of keys).

    A field that is absent has the line of its nearest parent that is there. What cannot
    be found at all is on line 1. The cost is that of one more reading of the file,
    however many places are wanted.
    """
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    starts = _json_documents(text)
    if starts is not None:
        return _json_lines(text, starts, wanted)
    return _yaml_lines(text, wanted)


Tree = dict[str | int, Any]


def _tree(paths: Sequence[tuple[str | int, ...]]) -> Tree:
    """Return paths as nested mappings, so that one walk meets all of them."""
    root: Tree = {}
    for path in paths:
        node = root
        for key in path:
            node = node.setdefault(key, {})
    return root


def _json_documents(text: str) -> list[int] | None:
    """Return where each JSON document of a stream starts, or None if it is no JSON."""
    decoder, starts = json.JSONDecoder(), []
    position = _after_space(text, 0)
    if text[position : position + 1] not in ("{", "["):
        return None
    try:
        while position < len(text):
            starts.append(position)
            position = _after_space(text, decoder.raw_decode(text, position)[1])
    except (ValueError, RecursionError):
        return None
    return starts


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _json_lines(text: str, starts: Sequence[int], wanted: Sequence[Wanted]) -> list[int]:
    offsets: dict[Wanted, int] = {}
    by_document: dict[int, list[tuple[str | int, ...]]] = {}
    for document, path in wanted:
        by_document.setdefault(document, []).append(path)
    for document, paths in by_document.items():
        for path, offset in _json_offsets(text, starts[document], _tree(paths), ()):
            offsets[document, path] = offset
    lines: dict[int, int] = {}
    line, done = 1, 0
    for offset in sorted(set(offsets.values())):
        line += text.count("\n", done, offset)
        done = offset
        lines[offset] = line
    return [lines[offsets[place]] for place in wanted]


def _json_offsets(
    text: str, offset: int, tree: Tree, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """Yield the path and the offset of every node of `tree`, which belongs to one value."""
    yield path, offset
    missing = dict(tree)
    if tree and text[offset] in "[{":
        for key, at, value in _json_members(text, offset):
            if key in missing:
                inside = value if text[value] in "[{" else at
                yield from _json_offsets(text, inside, missing.pop(key), (*path, key))
    for key, below in missing.items():
        yield from _absent(below, (*path, key), offset)


def _absent(
    tree: Tree, path: tuple[str | int, ...], offset: int
) -> Iterator[tuple[tuple[str | int, ...], int]]:
    yield path, offset
    for key, below in tree.items():
        yield from _absent(below, (*path, key), offset)


def _json_members(text: str, offset: int) -> Iterator[tuple[str | int, int, int]]:
    """Yield key, offset and offset of the value of each member; the C decoder steps over it."""
    decoder = json.JSONDecoder()
    in_list = text[offset] == "["
    position, number = _after_space(text, offset + 1), 0
    while text[position] not in "]}":
        at, key = position, number
        if not in_list:
            key, position = decoder.raw_decode(text, position)
            position = _after_space(text, _after_space(text, position) + 1)
        yield key, at, position
        position = _after_space(text, decoder.raw_decode(text, position)[1])
        if text[position] == ",":
            position = _after_space(text, position + 1)
        number += 1


def _yaml_lines(text: str, wanted: Sequence[Wanted]) -> list[int]:
    import yaml

    chunks = _yaml_documents(text)
    roots: dict[int, Any] = {}
    lines = []
    for document, path in wanted:
        try:
            if chunks is None:
                roots = roots or dict(enumerate(yaml.compose_all(text, Loader=yaml.CSafeLoader)))
            elif document not in roots:
                roots[document] = yaml.compose(chunks[document][1], Loader=yaml.CSafeLoader)
            first = chunks[document][0] if chunks else 0
            lines.append(first + _yaml_line(roots[document], path))
        except (yaml.YAMLError, LookupError):
            lines.append(1)
    return lines


def _yaml_documents(text: str) -> list[tuple[int, str]] | None:
    """Return the lines before, and the text of, each document; None where ``...`` ends one.

    A line that begins with ``---`` starts a document wherever it stands (YAML 1.1, 9.1.2).
    """
    if _DOCUMENT_END.search(text):
        return None
    chunks, line, position = [], 0, 0
    for match in [*_DOCUMENT_START.finditer(text), None]:
        end = match.start() if match else len(text)
        chunk = text[position:end]
        if position or _CONTENT.search(chunk):
            chunks.append((line, chunk))
        line += chunk.count("\n")
        position = end
    return chunks


def _yaml_line(node: Any, path: tuple[str | int, ...]) -> int:
    """Return the line, from 1, of a path below a composed node, which None stands for empty."""
    line: int = node.start_mark.line if node is not None else 0
    for key in path:
        members = getattr(node, "value", None)
        if not isinstance(members, list):
            break
        if isinstance(key, int):
            if key >= len(members) or isinstance(members[key], tuple):
                break
            node = members[key]
            line = node.start_mark.line
            continue
        # Of a key that is written twice the last one counts, as it does for the parser.
        pairs = [pair for pair in members if isinstance(pair, tuple) and pair[0].value == key]
        if not pairs:
            break
        line, node = pairs[-1][0].start_mark.line, pairs[-1][1]
    return line + 1
