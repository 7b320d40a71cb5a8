"""Memory that is free goes back to the machine."""

from __future__ import annotations

from pathlib import Path

from svcnet.agent.memory import give_back

PIECE, PIECES = 2_000, 20_000
"""Too large for Python's own heaps, and too small for the C library to map each by itself."""


def resident() -> int:
    """Return the kB of this process that are in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_what_was_freed_below_what_stays_is_given_back() -> None:
    pieces = [bytes([number % 256]) * PIECE for number in range(PIECES)]
    last = pieces.pop()
    pieces.clear()
    before = resident()
    give_back()
    assert len(last) == PIECE
    assert before - resident() > PIECE * PIECES / 1024 / 2
