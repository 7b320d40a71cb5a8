"""Options that say what to read: PATH and -f, folders, namespaces, and what is to be built."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from attrs import evolve

from svcnet.cli.paths import complete_files

if TYPE_CHECKING:
    from svcnet.sources import InputScope

Function = TypeVar("Function", bound=Callable[..., Any])


def named_path_options(function: Function) -> Function:
    """Add PATH… with -f, which means the same, and :func:`scope_options`."""

    @wraps(function)
    def command(
        *args: Any, paths: tuple[str, ...], filenames: tuple[str, ...], **options: Any
    ) -> Any:
        return function(*args, paths=(*paths, *filenames), **options)

    argument = click.argument("paths", nargs=-1, metavar="[PATH]...", shell_complete=complete_files)
    return cast(Function, argument(filename_option(scope_options(command))))


def filename_option(function: Function) -> Function:
    """Add -f, which names a PATH; the function gets `filenames`."""
    return click.option(
        "-f",
        "--filename",
        "filenames",
        multiple=True,
        metavar="PATH",
        help="A PATH too, as kubectl has it. Repeatable.",
        shell_complete=complete_files,
    )(function)


def scope_options(function: Function) -> Function:
    """Add -R, --no-recursive and --build; the function gets what they say as `scope`."""

    @wraps(function)
    def command(*args: Any, recursive: bool, build: bool, **options: Any) -> Any:
        return function(*args, scope=_scope(recursive, build), **options)

    for decorate in (
        click.option(
            "--build",
            is_flag=True,
            help="Have kustomize and helm make manifests of their folders; they get no network.",
        ),
        click.option(
            "-R",
            "--recursive/--no-recursive",
            default=True,
            help="Read folders with all below them, which is the default, or without.",
        ),
    ):
        command = decorate(command)
    return cast(Function, command)


def _scope(recursive: bool, build: bool) -> InputScope:
    from svcnet.sources import InputScope

    if not build:
        return InputScope(recursive)
    from svcnet.executors.build import build as build_by
    from svcnet.executors.this_machine import THIS_MACHINE

    return InputScope(recursive, build=partial(build_by, THIS_MACHINE))


def namespace_option(function: Function) -> Function:
    """Add -n, as kubectl apply has it, for verbs that are told `scope`."""

    @wraps(function)
    def command(*args: Any, namespace: str, scope: InputScope, **options: Any) -> Any:
        return function(*args, scope=evolve(scope, namespace=namespace), **options)

    option = click.option(
        "-n",
        "--namespace",
        type=namespace_name,
        default="",
        metavar="NAME",
        help="The namespace of objects that name none; one that names another is refused.",
    )
    return cast(Function, option(command))


def namespace_name(text: str) -> str:
    """Return the name of a namespace, if it can be one."""
    from svcnet.sources.fields import NAMES, is_name

    if text and not is_name(text, "label"):
        raise click.BadParameter(f"{NAMES['label']}; not {text!r}")
    return text
