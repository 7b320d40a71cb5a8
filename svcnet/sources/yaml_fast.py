"""YAML through rapidyaml, several times as fast as event by event, where that is surely the same.

rapidyaml writes the documents as JSON and orjson reads that. It takes more for YAML than
Kubernetes does, reads plain scalars in another way, and writes its errors to the process's
standard error. So no text comes to it that libyaml has not read through, and none but of lines
in the few forms that tools write, with scalars that are the same to every reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from svcnet.sources.document import Document, Skips, may_repeat
from svcnet.sources.stream import Chunk

BATCH_BYTES = 64 * 1024
"""So much text at a time: what is made of more does not stay in the processor's cache."""

WRITTEN = 4
"""JSON is nearly always less than so many times as long as the YAML that it is written from."""

# Groups are never possessive or atomic: Python before 3.11.5 matches these wrongly.
# Each level takes a column, and of more than 64 rapidyaml complains as it writes them.
_INDENT = rb" {0,58}+"
# Words that are no text, or not to every reader.
_WORD = rb"(?i:y|n|yes|no|on|off|true|false|null|nan|inf|infinity)"
# Letters that none of them begins with: most text is told by the first.
_OTHERS = rb"[A-EGHJ-MP-SU-XZa-eghj-mp-su-xz_]"
_END = rb"(?:\n| *+\n| ++#[^\x00-\x1f\x7f]*+\n)"
_AT_END = rb"(?= *+[\n#])"
_ANY = rb"[^\x00-\x20\x7f:#]"
# Colons are followed by text, number signs do not occur. Most text is one word.
_WORDS = rb"%b*+(?:(?=\n)|(?::++%b++)*(?: ++%b++(?::++%b++)*)*)" % ((_ANY,) * 4)
_LINE_OF_TEXT = rb"[^\x00-\x1f\x7f]*+\n"
_QUOTED = rb"\"[^\x00-\x1f\x7f\"\\]*+(?:\\[\"\\nt][^\x00-\x1f\x7f\"\\]*+)*\"|'[^\x00-\x1f\x7f']*+'"
_VALUE = b"|".join(
    (
        rb"(?:%b|/|(?!%b%b)[A-Za-z])%b" % (_OTHERS, _WORD, _AT_END, _WORDS),
        _QUOTED,
        # Of 20 digits orjson makes 1e20, and go-yaml's JSON has 100000000000000000000.
        rb"(?:-?(?:0|[1-9][0-9]{0,17})|true|false|null|\{\}|\[\])%b" % _AT_END,
        # Two dots, letters that no number has, the form of a uid, or a colon.
        rb"[0-9]++\.[0-9]++\.[0-9.]*+(?:/[0-9]++)?%b" % _AT_END,
        rb"[0-9][0-9A-Za-z.-]*?[g-nq-wyzG-NQ-WYZ]%b" % _WORDS,
        rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}%b" % _AT_END,
        rb"[0-9a-f]++(?::++[0-9a-f]++)+(?:/[0-9]++)?%b" % _AT_END,
    )
)
_KEY = b"(?:%b):" % b"|".join(
    (
        rb"(?:%b|(?!%b:)[A-Za-z])[0-9A-Za-z_./-]*+" % (_OTHERS, _WORD),
        rb"\"[^\x00-\x1f\x7f\"\\]*+\"",
        rb"'[^\x00-\x1f\x7f']*+'",
        # Those of managedFields.
        rb"[fkv](?::++%b++)+" % _ANY,
        rb"\.",
    )
)


def _literal(before: bytes, indent: bytes) -> bytes:
    """Return the form of a key with literal text, whose lines begin with `indent`."""
    return rb"%b%b \|-?+\n%b *+[^\x00-\x20\x7f]%b(?:%b%b|\n)*" % (
        before,
        _KEY,
        indent,
        _LINE_OF_TEXT,
        indent,
        _LINE_OF_TEXT,
    )


