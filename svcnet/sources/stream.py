"""Which text of a file is a document, as kubectl takes a stream apart.

Source of the rules: k8s.io/apimachinery/pkg/util/yaml/decoder.go. Text that begins with ``{``
is JSON values that follow each other; where that fails after the first at the latest, the rest
is YAML. YAML is taken apart by lines that begin with ``---``, before anything is parsed.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from typing import Any

from attrs import field, frozen

from svcnet import checks
from svcnet.checks import Check

LOOK = 4096
"""How many bytes are looked at for the first character."""

SHORTEST_REST = 4
"""What follows a JSON value is tried as YAML if it has so many bytes."""

SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""White space as Go has it: taken off in front of text, and at both ends of a source range."""

_SPACE = re.compile(r"[ \t\r\n]*")
# A pair of surrogates, half a pair, and any other escape.
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)


class ParseError(Exception):
    """Bytes that are no YAML or JSON; ``line`` counts from 1, 0 for the whole file."""

    def __init__(self, line: int, message: str, check: Check = checks.SYNTAX) -> None:
        super().__init__(message)
        self.check = check
        self.line = line
        self.message = message


@frozen
class Chunk:
    """The text of one YAML document, which ends with a newline, and how many lines precede it."""

    line: int
    text: bytes = field(repr=False)


@frozen
class JSONStream:
    """JSON values that follow each other, with where each begins in the text.

    ``rest`` is where YAML follows, and None if nothing does. ``error`` is why that is no JSON.
    """

    text: str = field(repr=False)
    values: tuple[Any, ...] = field(repr=False)
    starts: tuple[int, ...]
    rest: int | None
    error: ParseError | None


def text_of(data: bytes) -> tuple[bytes, int]:
    """Return the content of a file in UTF-8, and the line of the first byte that was no text, or 0.

    Source of the rules: the decoder of k8s.io/cli-runtime/pkg/resource/visitor.go. A byte order
    mark is taken off, and decides; without one what is no text becomes U+FFFD. Behind the mark of
    UTF-8 it would not: raises :class:`ParseError`.
    """
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return data.decode("utf-16", "replace").encode(), 0
    marked, data = data, data.removeprefix(codecs.BOM_UTF8)
    if data.isascii():
        return data, 0
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if len(marked) > len(data):
            line = data.count(b"\n", 0, error.start) + 1
            raise ParseError(line, "is not UTF-8, though it begins with that mark") from None
        return data.decode("utf-8", "replace").encode(), data.count(b"\n", 0, error.start) + 1
    return data, 0


def begins_as_json(data: bytes) -> bool:
    """Return whether the first character is ``{``."""
    return data[:LOOK].decode("utf-8", "ignore").lstrip(SPACES)[:1] == "{"


def json_value(data: bytes) -> Any:
    """Return the one value that JSON text has. Raises ValueError for anything else.

    Half a pair of surrogates, and what is no UTF-8, is U+FFFD, as to Go's decoder.
    """
    import orjson

    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        mended = _without_halves(data.decode("utf-8", "replace")).encode()
        if mended == data:
            raise
    return orjson.loads(mended)


def json_stream(data: bytes) -> JSONStream:
    """Take JSON values apart. Raises :class:`ParseError` where neither JSON nor YAML can follow."""
    whole = data.decode()
    text = _without_halves(whole)
    huge: list[str] = []

    def real(number: str) -> float:
        value = float(number)
        if math.isinf(value):
            huge.append(number)
        return value

    def integer(number: str) -> int | float:
        return int(number) if len(number) < 20 else real(number)

    decoder = json.JSONDecoder(parse_constant=_no_constant, parse_float=real, parse_int=integer)
    values: list[Any] = []
    starts: list[int] = []
    end = 0
    while (start := after_space(text, end)) < len(text):
        try:
            value, after = decoder.raw_decode(text, start)
        except RecursionError:
            raise ParseError(line_of(text, start), "is nested too deeply", checks.DEPTH) from None
        except json.JSONDecodeError as error:
            found = ParseError(error.lineno, f"is no JSON: {error.msg}, column {error.colno}")
        except ValueError as error:
            found = ParseError(line_of(text, start), f"is no JSON: {error}")
        else:
            if huge:
                line = line_of(text, text.index(huge[0], start))
                raise ParseError(line, f"is no JSON: the number {huge[0][:20]} is too large")
            values.append(value)
            starts.append(start)
            end = after
            continue
        rest = _rest(text, end) if len(values) < 2 else None
        if rest is None:
            raise found
        return JSONStream(whole, tuple(values), tuple(starts), rest, found)
    return JSONStream(whole, tuple(values), tuple(starts), None, None)


def _without_halves(text: str) -> str:
    """Return JSON text with U+FFFD for half a pair of surrogates, as Go's decoder reads it."""
    if "\\u" not in text:
        return text
    return _ESCAPE.sub(lambda found: "\\ufffd" if found.group(1) else found.group(), text)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def after_space(text: str, position: int) -> int:
    """Return where the next character is that is no space of JSON."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def line_of(text: str, position: int) -> int:
    """Return the line, from 1, of a position."""
    return text.count("\n", 0, position) + 1


def _rest(text: str, position: int) -> int | None:
    """Return where YAML begins after JSON: at the next line, or the next character on this one."""
    while len(text[position : position + SHORTEST_REST].encode()) >= SHORTEST_REST:
        if text[position] == "\ufffd":
            return None
        if text[position] not in SPACES:
            return position
        position += 1
        if text[position - 1] == "\n":
            return position
    return None


def yaml_chunks(data: bytes, after: JSONStream | None = None) -> list[Chunk]:
    """Return the text of each document of YAML, which may come after JSON values.

    Raises :class:`ParseError` for a separator that has more than a comment behind it.
    """
    line = 0
    if after is not None:
        line = after.text.count("\n", 0, after.rest)
        data = after.text[after.rest :].encode()
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    first, *parts = (b"\n" + data).split(b"\n---")
    chunks = []
    begun, buffer = line, first[1:]
    has_lines = bool(first)
    line += first.count(b"\n")
    for part in parts:
        behind, has_lines_below, body = part.partition(b"\n")
        _check_separator(behind, line)
        if has_lines:
            chunks.append(Chunk(begun, buffer + b"\n"))
            begun, buffer, has_lines = line + 1, body, bool(has_lines_below)
        else:
            # A separator with nothing in front of it belongs to what follows.
            begun, buffer, has_lines = line, b"---" + part, True
        line += part.count(b"\n") + 1
    if buffer:
        chunks.append(Chunk(begun, buffer if buffer.endswith(b"\n") else buffer + b"\n"))
    return chunks


def _check_separator(behind: bytes, line: int) -> None:
    """Raise if there is more behind a separator than a comment."""
    text = behind.decode("utf-8", "replace").strip() if behind else ""
    if text and not text.startswith("#"):
        raise ParseError(line + 1, f"has {text[:40]!r} behind a separator of documents, '---'")
