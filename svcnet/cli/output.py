"""What a verb makes: in which form, ``-o``, and where it writes that, ``--to``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from svcnet.cli.paths import FilePath
from svcnet.errors import OutputError, one_line
from svcnet.files import write_whole

Function = TypeVar("Function", bound=Callable[..., Any])


class FormName(click.Choice[str]):
    """The name of a form; ``-o=json`` is one too, as kubectl has it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; say where a file is named to those who mean one."""
        name = str(value).removeprefix("=")
        if name not in self.choices:
            shown, forms = one_line(name) or "''", ", ".join(self.choices)
            of_file = f"--to {shown}" if _writes_files(ctx) else f"> {shown}"
            self.fail(f"{shown} is no form ({forms}); a file is {of_file}", param, ctx)
        return name


def _writes_files(ctx: click.Context | None) -> bool:
    params = ctx.command.get_params(ctx) if ctx is not None else []
    return any("--to" in each.opts and isinstance(each.type, FilePath) for each in params)


class FormOption(click.Option):
    """``-o``, ``--output``: in which of a verb's forms it prints."""

    def __init__(
        self,
        names: Sequence[str] = ("-o", "--output"),
        *,
        forms: Iterable[str],
        meaning: str,
        default: str | None,
    ) -> None:
        kind = FormName(list(forms))
        super().__init__(names, type=kind, default=default, show_default=True, help=meaning)


def form_option(*forms: str, meaning: str, default: str | None) -> Callable[[Function], Function]:
    """Add ``-o``, for verbs that print in more than one form."""
    return click.option(
        "-o", "--output", cls=FormOption, forms=forms, meaning=meaning, default=default
    )


def file_option(function: Function) -> Function:
    """Add ``--to``, for verbs that write files; the function gets `to`, for ``write_output``."""
    return click.option(
        "--to",
        type=FilePath(),
        metavar="FILE",
        help="The file to write, whole or not at all; else standard output.",
    )(function)


def write_output(text: str, output: Path | None) -> None:
    """Write the whole of `text` to a file, see :func:`write_whole`, or to standard output."""
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        write_whole(output, text)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written: {error.strerror}", error) from None
