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


def test_nothing_takes_more_than_its_size() -> None:
    """Texts that repeat one thing are read or refused, silently, in bounded time and memory."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.shapes", str(SIZE)],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stderr == b""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) > 50
    wrong = [
        line
        for line in found
        if line[2] > SECONDS or line[3] > MEMORY or line[4] not in ("read", "refused")
    ]
    assert not wrong
