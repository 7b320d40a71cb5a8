"""How a command tells what is no result: how much of it, and in which colours.

Results go to standard output and are the same in any manner, but for the colours of a difference.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from io import StringIO
from typing import IO, Any, Literal, TypeAlias, TypeVar

import click
from attrs import define

Function = TypeVar("Function", bound=Callable[..., Any])
Color: TypeAlias = Literal["auto", "always", "never"]

PATIENCE = 1.0
"""How long people wait, in seconds, before they want to know what for."""

TICK = 0.25
"""How often a line of progress is drawn again, so that a machine that stands still is seen to."""

_SIGNS = "|/-\\"
_ERASE = "\r\x1b[K"
_WORD = re.compile(r"^((?:.*?: )?)(error|Error|warning):")
_DIFFERENCE = {"+": "green", "-": "red", "@": "cyan"}
_COLORS = {"error": "red", "Error": "red", "warning": "yellow"}


class ProgressLine:
    """A line on a terminal that says what goes on, and for how long, drawn by a thread of its own.

    It comes once people would like to know, and is gone as soon as something else is told.
    """

    def __init__(self, doing: str, stream: IO[str]) -> None:
        self._doing = doing
        self._stream = stream
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.is_shown = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ProgressLine:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()
        with self.pause():
            pass

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave the terminal as it was while inside; then the line may be drawn again."""
        with self._lock:
            if self.is_shown:
                self._write(_ERASE)
                self.is_shown = False
            yield

    def _run(self) -> None:
        begun = time.monotonic()
        wait = PATIENCE
        for sign in itertools.cycle(_SIGNS):
            if self._over.wait(wait):
                return
            wait = TICK
            with self._lock:
                self._write(f"{_ERASE}{sign} {self._doing}, {time.monotonic() - begun:.0f} s")
                self.is_shown = True

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@define
class Manner:
    """What ``--quiet``, ``--verbose`` and ``--color`` say, for one run of the command."""

    quiet: bool = False
    verbose: bool = False
    color: Color = "auto"
    progress: ProgressLine | None = None

    def paints(self, stream: IO[Any]) -> bool:
        """Return whether what goes to `stream` has colours: an option counts before NO_COLOR."""
        if self.color != "auto":
            return self.color == "always"
        return (
            not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()
        )

    def say(self, text: str) -> None:
        """Print lines to standard error, the word that says how bad it is in its colour."""
        paints = self.paints(sys.stderr)
        if paints:
            text = "\n".join(map(_paint, text.split("\n")))
        with nullcontext() if self.progress is None else self.progress.pause():
            click.echo(text, err=True, color=paints)


def _paint(line: str) -> str:
    return _WORD.sub(
        lambda found: found[1] + click.style(f"{found[2]}:", fg=_COLORS[found[2]], bold=True),
        line,
        count=1,
    )


def write_difference(text: str) -> None:
    """Write lines of a unified diff to standard output, what comes and what goes in colours."""
    paints = manner().paints(sys.stdout)
    for line in StringIO(text, newline="\n"):
        color = _DIFFERENCE.get(line[0]) if paints else None
        body = line.removesuffix("\n")
        sys.stdout.write(line if color is None else line.replace(body, click.style(body, fg=color)))


def manner() -> Manner:
    """Return the manner of the command that runs."""
    context = click.get_current_context(silent=True)
    return Manner() if context is None else context.ensure_object(Manner)


def warn(text: str) -> None:
    """Tell what is wrong, or may be, on standard error."""
    manner().say(text)


def tell(text: str) -> None:
    """Tell on standard error what was done or counted; ``--quiet`` silences it."""
    found = manner()
    if not found.quiet:
        found.say(text)


def detail(text: str) -> None:
    """Tell on standard error what only ``--verbose`` asks for."""
    found = manner()
    if found.verbose:
        found.say(text)


@contextmanager
def stage(doing: str) -> Iterator[None]:
    """Show on a terminal that something goes on, once it takes longer than people wait.

    `doing` is what goes on, like ``reading``. With ``--verbose`` the time that it took is told.
    """
    begun, found, stream = time.monotonic(), manner(), sys.stderr
    shows = not found.quiet and found.progress is None and stream.isatty()
    if shows and os.environ.get("TERM") != "dumb":
        with ProgressLine(doing, stream) as line:
            found.progress = line
            try:
                yield
            finally:
                found.progress = None
    else:
        yield
    detail(f"{doing}: {time.monotonic() - begun:.3f} s")


def tell_line(line: str) -> None:
    """Tell a line that may be a finding, which ``--quiet`` leaves, or a remark."""
    (warn if _WORD.match(line) else tell)(line)


def _set_quiet(context: click.Context, _option: click.Parameter, value: bool) -> None:
    found = context.ensure_object(Manner)
    found.quiet = found.quiet or value
    _refuse_both(found)


def _set_verbose(context: click.Context, _option: click.Parameter, value: bool) -> None:
    found = context.ensure_object(Manner)
    found.verbose = found.verbose or value
    _refuse_both(found)


def _set_color(context: click.Context, _option: click.Parameter, value: Color | None) -> None:
    if value is not None:
        context.ensure_object(Manner).color = value


def _refuse_both(found: Manner) -> None:
    if found.quiet and found.verbose:
        raise click.UsageError("--quiet and --verbose are opposites: say one")


def manner_options() -> list[click.Parameter]:
    """Return the options of every verb that say how it tells."""
    return [
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_set_quiet,
            help="Tell warnings and errors, and nothing of what was done.",
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_set_verbose,
            help="Tell what is done, and how long each part of it takes.",
        ),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            is_eager=True,
            expose_value=False,
            callback=_set_color,
            help="Colours: on a terminal unless NO_COLOR is set (auto, the default), or as said.",
        ),
    ]
