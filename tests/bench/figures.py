"""Where figures are kept for docs/charts.py to draw: the file that SVCNET_FIGURES names."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

Row: TypeAlias = Mapping[str, Any]
Section: TypeAlias = Literal["dataplanes", "run"]

WHOSE = ("way", "services", "endpoints")
"""What a row is of: one that is measured again takes the place of what there was of the same."""


def keep(section: Section, row: Row) -> None:
    """Put a row into a section of the file, with when and of what it was measured.

    Without SVCNET_FIGURES nothing is kept.
    """
    if not (name := os.environ.get("SVCNET_FIGURES")):
        return
    path = Path(name)
    kept: dict[str, list[Row]] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    new = short({"kernel": os.uname().release, **row, **origin()})
    others = [old for old in kept.get(section, []) if whose(old) != whose(new)]
    kept[section] = [*others, new]
    path.write_text(written(kept), "utf-8")


def whose(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in WHOSE)


def origin() -> dict[str, str]:
    """Return the day and the commit of what is measured now."""
    command = ("git", "rev-parse", "--short", "HEAD")
    done = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return {"date": datetime.now(UTC).date().isoformat(), "commit": done.stdout.strip()}


def short(value: Any) -> Any:
    """Return a value whose numbers have the four digits that mean something."""
    if isinstance(value, Mapping):
        return {name: short(each) for name, each in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def written(kept: Mapping[str, list[Row]]) -> str:
    """Return the file: JSON with a line for each row, so that a difference shows what is new."""
    sections = []
    for name, rows in kept.items():
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        sections.append(f"{json.dumps(name)}: [\n{lines}\n]")
    return "{\n" + ",\n".join(sections) + "\n}\n"
