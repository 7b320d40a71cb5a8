"""Tables in little room: nothing of them is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.cli.tables import GAP, LEAST, table_lines

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
