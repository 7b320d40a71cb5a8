"""From the bytes of a file to its documents, as plain dicts, lists and scalars."""

from __future__ import annotations

import json
import re
from typing import Any

from svcnet import checks
from svcnet.checks import Check

MAX_BYTES = 256 * 1024 * 1024
"""The most that one file or standard input may hold: five dumps of 20,000 objects."""

FAST_BYTES = 32 * 1024
"""The least YAML that is worth a second parser; PyYAML takes a few milliseconds for less."""

MAX_DEPTH = 200
"""How deep flow collections or ``- - -`` may nest; libyaml's C code recurses without a bound."""

MAX_INDENT = 1000
"""The widest indentation, for the same reason."""

MAX_ALIASED = 100_000
"""How many nodes following its aliases may add to a document."""


class ParseError(Exception):
    """Bytes that are no YAML or JSON; ``line`` counts from 1, 0 for the whole file."""

    def __init__(self, line: int, message: str, check: Check = checks.SYNTAX) -> None:
        super().__init__(message)
        self.check = check
        self.line = line
        self.message = message


def parse(data: bytes, file: str) -> list[Any]:
    """Return the documents of a file; empty ones are None.

    JSON goes through orjson, YAML through rapidyaml where that is sure to give what
    PyYAML's safe loader gives (see :mod:`svcnet.sources.yaml_fast`), else through PyYAML.
    Raises :class:`ParseError`.
    """
    data = _utf8(data)
    stripped = data.lstrip()
    if file.endswith(".json") or stripped[:1] in (b"{", b"["):
        documents = _json(data, required=file.endswith(".json"))
        if documents is not None:
            return documents
    _refuse_depth(data)
    documents = None
    if len(data) >= FAST_BYTES:
        from svcnet.sources.yaml_fast import fast_documents

        documents = fast_documents(data)
    if documents is None:
        from svcnet.sources.yaml_safe import safe_documents

        documents = safe_documents(data)
    return documents


def _utf8(data: bytes) -> bytes:
    """Return the bytes without a byte order mark, once it is sure that they are UTF-8."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ParseError(1, "is UTF-16; svcnet reads UTF-8", checks.ENCODING)
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ParseError(
            line, f"is not UTF-8: byte {data[error.start]:#04x}", checks.ENCODING
        ) from None
    return data


def _json(data: bytes, *, required: bool) -> list[Any] | None:
    """Return the documents of JSON text, several if they follow each other; None if it is YAML."""
    import orjson

    try:
        return [orjson.loads(data)]
    except orjson.JSONDecodeError:
        pass
    text, position, documents = data.decode(), 0, []
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    try:
        while position < len(text):
            position = _skip_space(text, position)
            if position < len(text):
                document, position = decoder.raw_decode(text, position)
                documents.append(document)
    except RecursionError:
        raise ParseError(0, "is nested too deeply", checks.DEPTH) from None
    except json.JSONDecodeError as error:
        if not required:
            return None
        message = f"is no JSON: {error.msg}, column {error.colno}"
        raise ParseError(error.lineno, message) from None
    except ValueError as error:
        if not required:
            return None
        raise ParseError(0, f"is no JSON: {error}") from None
    return documents


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _refuse_depth(data: bytes) -> None:
    """Raise before a parser that recurses in C meets something very deep."""
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        depth, position = 0, 0
        for match in re.finditer(rb"[\[\]{}]", data):
            depth += 1 if match.group() in b"[{" else -1
            # Brackets in text may make this wander below zero; it is a bound, not a parse.
            depth = max(depth, 0)
            position = match.start()
            if depth > MAX_DEPTH:
                raise ParseError(
                    data.count(b"\n", 0, position) + 1, "is nested too deeply", checks.DEPTH
                )
    if max(map(len, data.split(b"\n"))) < 2 * MAX_DEPTH:
        return
    for pattern in (rb"(?:[-?:]\s{1,9}){%d}" % MAX_DEPTH, rb"(?m)^ {%d}" % MAX_INDENT):
        found = re.search(pattern, data)
        if found:
            line = data.count(b"\n", 0, found.start()) + 1
            raise ParseError(line, "is nested too deeply", checks.DEPTH)
