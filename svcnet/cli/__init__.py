"""The command line. One module a verb, imported only when that verb is used."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from svcnet import __version__
from svcnet.errors import SvcnetError

VERBS = (
    *("apply", "cleanup", "conntrack", "dns", "endpoints", "env", "graph"),
    *("probe", "render", "run", "status"),
)


class Verbs(click.Group):
    """A group whose commands live in modules of their own, below `package`."""

    def __init__(self, *args: Any, package: str, verbs: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package = package
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self._verbs)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in self._verbs:
            return None
        command: click.Command = import_module(f"{self._package}.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SvcnetError as error:
            click.echo(str(error), err=True)
            sys.exit(error.exit_code)


@click.group(
    cls=Verbs,
    package="svcnet.cli",
    verbs=VERBS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="svcnet")
def main() -> None:
    """What a Kubernetes Service does to a node.

    Exit codes: 0 done, 1 a difference was found (render --check, dns diff) or there is
    none (a record of dns lookup, what status was asked for), 2 the input or the request is
    wrong, 3 the machine refused, or no svcnet run answers (status).
    """
