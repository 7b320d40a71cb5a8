"""``svcnet help``: what a verb does, and its options."""

from __future__ import annotations

import click

from svcnet.cli.verb import Verb


def _verbs(
    context: click.Context,
    argument: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[str]:
    """Return the verbs that what is typed may become, below those that are typed already."""
    command: click.Command | None = context.find_root().command
    for name in context.params.get("verb") or ():
        command = command.get_command(context, name) if isinstance(command, click.Group) else None
    names = command.list_commands(context) if isinstance(command, click.Group) else []
    return [name for name in names if name.startswith(incomplete)]


@click.command(
    "help",
    cls=Verb,
    examples=[
        ("All of a verb", "svcnet help render"),
        ("A verb of a verb", "svcnet help dns zone"),
    ],
)
@click.argument("verb", nargs=-1, metavar="[VERB]...", shell_complete=_verbs)
@click.pass_context
def command(context: click.Context, verb: tuple[str, ...]) -> None:
    """Say what a verb does, with examples and its options, as VERB --help does.

    Without VERB it lists the verbs.
    """
    root = context.find_root()
    root.command.main([*verb, "--help"], root.info_name, standalone_mode=False)
