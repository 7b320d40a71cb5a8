"""Marks as rules write them."""

from __future__ import annotations

WORD = 0xFFFFFFFF
"""All bits of a mark."""


def read_marks(text: str) -> tuple[int, int]:
    """Return a value and the bits that count of ``0x1/0x1``."""
    value, slash, bits = text.partition("/")
    return int(value, 0), int(bits, 0) if slash else WORD
