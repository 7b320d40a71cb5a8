"""What benches keep, and what docs/charts.py makes of it."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.bench.figures import Row, keep

CHARTS = runpy.run_path(str(Path(__file__).parent.parent / "docs/charts.py"))
FLAT, AS_KUBE_PROXY = "nftables flat, by netlink", "nftables, as kube-proxy"
LOAD = {"Load from empty, s": ("load, s",)}


def row(way: str, services: int, **figures: Any) -> dict[str, Any]:
    figures = {name.replace("_", ", "): each for name, each in figures.items()}
    return {"way": way, "services": services, "endpoints": 10, "limit, s": 60, **figures}


def test_what_is_measured_again_takes_its_own_place_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures can be taken in pieces; each has the day, the kernel and the commit."""
    path = tmp_path / "figures.json"
    monkeypatch.setenv("SVCNET_FIGURES", str(path))
    keep("dataplanes", row(FLAT, 1_000, load_s=0.123456))
    keep("dataplanes", row(FLAT, 5_000, load_s=0.5))
    keep("run", row(FLAT, 1_000))
    keep("dataplanes", row(FLAT, 1_000, load_s=0.2, kernel="6.1 of a guest"))
    kept: dict[str, list[Row]] = json.loads(path.read_text("utf-8"))
    found = {(each["services"], each["load, s"]) for each in kept["dataplanes"]}
    assert found == {(1_000, 0.2), (5_000, 0.5)}
    assert [each["way"] for each in kept["run"]] == [FLAT]
    new = next(each for each in kept["dataplanes"] if each["services"] == 1_000)
    assert new["kernel"] == "6.1 of a guest"
    assert all({"date", "commit", "kernel"} <= each.keys() for each in kept["dataplanes"])


def test_a_load_that_was_ended_is_told() -> None:
    """It has a cross in the picture, and more than the limit in tables."""
    rows = [row(FLAT, 1_000, load_s=0.1), row(FLAT, 50_000, load_s=3.0)]
    assert "not done" not in CHARTS["chart"]("", rows, LOAD, "light")
    rows += [row(AS_KUBE_PROXY, 1_000, load_s=0.3), row(AS_KUBE_PROXY, 50_000)]
    assert "not done in 60 s" in CHARTS["chart"]("", rows, LOAD, "light")
    table = CHARTS["tables"](rows, LOAD).splitlines()
    assert f"| {AS_KUBE_PROXY} | 0.3 | over 60 |" in table
    assert f"| {FLAT} | 0.1 | 3 |" in table
