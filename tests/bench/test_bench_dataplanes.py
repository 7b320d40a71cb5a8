"""All ways to serve, at sizes from 1,000 to 50,000 Services, in one run.

Each is measured by :mod:`tests.bench.dataplanes`. What is found is printed, and kept in the file
that SVCNET_FIGURES names, for docs/charts.py to draw.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.dataplanes import WAYS, Way
from tests.kernel.uml import guest

SIZES = ((1_000, 10), (5_000, 10), (10_000, 10), (20_000, 10), (50_000, 10), (1_000, 1_000))
LONGEST_LOAD = 20.0
"""A way that took longer to load, in seconds, is not measured at a larger size."""

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_dataplane(benchmark: Any, way: Way) -> None:
    """One way at all sizes, as far as it bears them."""
    found = benchmark.pedantic(lambda: measured(way), rounds=1, iterations=1)
    benchmark.extra_info.update({f"{each['services']}": each for each in found})
    keep(way, found)


def measured(way: Way) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for services, endpoints in SIZES:
        if found and found[-1]["load, s"] > LONGEST_LOAD:
            break
        command = [sys.executable, "-m", "tests.bench.dataplanes", way.name]
        command += [str(services), str(endpoints)]
        if way.in_guest:
            out = guest.run(*command)
        else:
            out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found.append(json.loads(out.splitlines()[-1]))
        print(f"\n{out}", end="")
    return found


def keep(way: Way, found: list[dict[str, Any]]) -> None:
    """Put figures of a way in the place of those that the file had."""
    if name := os.environ.get("SVCNET_FIGURES"):
        path = Path(name)
        before = json.loads(path.read_text("utf-8")) if path.exists() else []
        others = [each for each in before if each["way"] != way.name]
        order = [each.name for each in WAYS]
        whole = sorted([*others, *found], key=lambda each: order.index(each["way"]))
        path.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
