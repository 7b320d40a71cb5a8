"""All ways to serve, at sizes from 1,000 to 50,000 Services, in one run.

Each is measured by :mod:`tests.bench.dataplanes`, size by size, so that all ways of a size are
beside one another.
What is found is printed, and kept for docs/charts.py to draw, see :mod:`tests.bench.figures`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import pytest

from tests.bench.dataplanes import LIMIT, WAYS, Way
from tests.bench.figures import keep
from tests.kernel.uml import guest

SIZES = ((1_000, 10), (5_000, 10), (10_000, 10), (20_000, 10), (1_000, 1_000), (50_000, 10))
GUEST_SIZES = SIZES[:3]
"""A process of a guest ends when its memory is in more pieces than the host allows mappings, which
are 65,530 (``vm.max_map_count``): that is at some 300 MB."""
CASES = [(*size, way) for size in SIZES for way in WAYS if not way.in_guest or size in GUEST_SIZES]
PATIENCE = 120
"""Seconds for the kernel to end what was killed in the middle of a transaction."""

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]


@pytest.fixture(scope="session")
def given_up() -> set[tuple[str, int]]:
    """Return which way was not done, with so many endpoints each."""
    return set()


@pytest.mark.parametrize(
    ("services", "endpoints", "way"),
    CASES,
    ids=lambda value: value.name if isinstance(value, Way) else f"{value}",
)
def test_dataplane(
    benchmark: Any, services: int, endpoints: int, way: Way, given_up: set[tuple[str, int]]
) -> None:
    """One way at one size. What was not done at a smaller one is not tried."""
    row: dict[str, Any] = {"way": way.name, "services": services, "endpoints": endpoints}
    row["limit, s"] = LIMIT
    if (way.name, endpoints) in given_up:
        found: dict[str, Any] = {}
        benchmark.pedantic(lambda: None)
    else:
        found = benchmark.pedantic(measured, (way, services, endpoints), rounds=1, iterations=1)
    if "load, s" not in found:
        given_up.add((way.name, endpoints))
    benchmark.extra_info.update(found)
    print(f"\n{json.dumps(row | found)}")
    keep("dataplanes", row | found)


def measured(way: Way, services: int, endpoints: int) -> dict[str, Any]:
    """Return all that was found before a time limit, if one was reached."""
    command = [sys.executable, "-m", "tests.bench.dataplanes", way.name]
    command += [str(services), str(endpoints)]
    if way.in_guest:
        out = guest.run(*command, allowed=(0, 128 + signal.SIGALRM))
    else:
        out = run_here(command)
    return {name: value for line in out.splitlines() for name, value in json.loads(line).items()}


def run_here(command: list[str]) -> str:
    """Return what a command prints, and end whatever it has left."""
    with TemporaryFile("w+") as out, TemporaryDirectory() as folder:
        own = {**os.environ, "TMPDIR": folder}
        process = subprocess.Popen(command, stdout=out, env=own, start_new_session=True)
        assert process.wait() in (0, -signal.SIGALRM)
        end = time.monotonic() + PATIENCE
        with suppress(ProcessLookupError):
            while time.monotonic() < end:
                os.killpg(process.pid, signal.SIGKILL)
                time.sleep(0.1)
        out.seek(0)
        return out.read()
