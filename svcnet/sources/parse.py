"""From the bytes of a file to its documents, as plain dicts, lists and scalars.

They mean what they mean to kubectl, whatever their size and wherever they come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from attrs import field, frozen

from svcnet import checks
from svcnet.checks import Check
from svcnet.sources.stream import (
    JSONStream,
    ParseError,
    begins_as_json,
    json_stream,
    json_value,
    text_of,
    yaml_chunks,
)

__all__ = ["MAX_BYTES", "MAX_VALUES", "Document", "ParseError", "Parsed", "Skips", "parse"]

MAX_BYTES = 256 * 1024 * 1024
"""The most that one file or standard input may hold: five dumps of 20,000 objects."""

MAX_VALUES = 8_000_000
"""The most values in it; a value takes from a few bytes to a few hundred."""

FAST_BYTES = 32 * 1024
"""The least YAML that is worth a second parser; the exact one takes a few milliseconds for less."""


Skips: TypeAlias = Callable[[str], bool]
"""Whether objects of a kind are passed over, so that their kind is all that is wanted of them."""


@frozen
class Document:
    """The value of a YAML document, and what of its text is not in there.

    ``may_repeat`` says that a key may be written twice in one mapping. ``ignored`` is the line
    of what follows the end of the document, 0 if nothing does. ``values`` is how many were made.
    """

    value: Any = field(repr=False)
    may_repeat: bool = False
    ignored: int = 0
    values: int = 0


@frozen
class YAMLRemark:
    """What Kubernetes takes without a word, and nobody can have meant; with its line."""

    check: Check
    line: int
    message: str


NO_TEXT = "is not UTF-8: what is no text is read as U+FFFD"
IGNORED = "what follows the end of a document is not read, up to a line that begins with ---"


@frozen
class Parsed:
    """The documents of a file, those without content as None.

    ``may_repeat`` says that a key may be written twice in one mapping, which
    :func:`svcnet.sources.positions.duplicates` finds.
    """

    documents: list[Any] = field(repr=False)
    may_repeat: bool
    remarks: tuple[YAMLRemark, ...]


def parse(data: bytes, skips: Skips | None = None) -> Parsed:
    """Return the documents of a file. Raises :class:`ParseError`.

    Of an object whose kind is one that `skips` says is passed over no more than the kind may be
    kept. JSON goes through orjson. YAML goes through rapidyaml where that is sure to give the
    same (see :mod:`svcnet.sources.yaml_fast`), else it is read exactly, event by event.
    """
    data, line = text_of(data)
    remarks = (YAMLRemark(checks.ENCODING, line, NO_TEXT),) if line else ()
    if not begins_as_json(data):
        return _yaml(data, skips, remarks)
    _bound_json(data)
    try:
        document = json_value(data)
    except ValueError:
        return _json_and_yaml(data, skips, remarks)
    return Parsed([document], may_repeat(data, document), remarks)


def may_repeat(text: bytes, value: Any) -> bool:
    """Return whether JSON text has quotes that its value has not, when that is written again."""
    import orjson

    try:
        written = orjson.dumps(value)
    except orjson.JSONEncodeError:  # It nests deeper than any object does.
        return True
    return text.count(b'"') != written.count(b'"')


def _json_and_yaml(data: bytes, skips: Skips | None, remarks: tuple[YAMLRemark, ...]) -> Parsed:
    """Return JSON values that follow each other, and YAML that may follow the first."""
    stream = json_stream(data)
    if stream.error is None:
        return Parsed([*stream.values], may_repeat(data, stream.values), remarks)
    try:
        parsed = _yaml(data, skips, remarks, stream)
    except ParseError as error:
        is_plain = stream.values or error.check is not checks.SYNTAX
        raise error if is_plain else stream.error from None
    return Parsed([*stream.values, *parsed.documents], True, parsed.remarks)


def _bound_json(data: bytes) -> None:
    """Raise for JSON of more than :data:`MAX_VALUES` values.

    Each value but the first follows one of these; in text they count as well.
    """
    if len(data) < 2 * MAX_VALUES or sum(map(data.count, (b"{", b"[", b","))) < MAX_VALUES:
        return
    for count, found in enumerate(re.finditer(rb"[{[,]", data)):
        if count == MAX_VALUES:
            raise too_many(data.count(b"\n", 0, found.start()) + 1)


def too_many(line: int) -> ParseError:
    """Return what is wrong with a file of too many values, on whose line the bound is passed."""
    message = f"holds more than {MAX_VALUES:,} values; split it"
    return ParseError(line, message, checks.LARGE_FILE)


def _yaml(
    data: bytes,
    skips: Skips | None,
    remarks: tuple[YAMLRemark, ...],
    after: JSONStream | None = None,
) -> Parsed:
    """Return the documents of YAML text, which may come after JSON values."""
    from svcnet.sources.yaml_exact import exact_document

    documents = []
    repeats, room = False, MAX_VALUES
    chunks = yaml_chunks(data, after)
    found: list[Document | None] = [None] * len(chunks)
    if len(data) >= FAST_BYTES:
        from svcnet.sources.yaml_fast import fast_documents

        found = fast_documents(chunks, skips, room)
    for chunk, fast in zip(chunks, found, strict=True):
        document = fast or exact_document(chunk, skips, room)
        documents.append(document.value)
        repeats = repeats or document.may_repeat
        room -= document.values
        if document.ignored:
            remarks = (*remarks, YAMLRemark(checks.UNREAD_TEXT, document.ignored, IGNORED))
    return Parsed(documents, repeats, remarks)
