"""A golden file of which a verb says whether it differs, or which it writes anew."""

from __future__ import annotations

import sys

import click

from svcnet.cli.manner import tell, write_difference
from svcnet.inputs.golden import Golden


def compare(golden: Golden) -> None:
    """Exit with 1 and a unified diff on standard output when a golden file differs.

    A line on standard error says whether the meaning differs too.
    """
    expected = golden.read_expected()
    if expected == golden.text:
        return
    write_difference("".join(golden.difference(expected)))
    sys.stdout.flush()
    tell(golden.meaning(expected))
    sys.exit(1)


def update(golden: Golden, expected: str | None) -> None:
    """Write a golden file, unless it is `expected` already; say on standard output what came."""
    if expected == golden.text:
        return
    golden.write()
    click.echo(f"{golden.file}: {'made' if expected is None else golden.meaning(expected)}")
