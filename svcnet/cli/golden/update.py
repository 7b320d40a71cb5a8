"""``svcnet golden update``: make the golden files of folders what they are to be."""

from __future__ import annotations

from pathlib import Path

import click

from svcnet.cli.golden.catalogue import NAME, read_catalogue
from svcnet.cli.golden.comparison import update
from svcnet.cli.manner import tell
from svcnet.cli.paths import FilePath
from svcnet.cli.verb import Verb
from svcnet.words import count_noun


@click.command(
    "update",
    cls=Verb,
    examples=[("All that golden/golden.toml lists", "svcnet golden update golden")],
)
@click.argument("folders", metavar="DIR...", type=FilePath(), nargs=-1, required=True)
def command(folders: tuple[Path, ...]) -> None:
    """Write the golden files in DIR that differ from what is rendered now, or are missing.

    Each is written whole or not at all, and named, with whether its meaning differs. Nothing is
    written before all is rendered. Stale files are named and left: to remove them is for you.
    """
    catalogues = [read_catalogue(folder) for folder in folders]
    asked = [(golden, golden.expected_if_there()) for each in catalogues for golden in each.goldens]
    for golden, expected in asked:
        update(golden, expected)
    for each in catalogues:
        for file in each.stale:
            tell(f"{file}: stale, {NAME} does not list it; remove it")
    if all(expected == golden.text for golden, expected in asked):
        files = count_noun(len(asked), "golden file is", "golden files are")
        tell(f"nothing to write: {files} as rendered")
