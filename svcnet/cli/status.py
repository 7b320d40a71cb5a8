"""``svcnet status``: what the ``svcnet run`` of this network namespace is doing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from svcnet.cli.manner import manner, warn
from svcnet.cli.outlet import outlets
from svcnet.cli.output import form_option
from svcnet.cli.paths import FilePath
from svcnet.cli.verb import Verb
from svcnet.errors import ApplyError, MissingExtra, UsageError


@click.command(
    "status",
    cls=Verb,
    examples=[
        ("A table of its Services", "svcnet status"),
        ("The same for programs", "svcnet status --output json"),
        ("The rules that the machine has", "svcnet status --last-good"),
    ],
)
@click.option(
    "--socket",
    "path",
    type=FilePath(),
    help="Where svcnet run answers; by default the place of this network namespace.",
)
@form_option(
    "table",
    "json",
    default="table",
    meaning="A table for people, or a document for programs.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Go on showing it, on a terminal, until Ctrl-C; keys at the bottom scroll and filter.",
)
@click.option("--last-failed", is_flag=True, help="Print the input or the rules refused last.")
@click.option("--last-good", is_flag=True, help="Print the rules that the machine has.")
@click.option(
    "--proxy-table",
    is_flag=True,
    help="Print what a userspace proxy serves at which port, a JSON document for each IP family.",
)
def command(
    path: Path | None,
    output: str,
    watch: bool,
    last_failed: bool,
    last_good: bool,
    proxy_table: bool,
) -> None:
    """Ask the running svcnet of this network namespace what it keeps, and how it fares.

    It answers its owner and root. --last-failed and --last-good print on standard output
    what was refused last, and what the machine has; why it was refused goes to standard
    error. Exit code 1 says that there is no such thing, 3 that no svcnet answers.
    """
    from svcnet.servers.questions import proxy_tables, usual_path

    if watch + last_failed + last_good + proxy_table + (output == "json") > 1:
        raise UsageError(
            "only one of --watch, --last-failed, --last-good, --proxy-table and -o json"
        )
    path = path or usual_path()
    if watch:
        _watch(path)
    elif last_failed or last_good:
        answer = _ask(path, "last-failed" if last_failed else "last-good")
        with _as_svcnet_answers(path):
            _print_texts(answer)
    elif proxy_table:
        _print_tables(proxy_tables(path))
    elif output == "json":
        document = _ask(path, "status")
        with _as_svcnet_answers(path):
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        document = _ask(path, "status")
        with _as_svcnet_answers(path):
            _show(document)


def _ask(path: Path, what: str) -> dict[str, Any]:
    from svcnet.servers.questions import ask

    answer = ask(path, json.dumps({"ask": what}).encode())
    try:
        document: dict[str, Any] = json.loads(answer)
    except (ValueError, RecursionError):
        raise ApplyError(f"{path}: the answer is no JSON") from None
    return document


@contextmanager
def _as_svcnet_answers(path: Path) -> Iterator[None]:
    """Raise ApplyError where a document is not one of svcnet run: whoever listens may be another.

    To check each field beforehand would say the same in twice the words.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        raise ApplyError(f"{path}: the answer is not one of svcnet run") from None


def _show(document: dict[str, Any]) -> None:
    from svcnet.cli.status_view import lines, view

    if sys.stdout.isatty():
        try:
            from rich.console import Console
        except ModuleNotFoundError as error:
            raise MissingExtra.of(error) from None

        Console(no_color=not manner().paints(sys.stdout)).print(view(document))
    else:
        click.echo("\n".join(lines(document)))


def _watch(path: Path) -> None:
    """Show how it stands every second, and at once what a key asks for, until Ctrl-C or q."""
    from svcnet.cli.live import live
    from svcnet.cli.status_watch import StatusWatch, keys

    if not sys.stdout.isatty():
        raise UsageError("--watch is for a terminal")

    def look() -> dict[str, Any] | str:
        try:
            document = _ask(path, "status")
            with _as_svcnet_answers(path):
                check_rows(document)
            return document
        except ApplyError as error:
            return str(error)

    from svcnet.cli.status_view import check_rows

    watch = StatusWatch(look, has_keys=sys.stdin.isatty())
    with outlets(), keys() as pressed, live(watch.draw, screen=True) as redraw:
        for key in pressed:
            if not watch.press(key):
                break
            redraw()


def _print_tables(text: str) -> None:
    """Print a proxy's tables; where no proxy runs there is none."""
    if not text:
        warn("there is none")
        sys.exit(1)
    _print_text(text)


def _print_text(text: str) -> None:
    """Print a text as it is, on a terminal without control characters."""
    from svcnet.cli.status_view import printable

    click.echo(printable(text) if sys.stdout.isatty() else text.encode(), nl=False)


def _print_texts(answer: dict[str, Any]) -> None:
    """Print texts, and why they were refused to standard error."""
    from svcnet.cli.status_view import printable

    texts, error = answer["texts"], answer["error"]
    if error is not None:
        warn(printable(error))
    elif not texts:
        warn("there is none")
        sys.exit(1)
    for text in texts:
        if len(texts) > 1:
            click.echo(f"# {printable(text['of'])}:")
        _print_text(text["text"])
        if text["cut"]:
            warn(f"{printable(text['of'])}: only its beginning was kept")
