"""Quantities of Kubernetes."""

from __future__ import annotations

from typing import Any

import pytest

from svcnet.sources.quantities import milli


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("4", 4000),
        (4, 4000),
        (0.5, 500),
        ("3920m", 3920),
        ("1500u", 2),
        ("1n", 1),
        ("0", 0),
        (".5", 500),
        ("1.", 1000),
        ("2k", 2_000_000),
        ("1Ki", 1_024_000),
        ("1e3", 1_000_000),
        ("1E3", 1_000_000),
        ("-1", -1000),
        ("9E", 2**63 - 1),
        ("9" * 100, 2**63 - 1),
        ("1e999", 2**63 - 1),
        ("1e-999", 1),
    ],
)
def test_thousandths(value: Any, expected: int) -> None:
    """All suffixes and exponents are read, rounded up, and bounded."""
    assert milli(value) == expected


@pytest.mark.parametrize(
    "value", ["", "m", "1 ", "1mm", "0x1", "1e", "nan", "٣", None, True, [], "9" * 999]
)
def test_no_quantities(value: Any) -> None:
    """Anything else is an error."""
    with pytest.raises(ValueError, match="must be a quantity"):
        milli(value)