# No more than a line each, so that they are told whatever lines are around them.
_LINE = b"|".join(
    (
        rb"%b(?:- )?(?:%b(?: ++(?:%b))?|(?<=- )(?:%b))%b" % (_INDENT, _KEY, _VALUE, _VALUE, _END),
        rb" *+(?:#[^\x00-\x1f\x7f]*+)?\n",
        rb"---%b" % _END,
    )
)
# So many at a time, for each takes memory until all are read.
_LINES = re.compile(rb"(?:%b){1,1000}" % _LINE)
_LITERAL = re.compile(
    b"|".join((_literal(rb"(%b)" % _INDENT, rb"\1 "), _literal(rb"(%b)- " % _INDENT, rb"\2   ")))
)
_HEADER_END = re.compile(rb"\|-?\n")
_DOT = re.compile(rb"\n *+(?:- )?\.:")
_FIRST_DOT = re.compile(rb":\n +\.:")
# Line breaks beyond ASCII: go-yaml ends a comment with one, and folds "a\x85 b" into "a b";
# rapidyaml takes them for text.
_OTHER_BREAK = re.compile(rb"\xc2\x85|\xe2\x80[\xa8\xa9]")
_ITEMS = b"\nitems:\n"
# A line of the frame, which no item has.
_AFTER_ITEMS = re.compile(rb"\n(?=[^\n #-])")
_BLANK = re.compile(rb"(?:---[^\n]*\n)?(?: *(?:#[^\n]*)?\n)*")
_KIND = re.compile(rb"(?m)^([\"']?)(kind|apiVersion)\1:(.*)$")


def fast_documents(
    chunks: Sequence[Chunk], skips: Skips | None, room: int
) -> list[Document | None]:
    """Return the documents of chunks of YAML, None for those that are to be read exactly.

    These are all if there might be more than `room` values.
    """
    found: list[Document | None] = []
    for texts in _batches(chunks):
        read, events = _large(texts[0], skips) if len(texts) == 1 else _batch(texts, skips)
        found += read
        room -= events
        if room < 0:
            return [None] * len(chunks)
    return found


def _batches(chunks: Sequence[Chunk]) -> Iterator[list[bytes]]:
    """Yield the texts of chunks, as many at a time as are read at once."""
    batch: list[bytes] = []
    size = 0
    for chunk in chunks:
        if batch and size + len(chunk.text) > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(chunk.text)
        size += len(chunk.text)
    yield batch


def _batch(texts: Sequence[bytes], skips: Skips | None) -> tuple[list[Document | None], int]:
    """Return the documents of some texts, and of how many events they are."""
    found: list[Document | None] = [None] * len(texts)
    sure = [*range(len(texts))]
    if not is_sure(b"".join(texts)):
        sure = [number for number, text in enumerate(texts) if is_sure(text)]
    events = count(join_chunks([texts[number] for number in sure]))
    if events < 0:
        return found, 0
    wanted = []
    for number in sure:
        text = texts[number]
        if _BLANK.fullmatch(text):
            found[number] = Document(None)
        elif skips is None or (kind := _kind_of_skip(text, skips)) is None:
            wanted.append(number)
        else:
            found[number] = Document(kind)
    read = _read(join_chunks([texts[number] for number in wanted]), len(wanted))
    if read is not None:
        for number, document in zip(wanted, read, strict=True):
            found[number] = document
    return found, events


def _large(text: bytes, skips: Skips | None) -> tuple[list[Document | None], int]:
    """Return the document of one text as :func:`_batch` does; the items of a list in parts.

    Each part is a list of its own. As each is sure, no line has to do with what is in another.
    """
    frame, parts = _apart(text)
    if not parts:
        return _batch([text], skips)
    (outer,), total = _batch([frame], None)
    if outer is None or outer.may_repeat or not _lacks_items(outer.value):
        return [None], total
    items: list[Any] = []
    repeats = False
    for part in parts:
        (inner,), events = _batch([part], None)
        total += events
        if inner is None or type(inner.value) is not list:
            return [None], total
        items += inner.value
        repeats = repeats or inner.may_repeat
    kind = None if skips is None else _kind_of_skip(frame, skips)
    outer.value["items"] = items
    return [Document(kind or outer.value, repeats)], total


