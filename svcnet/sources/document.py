"""What a document of a file is, and what it may hold, however it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from attrs import field, frozen

from svcnet import checks
from svcnet.sources.stream import ParseError

MAX_VALUES = 8_000_000
"""The most values that a file may hold; a value takes from a few bytes to a few hundred."""

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


def may_repeat(text: bytes, value: Any) -> bool:
    """Return whether JSON text has quotes that its value has not, when that is written again."""
    import orjson

    try:
        return text.count(b'"') != sum(orjson.dumps(part).count(b'"') for part in _parts_of(value))
    except orjson.JSONEncodeError:  # It nests deeper than any object does.
        return True


def _parts_of(value: Any) -> Iterator[Any]:
    """Yield what a value is made of: the items of a list of objects one by one, as it may be long.

    To write a whole dump again at once would take as much memory as the dump.
    """
    if isinstance(value, dict) and isinstance(items := value.get("items"), list):
        yield {**value, "items": None}
        yield from items
    else:
        yield value


def too_many(line: int) -> ParseError:
    """Return what is wrong with a file of too many values, on whose line the bound is passed."""
    message = f"holds more than {MAX_VALUES:,} values; split it"
    return ParseError(line, message, checks.LARGE_FILE)
