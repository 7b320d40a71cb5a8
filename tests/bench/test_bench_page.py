"""The page of a large cluster: the time that it takes to make, and its size."""

from __future__ import annotations

from typing import Any

import pytest

import svcnet
from tests.bench.clusters import as_json


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
@pytest.mark.parametrize("services", [500, 5_000])
def test_page(benchmark: Any, services: int, mode: str) -> None:
    """A page of so many Services with ten endpoints each, from objects that are read."""
    loaded = svcnet.load(as_json(services))
    page = benchmark.pedantic(lambda: svcnet.report(loaded, mode=mode), rounds=1, iterations=1)
    benchmark.extra_info["bytes"] = len(page)