def _apart(text: bytes) -> tuple[bytes, list[bytes]]:
    """Return a document without the items of its list, and these as lists; none if it is small."""
    begin = text.find(_ITEMS) + len(_ITEMS)
    if len(text) <= BATCH_BYTES or begin < len(_ITEMS):
        return text, []
    after = _AFTER_ITEMS.search(text, begin)
    end = after.start() + 1 if after else len(text)
    parts = []
    position = begin
    while position < end:
        following = text.find(b"\n- ", position + BATCH_BYTES, end) + 1 or end
        parts.append(text[position:following])
        position = following
    return text[:begin] + text[end:], parts


def _lacks_items(value: Any) -> bool:
    return type(value) is dict and value.get("items", "") is None


def is_sure(text: bytes) -> bool:
    """Return whether text is all of lines that mean the same to every reader.

    Most lines of manifests are there many times: each is looked at once.
    """
    plain = _without_literals(text)
    lines = b"\n".join({*plain.split(b"\n")}) + b"\n"
    position = 0
    while position < len(lines):
        found = _LINES.match(lines, position)
        if found is None:
            return False
        position = found.end()
    if b".:" in text and not _has_dots_first(plain):
        return False
    return text.isascii() or not _OTHER_BREAK.search(text)


def _without_literals(text: bytes) -> bytes:
    """Return text with empty lines for literal text and its key, where both are in sure forms."""
    kept, position = [], 0
    for header in _HEADER_END.finditer(text):
        begin = text.rfind(b"\n", 0, header.start()) + 1
        if begin >= position and (found := _LITERAL.match(text, begin)):
            kept.append(text[position:begin])
            position = found.end()
    return b"\n".join((*kept, text[position:])) if kept else text


def _has_dots_first(text: bytes) -> bool:
    """Return whether the keys "." follow what they are in: rapidyaml takes none behind a list."""
    lines = b"\n" + text
    return b"#" not in text and len(_DOT.findall(lines)) == len(_FIRST_DOT.findall(lines))


def join_chunks(texts: Sequence[bytes]) -> bytes:
    """Return the texts of some chunks as one stream."""
    return b"---\n".join(
        text.partition(b"\n")[2] if text.startswith(b"---") else text for text in texts
    )


def count(text: bytes) -> int:
    """Return how many events there are in text, and -1 if it is no YAML."""
    import yaml
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    try:
        events: int = CParser(text).raw_parse()
    except yaml.YAMLError:
        return -1
    return events


def _kind_of_skip(text: bytes, skips: Skips) -> dict[str, Any] | None:
    """Return the kind of an object that is passed over."""
    _, found, rest = (b"\n" + text).partition(b"\nkind: ")
    if not found or not skips(rest[: rest.index(b"\n")].decode()):
        return None
    kind = {}
    for quote, key, value in _KIND.findall(text):
        if quote or key in kind or not re.fullmatch(rb" [A-Za-z][\w./-]*", value):
            return None
        kind[key.decode()] = value[1:].decode()
    return kind if "kind" in kind and skips(kind["kind"]) else None


def _read(text: bytes, expected: int) -> list[Document] | None:
    """Return the documents of a stream, as many as expected, None if it must be read otherwise."""
    import orjson
    import ryml

    if not expected:
        return []
    try:
        tree = ryml.parse_in_arena(text)
        is_stream = tree.is_stream(tree.root_id())
        written = _write(tree, WRITTEN * len(text))
        value = orjson.loads(written)
    except Exception:  # Whatever it is, the exact way decides.
        return None
    values = value if is_stream else [value]
    if len(values) != expected:
        return None
    repeats = may_repeat(written, value)
    return [Document(value, repeats) for value in values]


def _write(tree: Any, size: int) -> bytes:
    """Return a tree of rapidyaml as JSON, which may have any size, but seldom more than `size`."""
    import ryml

    try:
        return bytes(ryml.emit_json_in_place(tree, bytearray(size)))
    except IndexError:
        written: str = ryml.emit_json(tree)
        return written.encode()
