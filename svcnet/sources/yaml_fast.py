"""YAML through rapidyaml, several times as fast as event by event, where that is surely the same.

rapidyaml writes the documents as JSON and orjson reads that. It takes more for YAML than
Kubernetes does, reads plain scalars in another way, and writes its errors to the process's
standard error. So no text comes to it that libyaml has not read through, and none but of lines
in the few forms that tools write, with scalars that are the same to every reader.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from svcnet.sources.parse import Document, Skips, may_repeat
from svcnet.sources.stream import Chunk

# Groups are never possessive or atomic: Python before 3.11.5 matches these wrongly.
# Each level takes a column, and of more than 64 rapidyaml complains as it writes them.
_INDENT = rb" {0,58}+"
# Words that are no text, or not to every reader.
_WORD = rb"(?i:y|n|yes|no|on|off|true|false|null|nan|inf|infinity)"
# Letters that none of them begins with: most text is told by the first.
_OTHERS = rb"[A-EGHJ-MP-SU-XZa-eghj-mp-su-xz_]"
_END = rb"(?: ++#[^\x00-\x1f\x7f]*+)? *+\n"
_AT_END = rb"(?= *+[\n#])"
_ANY = rb"[^\x00-\x20\x7f:#]"
# Colons are followed by text, number signs do not occur.
_WORDS = rb"%b*+(?::++%b++)*(?: ++%b++(?::++%b++)*)*" % ((_ANY,) * 4)
_LINE_OF_TEXT = rb"[^\x00-\x1f\x7f]*+\n"
_QUOTED = rb"\"[^\x00-\x1f\x7f\"\\]*+(?:\\[\"\\nt][^\x00-\x1f\x7f\"\\]*+)*\"|'[^\x00-\x1f\x7f']*+'"
_VALUE = b"|".join(
    (
        rb"(?:%b|/|(?!%b%b)[A-Za-z])%b" % (_OTHERS, _WORD, _AT_END, _WORDS),
        _QUOTED,
        # Of 20 digits orjson makes 1e20, and go-yaml's JSON has 100000000000000000000.
        rb"(?:-?(?:0|[1-9][0-9]{0,17})|true|false|null|\{\}|\[\])%b" % _AT_END,
        # Two dots, letters that no number has, or a colon.
        rb"[0-9]++\.[0-9]++\.[0-9.]*+(?:/[0-9]++)?%b" % _AT_END,
        rb"[0-9][0-9A-Za-z.-]*?[g-nq-wyzG-NQ-WYZ]%b" % _WORDS,
        rb"[0-9a-f]++(?::++[0-9a-f]++)+(?:/[0-9]++)?%b" % _AT_END,
    )
)
_KEY = rb"(?:(?:%b|(?!%b:)[A-Za-z])[\w./-]*+|\"[^\x00-\x1f\x7f\"\\]*+\"|'[^\x00-\x1f\x7f']*+'):" % (
    _OTHERS,
    _WORD,
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


_LINE = b"|".join(
    (
        rb"%b(?:- )?(?:%b(?: ++(?:%b))?|(?<=- )(?:%b))%b" % (_INDENT, _KEY, _VALUE, _VALUE, _END),
        _literal(rb"(%b)" % _INDENT, rb"\1 "),
        _literal(rb"(%b)- " % _INDENT, rb"\2   "),
        rb" *+(?:#[^\x00-\x1f\x7f]*+)?\n",
        rb"---%b" % _END,
    )
)
# So many at a time, for each takes memory until all are read.
_SURE = re.compile(rb"(?:%b){1,1000}" % _LINE)
# Line breaks beyond ASCII: go-yaml ends a comment with one, and folds "a\x85 b" into "a b";
# rapidyaml takes them for text.
_OTHER_BREAK = re.compile(rb"\xc2\x85|\xe2\x80[\xa8\xa9]")
_BLANK = re.compile(rb"(?:---[^\n]*\n)?(?: *(?:#[^\n]*)?\n)*")
_KIND = re.compile(rb"(?m)^([\"']?)(kind|apiVersion)\1:(.*)$")


def fast_documents(
    chunks: Sequence[Chunk], skips: Skips | None, room: int
) -> list[Document | None]:
    """Return the documents of chunks of YAML, None for those that are to be read exactly.

    These are all if there might be more than `room` values.
    """
    found: list[Document | None] = [None] * len(chunks)
    sure = [number for number, chunk in enumerate(chunks) if is_sure(chunk.text)]
    if not 0 <= count(joined(chunks, sure)) <= room:
        return found
    wanted = []
    for number in sure:
        text = chunks[number].text
        if _BLANK.fullmatch(text):
            found[number] = Document(None)
        elif skips is None or (kind := _skipped(text, skips)) is None:
            wanted.append(number)
        else:
            found[number] = Document(kind)
    read = _read(joined(chunks, wanted), len(wanted))
    if read is not None:
        for number, document in zip(wanted, read, strict=True):
            found[number] = document
    return found


def is_sure(text: bytes) -> bool:
    """Return whether text is all of lines that mean the same to every reader."""
    position = 0
    while position < len(text):
        found = _SURE.match(text, position)
        if found is None:
            return False
        position = found.end()
    return text.isascii() or not _OTHER_BREAK.search(text)


def joined(chunks: Sequence[Chunk], numbers: Sequence[int]) -> bytes:
    """Return the text of some of the chunks as one stream."""
    texts = (chunks[number].text for number in numbers)
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


def _skipped(text: bytes, skips: Skips) -> dict[str, Any] | None:
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
        written = ryml.emit_json(tree).encode()
        value = orjson.loads(written)
    except Exception:  # Whatever it is, the exact way decides.
        return None
    values = value if is_stream else [value]
    if len(values) != expected:
        return None
    repeats = may_repeat(written, value)
    return [Document(value, repeats) for value in values]
