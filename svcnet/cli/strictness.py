"""How strict a verb is with warnings: the options --strict and --ignore."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import click

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
        help="Do not tell warnings of this name or number; may be given several times.",
    )
    return cast(Function, errors(ignored(command)))


def _find_checks(names: tuple[str, ...]) -> frozenset[Check]:
    if not names:
        return frozenset()
    from svcnet.sources.annotations import ignorable

    try:
        return frozenset(map(ignorable, names))
    except ValueError as error:
        raise UsageError(f"--ignore: {error}") from None
