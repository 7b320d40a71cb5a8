"""Quantities as Kubernetes reads them: ``4``, ``3920m``, ``64Ki``, ``1e3``.

Source of the rules: ``ParseQuantity`` and ``Quantity.UnmarshalJSON`` in
k8s.io/apimachinery/pkg/api/resource of Kubernetes v1.36.
"""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, Context, Decimal
from typing import Any

from attrs import frozen

_QUANTITY = re.compile(
    r"(?P<number>[+-]?[0-9]*(?:\.[0-9]*)?)"
    r"(?:(?P<tens>[numkMGTPE])|(?P<twos>[KMGTPE])i|[eE](?P<exponent>[+-]?[0-9]+))?"
)
_TENS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_TWOS = "KMGTPE"
_BLANKS = " \x85\xa0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""Cut off from both ends. Other blanks are written with a backslash in JSON, and so are none."""
MOST = 2**63 - 1


@frozen
class _Quantity:
    """``number`` times 10 to the ``tens`` times 1024 to the ``twos``."""

    number: Decimal
    tens: int
    twos: int


def is_quantity(text: str) -> bool:
    """Return whether a text is one."""
    return _parse(text) is not None


def milli(value: Any) -> int:
    """Return the thousandths that a quantity is, rounded up; no more than a number can hold.

    Beyond that Kubernetes has some other number, or none at all. Raises ValueError where `value`
    is no quantity.
    """
    text = str(value) if type(value) in (int, float) else value
    found = _parse(text) if type(text) is str else None
    if found is None:
        raise ValueError("must be a quantity such as 4 or 3920m")
    digits = len(found.number.as_tuple().digits) + abs(int(found.number.as_tuple().exponent))
    context = Context(prec=digits + 100, Emax=MAX_EMAX, Emin=MIN_EMIN)
    # Further than this the result is at its bound already.
    power = min(max(found.tens + 3, -digits - 50), digits + 50)
    exact = context.multiply(found.number, Decimal(1024**found.twos)).scaleb(power, context)
    bounded = min(max(exact, Decimal(-MOST)), Decimal(MOST))
    return int(bounded.to_integral_value(ROUND_CEILING))


def _parse(text: str) -> _Quantity | None:
    text = text.strip(_BLANKS)
    found = _QUANTITY.fullmatch(text)
    if not text or found is None:
        return None
    number, tens, twos, exponent = found.group("number", "tens", "twos", "exponent")
    power = _exponent(exponent) if exponent else _TENS.get(tens, 0)
    thousands = _TWOS.index(twos) + 1 if twos else 0
    if power is None:
        return None
    if not number.strip("+-."):
        # A suffix alone is none of it, where numbers of this size are read the short way.
        return _Quantity(Decimal(0), 0, 0) if power >= -9 and thousands <= 4 else None
    return _Quantity(Decimal(number), power, thousands)


def _exponent(text: str) -> int | None:
    """Return an exponent, which has 32 of its 64 bits; None for one that takes more than 64."""
    digits = text.lstrip("+-").lstrip("0") or "0"
    exponent = int(digits) if len(digits) < 20 else 2**64
    if text.startswith("-"):
        exponent = -exponent
    if not -(2**63) <= exponent < 2**63:
        return None
    return (exponent + 2**31) % 2**32 - 2**31
