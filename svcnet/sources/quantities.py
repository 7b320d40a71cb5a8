"""Quantities as Kubernetes reads them: ``4``, ``3920m``, ``64Ki``, ``1e3``.

Source of the rules: ``ParseQuantity`` in k8s.io/apimachinery/pkg/api/resource.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]{1,100}\.?[0-9]{0,100}|\.[0-9]{1,100}))"
    r"(?:([numkMGTPE])|([KMGTPE])i|[eE]([+-]?[0-9]{1,3}))?"
)
_TENS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
MOST = 2**63 - 1


def is_quantity(text: str) -> bool:
    """Return whether a text is one."""
    return _QUANTITY.fullmatch(text) is not None


def milli(value: Any) -> int:
    """Return the thousandths that a quantity is, rounded up; no more than a number can hold.

    Raises ValueError where `value` is none.
    """
    text = str(value) if type(value) in (int, float) else value
    found = _QUANTITY.fullmatch(text) if type(text) is str else None
    if found is None:
        raise ValueError("must be a quantity such as 4 or 3920m")
    number, tens, twos, exponent = found.groups()
    power = _TENS.get(tens or "", int(exponent or 0)) + 3
    factor = 1024 ** ("KMGTPE".index(twos) + 1) if twos else 1
    try:
        exact = (Decimal(number) * factor).scaleb(power)
    except InvalidOperation:
        raise ValueError("must be a quantity such as 4 or 3920m") from None
    bounded = min(max(exact, Decimal(-MOST)), Decimal(MOST))
    return int(bounded.to_integral_value(ROUND_CEILING))
