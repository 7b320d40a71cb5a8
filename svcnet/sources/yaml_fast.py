"""YAML through rapidyaml, ten times as fast as PyYAML, where both surely agree.

rapidyaml writes the document as JSON and orjson reads that. The two parsers differ in
what plain scalars mean (YAML 1.1 has ``yes``, ``0x1f`` and ``1_000``), in tags, anchors
and merge keys, so text with anything of that kind is left to PyYAML. What is sure is
decided from the text, on the safe side.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# What begins a plain scalar and might make it something else than text. The look behind
# stands second so that the search can skip to the set in front of it.
_TOKEN = re.compile(
    rb"(?m)([-+.~=0-9YyNnOoTtFf](?<=[\s\[{,:].)[\w.:+~=-]*)(?=[ \t\r]*($|[,\]}#:]))"
)
_SURE_TOKENS = frozenset((b"-", b"---", b"true", b"false", b"null"))
_UNSURE_WORDS = frozenset(b"yes no on off y n t f true false null".split())
_SIMPLE = re.compile(rb"-?(?:0|[1-9][0-9]{0,17})")
# Two dots, a letter that no number of either version has, or two colons: text for both.
_SURE_TEXT = re.compile(
    rb"[0-9]+\.[0-9]+\.[0-9.]+|[0-9][0-9a-z-]*[g-wyz][0-9a-z-]*|[0-9a-f:.]*::[0-9a-f:.]*"
)
_CONTROLS = bytes({*range(32)} - {9, 10, 13})
# Each pair is bytes that must be there for the costlier search to find anything.
_SPECIAL = (
    (b">", re.compile(rb"[\s\[{,:]>")),
    (b"|", re.compile(rb"(?m)[\s\[{,:]\|(?![-+]?[ \t]*$)")),
    (b"&", re.compile(rb"(?m)(?:^|[\s\[{,])&\S")),
    (b"*", re.compile(rb"(?m)(?:^|[\s\[{,])\*\S")),
    (b"!", re.compile(rb"(?m)(?:^|[\s\[{,])!")),
    (b"<<", re.compile(rb"<<")),
    (b"%", re.compile(rb"(?m)^%")),
    (b"?", re.compile(rb"(?m)(?:^|[\s\[{,])\?(?:\s|$)")),
    (b"\t", re.compile(rb"\t")),
    (b"\r", re.compile(rb"\r(?!\n)")),
    (b"\xef\xbb\xbf", re.compile(rb"\xef\xbb\xbf")),
    (b"\xef\xbf", re.compile(rb"\xef\xbf[\xbe\xbf]")),
    (b"...", re.compile(rb"(?m)^\.\.\.")),
    (b"\n:", re.compile(rb"\n:")),
    (b" :", re.compile(rb" :\s")),
    # Flow collections, but for empty ones: what ends a scalar there differs.
    (b"{", re.compile(rb"[\s\[{,:]\{(?!\})")),
    (b"[", re.compile(rb"[\s\[{,:]\[(?!\])")),
    (b"\\", re.compile(rb"\\[^nt\"\\/]")),
    (b"\x7f", re.compile(rb"\x7f")),
    (b"\xc2", re.compile(rb"\xc2[\x80-\xa0]")),
    (b"\xe2", re.compile(rb"\xe2\x80[\xa8\xa9]")),
)


def fast_documents(data: bytes) -> list[Any] | None:
    """Return the documents of a YAML stream, or None where PyYAML has to decide."""
    if not data.strip() or not _is_sure(data):
        return None
    import orjson
    import ryml

    try:
        with _quiet():
            tree = ryml.parse_in_arena(data)
            text = ryml.emit_json(tree)
        documents = orjson.loads(text)
        is_stream = tree.is_stream(tree.root_id())
    except Exception:  # Whatever it is, PyYAML names it with its line.
        return None
    return documents if is_stream else [documents]


@contextmanager
def _quiet() -> Iterator[None]:
    """Send the process's standard error to nowhere: rapidyaml writes its own errors there.

    This is the whole process's, so what another thread writes meanwhile is lost too.
    """
    try:
        kept = os.dup(2)
    except OSError:
        # There is no standard error to keep clean.
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _is_sure(data: bytes) -> bool:
    """Return whether nothing in the text means different things to the two parsers."""
    # What begins the text has nothing in front of it, which the patterns look for.
    data = b"\n" + data
    if data.translate(None, _CONTROLS) != data:
        return False
    if any(sign in data and pattern.search(data) for sign, pattern in _SPECIAL):
        return False
    return all(map(_is_sure_token, set(_TOKEN.findall(data))))


def _is_sure_token(found: tuple[bytes, bytes]) -> bool:
    """Return whether a scalar, and what follows it, is the same to both parsers."""
    token, follows = found
    if token[:1].isalpha() and token.lower() not in _UNSURE_WORDS:
        return True
    if follows == b":":
        return False
    return token in _SURE_TOKENS or bool(_SIMPLE.fullmatch(token) or _SURE_TEXT.fullmatch(token))
