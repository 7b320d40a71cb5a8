"""How strict a verb is with warnings: the options --strict and --ignore."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

import click
from attrs import evolve, frozen

from svcnet.checks import Check
from svcnet.errors import Diagnostic, InputError, UsageError

Function = TypeVar("Function", bound=Callable[..., Any])


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)


@frozen
class Strictness:
    """Whether warnings are ``errors``, which are ``ignored``, and so neither, and who tells others.

    ``tell`` is given a line at a time.
    """

    errors: bool = False
    ignored: frozenset[Check] = frozenset()
    tell: Callable[[str], object] = _to_stderr

    def heeded(self, found: Iterable[Diagnostic]) -> list[Diagnostic]:
        """Return errors, and the warnings that are not ignored, as what they count as."""
        heeded = [each for each in found if each.check not in self.ignored]
        return [evolve(each, severity="error") for each in heeded] if self.errors else heeded

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """Have a refusal of the input tell only what is heeded. Also a decorator."""
        try:
            yield
        except InputError as error:
            raise InputError(self.heeded(error.diagnostics)) from None


EVERY_WARNING = Strictness()


def strict_options(function: Function) -> Function:
    """Add --strict and --ignore; the function gets what they say as one Strictness, `strict`."""

    @wraps(function)
    def command(*args: Any, strict: bool, ignore: tuple[str, ...], **options: Any) -> Any:
        return function(*args, strict=Strictness(strict, _ignored(ignore)), **options)

    errors = click.option("--strict", is_flag=True, help="Treat warnings as errors.")
    ignored = click.option(
        "--ignore",
        multiple=True,
        metavar="NAME",
        help="Do not tell warnings of this name or number; may be given several times.",
    )
    return cast(Function, errors(ignored(command)))


def _ignored(names: tuple[str, ...]) -> frozenset[Check]:
    if not names:
        return frozenset()
    from svcnet.sources.annotations import ignorable

    try:
        return frozenset(map(ignorable, names))
    except ValueError as error:
        raise UsageError(f"--ignore: {error}") from None
