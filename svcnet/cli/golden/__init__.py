"""``svcnet golden``: a folder of golden files. One module a verb."""

from __future__ import annotations

import click

from svcnet.cli.verb import Verbs

VERBS = {
    "check": "Compare golden files with what is rendered now.",
    "update": "Write the golden files that differ from what is rendered.",
}


@click.group(
    "golden",
    cls=Verbs,
    package="svcnet.cli.golden",
    verbs=VERBS,
)
def command() -> None:
    """Keep the rules of several nodes, modes and IP families as golden files in a folder.

    The folder's golden.toml says of which manifests, and which files there are to be.
    """
