"""Quantities of Kubernetes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.sources.quantities import MOST, is_quantity, milli

ANSWERS = Path(__file__).with_name("quantities.txt")
SUFFIXES = {"": Fraction(1), "n": Fraction(1, 10**9), "u": Fraction(1, 10**6)}
SUFFIXES |= {"m": Fraction(1, 1000), "k": Fraction(1000), "M": Fraction(10**6)}
SUFFIXES |= {f"{each}i": Fraction(1024**n) for n, each in enumerate("KMGTPE", 1)}
SUFFIXES |= {f"e{n}": Fraction(10) ** n for n in (-30, -9, 0, 3, 18)}


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
        (" 4\u2003", 4000),
        ("m", 0),
        ("+.", 0),
        ("1" + "0" * 9999 + "e-9999", 1000),
        ("0" * 9999 + "e999999", 0),
        ("." + "0" * 9999 + "1", 1),
    ],
)
def test_thousandths(value: Any, expected: int) -> None:
    """All suffixes and exponents are read, rounded up, and bounded."""
    assert milli(value) == expected


@pytest.mark.parametrize(
    "value",
    ["", " ", "1\t", "1 m", "1mm", "0x1", "1e", "e-10", "Ei", "nan", "٣", None, True, [], b"4"],
)
def test_no_quantities(value: Any) -> None:
    """Anything else is an error."""
    with pytest.raises(ValueError, match="must be a quantity"):
        milli(value)


def answers() -> Iterator[tuple[Any, int | None]]:
    """Yield values, and how many thousandths they are to Kubernetes, None where it refuses one."""
    for line in ANSWERS.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            value, _, told = line.rpartition("\t")
            yield json.loads(value), None if told == "-" else int(told)


def test_as_kubernetes_reads_them() -> None:
    """The same texts are quantities, and the same thousandths where these are a number's."""
    for value, expected in answers():
        if isinstance(value, str):
            assert is_quantity(value) == (expected is not None), value
        if expected is None:
            with pytest.raises(ValueError, match="must be a quantity"):
                milli(value)
        elif abs(found := milli(value)) < MOST and found > 0:
            assert found == expected, value


@given(
    st.sampled_from(["", "+", "-"]),
    st.text("0159", max_size=30),
    st.text("0159", max_size=30),
    st.sampled_from(sorted(SUFFIXES)),
)
def test_a_sum_of_its_parts(sign: str, whole: str, part: str, suffix: str) -> None:
    """However long a number is, no digit of it is lost before it is rounded."""
    if not whole + part:
        return
    exact = Fraction(int(whole or "0")) + Fraction(int(part or "0"), 10 ** len(part))
    exact *= SUFFIXES[suffix] * 1000 * (-1 if sign == "-" else 1)
    assert milli(f"{sign}{whole}.{part}{suffix}") == max(min(ceil(exact), MOST), -MOST)
