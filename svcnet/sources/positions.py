"""The lines of fields, found in a second pass over a file that has something to report."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

Wanted = tuple[int, tuple[str | int, ...]]

_SPACE = re.compile(r"[ \t\r\n]*")


def lines_of(data: bytes, wanted: Sequence[Wanted]) -> list[int]:
    """Return the line, from 1, of each (number of a document, path of keys).

    A field that is absent has the line of its nearest parent that is there. What cannot
    be found at all is on line 1.
    """
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    starts = _json_documents(text)
    if starts is not None:
        offsets = [_json_offset(text, starts, place) for place in wanted]
        return _line_numbers(text, offsets)
    return _yaml_lines(text, wanted)


def _line_numbers(text: str, offsets: Sequence[int]) -> list[int]:
    lines: dict[int, int] = {}
    line, done = 1, 0
    for offset in sorted(set(offsets)):
        line += text.count("\n", done, offset)
        done = offset
        lines[offset] = line
    return [lines[offset] for offset in offsets]


def _json_documents(text: str) -> list[int] | None:
    """Return where each JSON document of a stream starts, or None if it is no JSON."""
    decoder, starts = json.JSONDecoder(), []
    position = _after_space(text, 0)
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


def _json_offset(text: str, starts: Sequence[int], place: Wanted) -> int:
    """Walk down a path; values beside it are stepped over by the C decoder."""
    document, path = place
    offset = starts[document] if document < len(starts) else 0
    for key in path:
        found = _json_member(text, offset, key)
        if found is None:
            return offset
        offset = found
    return offset


def _json_member(text: str, offset: int, key: str | int) -> int | None:
    decoder = json.JSONDecoder()
    opening = text[offset]
    if opening != ("[" if isinstance(key, int) else "{"):
        return None
    position, number = _after_space(text, offset + 1), 0
    while text[position] not in "]}":
        at = position
        if opening == "{":
            name, position = decoder.raw_decode(text, position)
            position = _after_space(text, _after_space(text, position) + 1)
        else:
            name = number
        if name == key:
            return position if opening == "[" else (position if text[position] in "[{" else at)
        position = _after_space(text, decoder.raw_decode(text, position)[1])
        if text[position] == ",":
            position = _after_space(text, position + 1)
        number += 1
    return None


def _yaml_lines(text: str, wanted: Sequence[Wanted]) -> list[int]:
    import yaml

    try:
        roots: list[Any] = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError:
        return [1] * len(wanted)
    return [_yaml_line(roots[document], path) for document, path in wanted]


def _yaml_line(node: Any, path: tuple[str | int, ...]) -> int:
    line: int = node.start_mark.line
    for key in path:
        if isinstance(key, int):
            if not isinstance(node.value, list) or key >= len(node.value):
                break
            node = node.value[key]
            if isinstance(node, tuple):
                break
            line = node.start_mark.line
            continue
        # Of a key that is written twice the last one counts, as it does for the parser.
        pairs = [pair for pair in node.value if isinstance(pair, tuple) and pair[0].value == key]
        if not pairs:
            break
        line, node = pairs[-1][0].start_mark.line, pairs[-1][1]
    return line + 1
