"""``svcnet dns``: what names are answered. One module a verb."""

from __future__ import annotations

import click

from svcnet.cli.verb import Verbs

VERBS = {
    "diff": "Print the records that only one of two inputs has.",
    "lookup": "Print what a Pod gets that asks for a name, and why.",
    "push": "Bring a running DNS server to the records of Services.",
    "serve": "Answer DNS questions about Services until a signal.",
    "zone": "Print zone files with the records of Services.",
}


@click.group(
    "dns",
    cls=Verbs,
    package="svcnet.cli.dns",
    verbs=VERBS,
)
def command() -> None:
    """What clients are answered that ask for Services by name.

    The names are those of the Kubernetes DNS specification, the answers those of CoreDNS's
    plugin kubernetes, whose options these commands have.
    """
