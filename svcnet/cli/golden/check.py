"""``svcnet golden check``: whether the golden files of folders are as they are to be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from svcnet.cli.golden.catalogue import NAME, GoldenList, read_catalogue
from svcnet.cli.manner import tell, write_difference
from svcnet.cli.paths import FilePath
from svcnet.cli.verb import Verb
from svcnet.words import count_noun


@click.command(
    "check",
    cls=Verb,
    examples=[("All that golden/golden.toml lists", "svcnet golden check golden")],
)
@click.argument("folders", metavar="DIR...", type=FilePath(), nargs=-1, required=True)
def command(folders: tuple[Path, ...]) -> None:
    """Compare what is rendered now with the golden files in DIR.

    DIR/golden.toml lists them. Of each that differs the beginning of a unified diff is printed,
    and whether its meaning differs. Exit codes: 0 all are as they are to be, 1 some differ, are
    missing, or are stale: no line of golden.toml makes them.
    """
    found = [list(_lines(catalogue)) for catalogue in map(read_catalogue, folders)]
    count = 0
    for lines in found:
        for told in lines:
            write_difference(told)
            count += 1
    sys.stdout.flush()
    if count:
        files = count_noun(count, "golden file is", "golden files are")
        tell(f"{files} not as rendered: svcnet golden update writes them")
        sys.exit(1)


def _lines(catalogue: GoldenList) -> Iterator[str]:
    """Yield the text about each file that is not as it is to be."""
    for golden in catalogue.goldens:
        expected = golden.expected_if_there()
        if expected is None:
            yield f"{golden.file}: missing\n"
        elif expected != golden.text:
            yield golden.summary(expected)
    for file in catalogue.stale:
        yield f"{file}: stale, {NAME} does not list it\n"
