"""Reprs that fit a screen, of values that may hold a whole cluster."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeGuard

from attrs import fields

WIDTH = 80
"""So many characters of a field are shown."""

FEW = 4
"""Of more things than that only their number is."""


class Brief:
    """What has a repr that shows so much of each field: ``@frozen(repr=False)`` leaves it that.

    A repr that attrs writes for each class would be a third of the time that the class takes to
    make, whenever svcnet starts.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        known: Any = type(self)
        shown = [each for each in fields(known) if each.repr]
        values = ", ".join(f"{each.name}={shorten(getattr(self, each.name))}" for each in shown)
        return f"{type(self).__qualname__}({values})"


def shorten(value: object) -> str:
    """Return the repr of a value, if it is short: else its beginning, or ``<1000>`` of things."""
    if _are_many(value):
        return f"<{len(value)}>"
    text = repr(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _are_many(value: object) -> TypeGuard[Collection[object]]:
    """Return whether a value is a collection of many things; one with names for them is none."""
    is_one = isinstance(value, str | bytes) or hasattr(value, "_fields")
    return isinstance(value, Collection) and not is_one and len(value) > FEW
