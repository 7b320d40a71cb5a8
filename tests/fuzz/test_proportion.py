"""Time and memory grow with the size of an input, and no faster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SIZE = 100_000
SECONDS = 2.0
"""Ten times what the slowest takes; what grows with the square takes minutes."""

MEMORY = 60 * 1024**2
"""Twice what the largest takes: 300 bytes a byte, with the pages of the heap."""


PRODUCTS_SIZE = 120_000
PRODUCTS_SECONDS = 2.0
PRODUCTS_MEMORY = 35 * 1024**2
"""Some four times, and twice, what those take that the budget lets through."""


def test_nothing_takes_more_than_its_size() -> None:
    """Texts that repeat one thing are read or refused, silently, in bounded time and memory."""
    found = measured("tests.fuzz.shapes", SIZE)
    assert len(found) > 50
    assert not [line for line in found if is_wrong(line, SECONDS, MEMORY, ("read", "refused"))]


def test_no_product_takes_more_than_the_budget() -> None:
    """Objects whose parts multiply are used in bounded time and memory, from files and servers."""
    found = measured("tests.fuzz.products", PRODUCTS_SIZE)
    assert len(found) > 50
    bounds = PRODUCTS_SECONDS, PRODUCTS_MEMORY
    assert not [line for line in found if is_wrong(line, *bounds, ("used",))]


Line = tuple[str, int, float, int, str]


def measured(program: str, size: int) -> list[Line]:
    """Return what a program printed of each of its texts; it tells nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", program, str(size)],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.splitlines()]


def is_wrong(line: Line, seconds: float, memory: int, ends: tuple[str, ...]) -> bool:
    return line[2] > seconds or line[3] > memory or line[4] not in ends
