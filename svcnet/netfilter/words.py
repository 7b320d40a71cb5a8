"""The words of a rule as iptables-save prints it, some of them quoted.

``xtables_save_string`` of ``libxtables/xtables.c`` puts a text into quotes, with a backslash
before ``"``, ``'`` and ``\\``, and everything else as it is: bytes of any kind, and newlines.
Names of interfaces, sets, lists and chains are printed without that, whatever is in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_QUOTED = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"', re.DOTALL)
_PLAIN = re.compile(r"[^ \n]*")
_SPECIAL = re.compile(r"[^A-Za-z0-9_-]")
_ESCAPED = re.compile(r"([\"'\\])")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

MOST_QUOTED = 1 << 14
"""More characters than any quoted text has: a path of a control group has 4,096 at most."""

NAMES = frozenset(
    (
        *(
            "-A",
            "-i",
            "-o",
            "-j",
            "-g",
            "--physdev-in",
            "--physdev-out",
            "--oif",
            "--name",
            "--label",
        ),
        *("--hashlimit-name", "--match-set", "--add-set", "--del-set", "--map-set"),
    )
)
"""Options whose name is printed as it is, so that a quote in it is only a quote."""


class OpenQuote(ValueError):  # noqa: N818  (said of a text)
    """A quoted text that has no end."""


def words(text: str, start: int = 0) -> Iterator[tuple[int, int]]:
    """Yield where each word of the line that begins at `start` begins and ends.

    The line goes on where quoted text has a newline. Raises :class:`OpenQuote`.
    """
    option = ""
    while True:
        end = _end(text, start, option)
        yield start, end
        if end >= len(text) or text[end] == "\n":
            return
        option, start = text[start:end], end + 1


def _end(text: str, start: int, option: str) -> int:
    if text.startswith('"', start) and option not in NAMES:
        quoted = _QUOTED.match(text, start, start + MOST_QUOTED)
        if quoted is None and start + MOST_QUOTED >= len(text):
            raise OpenQuote(option)
        # What goes on behind the next quote was not quoted.
        if quoted is not None and text[quoted.end() : quoted.end() + 1] in ("", " ", "\n"):
            return quoted.end()
    plain = _PLAIN.match(text, start)
    assert plain is not None
    return plain.end()


def is_simple(line: str) -> bool:
    """Return whether a line has no quote but those around one text without a backslash.

    A quick answer for nearly all lines. With False it takes :func:`words` to know where the
    line ends.
    """
    before, quote, after = line.partition(' "')
    return (
        '"' not in before
        and after.count('"') == len(quote) // 2
        and ' "' not in after
        and "\\" not in line
    )


def quote(text: str) -> str:
    """Return a text as it is printed: in quotes, unless it is of letters, digits, ``_`` and ``-``.

    It is read again as that text.
    """
    if '"' in text or "'" in text or "\\" in text:
        text = _ESCAPED.sub(r"\\\1", text)
    elif text and not _SPECIAL.search(text):
        return text
    return f'"{text}"'


def unquote(word: str) -> str:
    """Return the text that a word is, which may be in quotes."""
    if word[:1] != '"' or word[-1] != '"' or word == '"':
        return word
    text = word[1:-1]
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text
