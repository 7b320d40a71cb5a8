"""``svcnet help``: what a verb does, and its options."""

from __future__ import annotations

import click

from svcnet.cli.verb import Verb


@click.command(
    "help",
    cls=Verb,
    short_help="Say what a verb does, and its options.",
    examples=[
        ("All of a verb", "svcnet help render"),
        ("A verb of a verb", "svcnet help dns zone"),
    ],
)
@click.argument("verb", nargs=-1, metavar="[VERB]...")
@click.pass_context
def command(context: click.Context, verb: tuple[str, ...]) -> None:
    """Say what a verb does, with examples and its options, as VERB --help does.

    Without VERB it lists the verbs.
    """
    root = context.find_root()
    root.command.main([*verb, "--help"], root.info_name, standalone_mode=False)
