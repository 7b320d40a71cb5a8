"""``svcnet dns``: what names are answered. One module a verb."""

from __future__ import annotations

import click

from svcnet.cli.verb import Verbs

VERBS = ("diff", "lookup", "push", "serve", "zone")


@click.group(
    "dns",
    cls=Verbs,
    package="svcnet.cli.dns",
    verbs=VERBS,
    short_help="What clients are answered that ask for Services by name.",
)
def command() -> None:
    """What clients are answered that ask for Services by name.

    The names are those of the Kubernetes DNS specification, the answers those of CoreDNS's
    plugin kubernetes, whose options these commands have.
    """
