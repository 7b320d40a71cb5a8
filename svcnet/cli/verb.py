"""What all verbs have: examples in their help, the options of every verb, and a name to find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from svcnet.cli.manner import manner_options

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Example: TypeAlias = tuple[str, str]
"""What a command line does, in a few words, and the line. One that takes root begins with sudo."""


class _MannerCommand(click.Command):
    """A command that has the options of every verb, ``manner``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.manner = manner_options()

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return its own parameters, then those of every verb, the help last."""
        own = super().get_params(ctx)
        return [*self.params, *self.manner, *own[len(self.params) :]]


class Verb(_MannerCommand):
    """A command with examples, and the options that every verb has."""

    def __init__(self, *args: Any, examples: Sequence[Example] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what it does, and examples below that."""
        super().format_help_text(ctx, formatter)
        if not self.examples:
            return
        formatter.write_paragraph()
        formatter.write("Examples:\n")
        for what, line in self.examples:
            # A line to copy is never broken.
            formatter.write(f"  {what}:\n    {line}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write its own options, and those of every verb in a section of their own."""
        common = {option.name for option in self.manner} | {"help"}
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                (shared if parameter.name in common else own).append(record)
        for title, records in (("Options", own), ("Options of every verb", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Verbs(_MannerCommand, click.Group):
    """A group whose commands live in modules of their own, below `package`.

    `verbs` has what each of them does in a few words. So to list them imports none of them.
    """

    def __init__(self, *args: Any, package: str, verbs: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package = package
        self._verbs = verbs

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write what each verb does."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._verbs.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the verbs and options that begin so."""
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(name, help=what)
            for name, what in self._verbs.items()
            if name.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb that arguments begin with; raise what says which one may be meant."""
        name = args[0]
        if not name.startswith("-") and name not in self._verbs:
            ctx.fail(f"No such command {name!r}.{_hint(self, ctx, name)}")
        return super().resolve_command(ctx, args)

    def paths(self, ctx: click.Context) -> Iterator[str]:
        """Yield the name of each verb, those of verbs that have verbs behind them."""
        for name in self._verbs:
            yield name
            if isinstance(command := self.get_command(ctx, name), Verbs):
                yield from (f"{name} {each}" for each in command.paths(ctx))


def _hint(group: Verbs, ctx: click.Context, name: str) -> str:
    """Return what is likely meant by a name that is no verb, behind a space, or nothing."""
    from difflib import get_close_matches

    by_last: dict[str, list[str]] = {}
    for path in group.paths(ctx):
        by_last.setdefault(path.rpartition(" ")[2], []).append(path)
    meant = [path for near in get_close_matches(name, by_last) for path in by_last[near]]
    if meant:
        return f" Did you mean {' or '.join(map(repr, meant))}?"
    with suppress(OSError, ValueError):  # a name that no file can have
        if name and Path(name).exists():
            return f" A verb comes first: {ctx.command_path} render {name}"
    return ""
