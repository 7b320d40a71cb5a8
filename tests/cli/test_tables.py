"""Tables in little room: nothing of them is cut."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from svcnet.cli.tables import GAP, LEAST, table_lines
from svcnet.modes.userspace.view import table
from svcnet.natural import natural_key
from svcnet.renderers.userspace.table import Backend, ServicePortName
from svcnet.servers.userspace.statistics import BackendCounts, ProxySnapshot, Statistics

CELLS = st.text("ab-/.: ", min_size=1, max_size=40).map(str.strip).filter(bool)
ROWS = st.integers(1, 5).flatmap(
    lambda columns: st.lists(
        st.lists(CELLS, min_size=columns, max_size=columns), min_size=1, max_size=6
    )
)


@given(ROWS, st.sampled_from([None, 20, 60, 80]))
def test_no_letter_is_lost(rows: list[list[str]], width: int | None) -> None:
    """However narrow it is, each letter of each cell is there, and no line is too long."""
    lines = list(table_lines(rows, width))
    shown, wanted = "".join(lines), "".join(map("".join, rows))
    assert sorted(shown.replace(" ", "")) == sorted(wanted.replace(" ", ""))
    if width is None:
        assert len(lines) == len(rows)
    else:
        columns = len(rows[0])
        assert max(map(len, lines)) <= max(width, columns * LEAST + (columns - 1) * GAP)


@pytest.mark.parametrize("width", [60, 80])
def test_rows_that_differ_stay_different(width: int) -> None:
    """Names that begin alike, and are longer than a line, can be told apart."""
    names = [f"{'payments-of-the-whole-company-' * 3}{number}" for number in range(3)]
    lines = list(table_lines([[name, "10.244.1.5", "ready"] for name in names], width))
    assert max(map(len, lines)) <= width
    first_cells = "".join(line[: width - 20].split("  ")[0].strip() for line in lines)
    assert first_cells == "".join(names)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_what_a_proxy_counts_is_whole(width: int) -> None:
    """Service ports that differ in their last letter can be told apart, the busiest one first."""
    prefix = "a-service-with-a-name-that-is-quite-as-long-as-one-may-be"
    names = [ServicePortName("shop", f"{prefix}-{number}", "http", "TCP") for number in (2, 10, 1)]
    counts = (BackendCounts(Backend("10.244.1.5", 8080), 1_000_000, 20_000, 3, 5, 7),)
    statistics = Statistics(1, 0, dict.fromkeys(names, counts))
    drawn = table([ProxySnapshot("IPv4", statistics, {})], rows=10)
    console = Console(file=io.StringIO(), width=width)
    lines = ["".join(part.text for part in line) for line in console.render_lines(drawn)]
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    firsts = "".join(line.split("│")[1].strip() for line in lines if line.startswith("│"))
    wanted = sorted(map(str, names), key=natural_key)
    assert firsts == "".join(wanted)
    figures = re.sub(
        r"[^0-9]", "", "".join(line.split("│")[5] for line in lines if "│" in line[:1])
    )
    assert figures == "1000000" * 3
