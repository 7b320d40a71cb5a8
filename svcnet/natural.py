"""The order in which people look for names: web-2 comes before web-10."""

from __future__ import annotations

import re

_NUMBER = re.compile("([0-9]+)")


def natural_key(text: str) -> tuple[object, ...]:
    """Return what sorts names as people do: numbers in them count as numbers.

    Equal keys are of equal texts, so the order is always one.
    """
    parts = _NUMBER.split(text)
    # A number is as long as it is large; leading zeros say nothing, and decide last.
    numbers = (number.lstrip("0") for number in parts[1::2])
    counted = [(len(number), number) for number in numbers]
    words = parts[::2]
    mixed: list[object] = [words[0]]
    for number, word in zip(counted, words[1:], strict=True):
        mixed += [number, word]
    return (tuple(mixed), text)
