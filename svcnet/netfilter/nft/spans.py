"""Addresses, networks, ranges and numbers as nft writes them, in their shortest form."""

from __future__ import annotations

import re
from collections.abc import Iterable
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_IPV6 = re.compile(r"[0-9A-Fa-f:]*:[0-9A-Fa-f:]*(?:\d+(?:\.\d+){3})?")
_LENGTH = re.compile(r"[0-9]{1,3}")


class Span(NamedTuple):
    """From a first address to a last, each a number of so many ``bits``; 0 bits for plain numbers.

    As text it is in the shortest form.
    """

    bits: int
    first: int
    last: int

    def __str__(self) -> str:
        bits, first, last = self
        if first == last:
            return _text(bits, first)
        size = last - first + 1
        if bits and not size & size - 1 and not first & size - 1:
            return f"{_text(bits, first)}/{bits - size.bit_length() + 1}"
        return f"{_text(bits, first)}-{_text(bits, last)}"


def shortest(word: str) -> str:
    """Return an address, a network or a range in its shortest form; other words as they are."""
    if word[0] == "[":
        inside, bracket, rest = word[1:].partition("]")
        return f"[{shortest(inside)}]{rest}" if inside and bracket else word
    span = span_of(word)
    return word if span is None else str(span)


def span_of(word: str) -> Span | None:
    """Return what addresses or numbers a word is; None if it is none."""
    base, slash, length = word.partition("/")
    if slash:
        found = _number(base)
        if found is None or not found[0] or not _LENGTH.fullmatch(length):
            return None
        bits, value = found
        free = bits - int(length)
        return None if free < 0 else Span(bits, value >> free << free, value | (1 << free) - 1)
    first, dash, last = word.partition("-")
    begin, end = _number(first), _number(last if dash else first)
    if begin is None or end is None or begin[0] != end[0] or end[1] < begin[1]:
        return None
    return Span(begin[0], begin[1], end[1])


def join_spans(words: Iterable[str]) -> list[str]:
    """Return the fewest networks and ranges that have the same addresses or numbers.

    If anything else is among them they are only told once each.
    """
    words = list(dict.fromkeys(words))
    spans = []
    for each in words:
        span = span_of(each)
        if span is None:
            return words
        spans.append(span)
    found: list[Span] = []
    for span in sorted(spans):
        if found and found[-1].bits == span.bits and span.first <= found[-1].last + 1:
            found[-1] = found[-1]._replace(last=max(span.last, found[-1].last))
        else:
            found.append(span)
    return [str(span) for span in found]


def _number(word: str) -> tuple[int, int] | None:
    """Return the bits and the number of an address, or of a plain number."""
    if _DECIMAL.fullmatch(word):
        return 0, int(word)
    try:
        if _IPV4.fullmatch(word):
            return 32, int.from_bytes(inet_pton(AF_INET, word), "big")
        if _IPV6.fullmatch(word):
            return 128, int.from_bytes(inet_pton(AF_INET6, word), "big")
    except OSError:
        pass
    return None


def _text(bits: int, value: int) -> str:
    if not bits:
        return str(value)
    return inet_ntop(AF_INET if bits == 32 else AF_INET6, value.to_bytes(bits // 8, "big"))
