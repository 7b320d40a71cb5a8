"""From the bytes of a file to its documents, as plain dicts, lists and scalars.

They mean what they mean to kubectl, whatever their size and wherever they come from.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import field, frozen

from svcnet import checks
from svcnet.checks import Check
from svcnet.sources.document import MAX_VALUES, Document, Skips, may_repeat, too_many
from svcnet.sources.stream import (
    JSONStream,
    ParseError,
    begins_as_json,
    json_stream,
    json_value,
    text_of,
    yaml_chunks,
)

__all__ = ["MAX_BYTES", "ParseError", "ParseResult", "parse"]

MAX_BYTES = 256 * 1024 * 1024
"""The most that one file or standard input may hold: five dumps of 20,000 objects."""

FAST_BYTES = 32 * 1024
"""The least YAML that is worth a second parser; the exact one takes a few milliseconds for less."""


@frozen
class YAMLRemark:
    """What Kubernetes takes without a word, and nobody can have meant; with its line."""

    check: Check
    line: int
    message: str


NO_TEXT = "is not UTF-8: what is no text is read as U+FFFD"
IGNORED = "what follows the end of a document is not read, up to a line that begins with ---"


@frozen
class ParseResult:
    """The documents of a file, those without content as None.

    ``may_repeat`` says that a key may be written twice in one mapping, which
    :func:`svcnet.sources.positions.duplicates` finds.
    """

    documents: list[Any] = field(repr=False)
    may_repeat: bool
    remarks: tuple[YAMLRemark, ...]


def parse(data: bytes, skips: Skips | None = None) -> ParseResult:
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
    return ParseResult([document], may_repeat(data, document), remarks)


def _json_and_yaml(
    data: bytes, skips: Skips | None, remarks: tuple[YAMLRemark, ...]
) -> ParseResult:
    """Return JSON values that follow each other, and YAML that may follow the first."""
    stream = json_stream(data)
    if stream.error is None:
        return ParseResult([*stream.values], may_repeat(data, stream.values), remarks)
    try:
        parsed = _yaml(data, skips, remarks, stream)
    except ParseError as error:
        is_plain = stream.values or error.check is not checks.SYNTAX
        raise error if is_plain else stream.error from None
    return ParseResult([*stream.values, *parsed.documents], True, parsed.remarks)


def _bound_json(data: bytes) -> None:
    """Raise for JSON of more than :data:`MAX_VALUES` values.

    Each value but the first follows one of these; in text they count as well.
    """
    if len(data) < 2 * MAX_VALUES or sum(map(data.count, (b"{", b"[", b","))) < MAX_VALUES:
        return
    for count, found in enumerate(re.finditer(rb"[{[,]", data)):
        if count == MAX_VALUES:
            raise too_many(data.count(b"\n", 0, found.start()) + 1)


def _yaml(
    data: bytes,
    skips: Skips | None,
    remarks: tuple[YAMLRemark, ...],
    after: JSONStream | None = None,
) -> ParseResult:
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
    return ParseResult(documents, repeats, remarks)
