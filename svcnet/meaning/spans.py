"""Ranges of addresses as numbers: from the first to the last, both included."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from svcnet.addresses import BITS, address_number, number_address
from svcnet.family import IPFamily

Span: TypeAlias = tuple[int, int]
"""The first and the last of some numbers that follow each other."""

LOOPBACK: Span = (0x7F000000, 0x7FFFFFFF)
"""127.0.0.0/8, all of which is the machine's own."""


def everything(family: IPFamily) -> Span:
    """Return all addresses of a family."""
    return 0, (1 << BITS[family]) - 1


@lru_cache(1 << 18)
def number(text: str) -> int:
    """Return an address as a number. Raises ValueError for what is none."""
    return address_number(text)


@lru_cache(1 << 16)
def text_of(address: int, family: IPFamily) -> str:
    """Return the canonical text of an address."""
    return number_address(address, family)


@lru_cache(1 << 16)
def network(text: str) -> Span:
    """Return the addresses of ``10.0.0.0/8``, ``10.0.0.0/255.0.0.0`` or one address.

    Raises ValueError for what is none, and for a mask with holes.
    """
    address, _, length = text.partition("/")
    first = number(address)
    bits = 128 if ":" in address else 32
    if not length:
        return first, first
    if length.isascii() and length.isdigit():
        prefix = int(length)
    else:
        mask = number(length)
        prefix = mask.bit_count()
        if mask != ((1 << prefix) - 1) << (bits - prefix):
            raise ValueError(text)
    if prefix > bits:
        raise ValueError(text)
    size = 1 << (bits - prefix)
    first &= ~(size - 1)
    return first, first + size - 1


def between(text: str) -> Span:
    """Return the addresses of ``10.0.0.1-10.0.0.9``, or of one. Raises ValueError."""
    first, _, last = text.partition("-")
    span = number(first), number(last or first)
    if span[0] > span[1]:
        raise ValueError(text)
    return span


def numbers(text: str) -> Span:
    """Return the numbers of ``80`` or ``80-90``, such as ports. Raises ValueError."""
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def ports(text: str) -> Span:
    """Return the ports of ``80``, ``80:90``, ``:90`` or ``80:``. Raises ValueError."""
    first, colon, last = text.partition(":")
    low = int(first) if first or not colon else 0
    high = (int(last) if last else 0xFFFF) if colon else low
    if not 0 <= low <= high <= 0xFFFF:
        raise ValueError(text)
    return low, high
