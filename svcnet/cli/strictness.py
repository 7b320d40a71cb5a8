"""How strict a verb is with warnings: the options --strict and --ignore."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from svcnet.checks import Check
from svcnet.cli.manner import tell_line
from svcnet.errors import UsageError
from svcnet.inputs import Strictness

Function = TypeVar("Function", bound=Callable[..., Any])


def strict_options(function: Function) -> Function:
    """Add --strict and --ignore; the function gets what they say as one Strictness, `strict`."""

    @wraps(function)
    def command(*args: Any, strict: bool, ignore: tuple[str, ...], **options: Any) -> Any:
        strictness = Strictness(strict, _find_checks(ignore), tell_line)
        return function(*args, strict=strictness, **options)

    errors = click.option("--strict", is_flag=True, help="Treat warnings as errors.")
    ignored = click.option(
        "--ignore",
        multiple=True,
        metavar="NAME",
        shell_complete=_complete_checks,
        help="Do not tell warnings of this name or number; may be given several times.",
    )
    return cast(Function, errors(ignored(command)))


def _complete_checks(
    context: click.Context,  # noqa: ARG001
    option: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Return the warnings whose names begin with what is typed, with their reasons."""
    from svcnet.checks import every

    return [
        CompletionItem(each.name, help=each.reason)
        for each in every()
        if each.severity == "warning" and each.name.startswith(incomplete)
    ]


def _find_checks(names: tuple[str, ...]) -> frozenset[Check]:
    if not names:
        return frozenset()
    from svcnet.sources.annotations import ignorable

    try:
        return frozenset(map(ignorable, names))
    except ValueError as error:
        raise UsageError(f"--ignore: {error}") from None
