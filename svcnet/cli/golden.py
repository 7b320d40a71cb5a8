"""``svcnet render --check``: what is rendered, compared with a golden file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from svcnet.errors import UsageError
from svcnet.files import KIB, read_text

if TYPE_CHECKING:
    from svcnet.graph import NodeSettings

MOST_BYTES = 256 * KIB * KIB
"""The largest file that is compared with, as with manifests."""


def compare(golden: Path, text: str, mode: str, settings: NodeSettings | None) -> None:
    """Exit with 1 and a unified diff on standard output when a golden file differs.

    A line on standard error says whether the meaning differs too. `settings` are those that `text`
    is rendered with, None if it is no whole state.
    """
    from difflib import unified_diff

    try:
        expected = read_text(golden, MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{golden}: cannot be read: {error.strerror}") from None
    if expected == text:
        return
    lines = unified_diff(expected.splitlines(True), text.splitlines(True), str(golden), "rendered")
    for line in lines:
        sys.stdout.write(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    sys.stdout.flush()
    click.echo(f"meaning: {_meaning(golden, expected, text, mode, settings)}", err=True)
    sys.exit(1)


def _meaning(
    golden: Path, expected: str, text: str, mode: str, settings: NodeSettings | None
) -> str:
    """Return on one line whether two texts mean the same."""
    from svcnet.meaning import Facts
    from svcnet.meaning.comparison.change_text import summary
    from svcnet.meaning.comparison.diff import rules_diff
    from svcnet.meaning.dump import LANGUAGES, read_dump

    if settings is None:
        return "a step has none of its own; svcnet diff compares two states"
    if mode not in LANGUAGES:
        return f"rules of mode {mode} are not read back; svcnet diff compares two states"
    facts = Facts.of(settings)
    try:
        old, new = (
            read_dump([each]).rules(mode, settings.family, facts)
            for each in ((str(golden), expected), ("rendered", text))
        )
    except UsageError as error:
        return f"cannot be told, {error}"
    found = rules_diff(old, new)
    return f"{'changed' if found else 'the same'}: {summary(found)}"
