"""What the command takes before it does anything: its list of verbs, and the rules of one file."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 20
BARE = ["-c", "import attrs, click"]
COMMANDS = {
    "help": ["-m", "svcnet", "--help"],
    "render": ["-m", "svcnet", "render", "examples/my-service"],
}


def cpu_ms(arguments: list[str]) -> float:
    """Return the milliseconds of CPU that a Python process takes with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


@pytest.mark.parametrize("name", COMMANDS)
def test_start(benchmark: Any, name: str) -> None:
    """Beside a process that imports the libraries of every command and ends; they take turns."""
    pairs: list[tuple[float, float]] = []
    turn = lambda: pairs.append((cpu_ms(BARE), cpu_ms(COMMANDS[name])))  # noqa: E731
    benchmark.pedantic(turn, rounds=ROUNDS, warmup_rounds=1)
    bare, whole = (min(each) for each in zip(*pairs, strict=True))
    figures = {"bare, ms": bare, "whole, ms": whole, "ratio": whole / bare}
    benchmark.extra_info.update(figures)
    print(f"\n{name}: {figures}")
