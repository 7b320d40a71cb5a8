"""``svcnet status --watch``: what is shown of a run, and the keys that scroll and filter it."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from svcnet.cli.status_view import head, printable, rows, table
from svcnet.words import count_noun

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

FRESH_SECONDS = 0.9
"""So long an answer is shown again when a key has it drawn; then the run is asked anew."""

LEAST_LINES = 5
"""The table has so many lines, whatever else there is to tell."""

MOST_FILTER = 60

_KEY = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])|.", re.DOTALL)
_NAMES = {
    **dict.fromkeys(("\x1b[A", "\x1bOA", "k"), "up"),
    **dict.fromkeys(("\x1b[B", "\x1bOB", "j", "\r", "\n"), "down"),
    **dict.fromkeys(("\x1b[5~", "b"), "page up"),
    **dict.fromkeys(("\x1b[6~", " "), "page down"),
    **dict.fromkeys(("\x1b[H", "\x1b[1~", "\x1bOH", "g"), "first"),
    **dict.fromkeys(("\x1b[F", "\x1b[4~", "\x1bOF", "G"), "last"),
}
_HELP = "↑ ↓ PgUp PgDn scroll, / filters, q ends"


class StatusWatch:
    """What is shown of a run: a part of its service ports, from one of them on, that has a text.

    `look` returns a status document, or why there is none. Keys come from one thread, and another
    one draws.
    """

    def __init__(self, look: Callable[[], dict[str, Any] | str], *, has_keys: bool) -> None:
        self._look = look
        self._has_keys = has_keys
        self._first = 0
        self._page = 1
        self._filter = ""
        self._is_typing = False
        self._found: dict[str, Any] | str = ""
        self._asked = -FRESH_SECONDS

    def press(self, key: str) -> bool:
        """Do what a key says; return whether to go on."""
        if self._is_typing:
            self._type(key)
            return True
        match _NAMES.get(key, key):
            case "up":
                self._first -= 1
            case "down":
                self._first += 1
            case "page up":
                self._first -= self._page
            case "page down":
                self._first += self._page
            case "first":
                self._first = 0
            case "last":
                self._first = sys.maxsize
            case "/":
                self._is_typing = True
            case "\x1b":
                self._filter, self._first = "", 0
            case "q":
                return False
        # Where it ends is known to who draws; before the beginning there is nothing.
        self._first = max(self._first, 0)
        return True

    def _type(self, key: str) -> None:
        if key in ("\r", "\n"):
            self._is_typing = False
        elif key == "\x1b":
            self._is_typing, self._filter = False, ""
        elif key in ("\x7f", "\b"):
            self._filter = self._filter[:-1]
        elif key.isprintable() and len(self._filter) < MOST_FILTER:
            self._filter += key
        self._first = 0

    def draw(self, height: int) -> RenderableType:
        """Return what is shown on so many lines."""
        from rich.console import Console, Group
        from rich.text import Text

        if time.monotonic() - self._asked >= FRESH_SECONDS:
            self._found, self._asked = self._look(), time.monotonic()
        document = self._found
        if isinstance(document, str):
            return Text(printable(document))
        console = Console(file=sys.stdout)
        above = Group(*map(Text, head(document)))
        wanted = self._filter.casefold()
        found = list(rows(document))
        those = [row for row in found if wanted in " ".join(row).casefold()]
        room = max(height - len(console.render_lines(above)) - 2, LEAST_LINES)
        shown = self._part(those, room, console)
        below = Text(self._bottom(len(shown), len(those), len(found)), overflow="fold")
        return Group(above, table(shown), below)

    def _part(
        self, those: Sequence[tuple[str, ...]], room: int, console: Console
    ) -> Sequence[tuple[str, ...]]:
        """Return the rows that are shown: as many as have room from the first one on.

        At the end of the list the first one is such that the last has room.
        """
        first = min(self._first, max(len(those) - 1, 0))
        count = _count_fit(those[first:], room, console)
        if first + count >= len(those):
            count = _count_fit(those[::-1], room, console)
            first = min(first, max(len(those) - count, 0))
        self._first, self._page = first, max(count, 1)
        return those[first : first + count]

    def _bottom(self, shown: int, those: int, all_rows: int) -> str:
        which = "none"
        if shown:
            ports = count_noun(those, "service port")
            which = f"{self._first + 1}-{self._first + shown} of {ports}"
        of = f" with {self._filter!r}, of {all_rows}" if self._filter else ""
        if self._is_typing:
            return f"filter: {self._filter}_  (Enter keeps it, Esc takes it away); {which}"
        return f"{which}{of}" + (f"; {_HELP}" if self._has_keys else "")


def _count_fit(those: Sequence[tuple[str, ...]], room: int, console: Console) -> int:
    """Return how many of the first rows have room, one at least if there is one."""
    count = min(len(those), room)
    while count > 1:
        over = len(console.render_lines(table(those[:count]))) - room
        if over <= 0:
            break
        # A row has several lines where it folds: so many fewer rows are a step, and no leap.
        count = max(count - max(over // 3, 1), 1)
    return count


@contextmanager
def keys() -> Iterator[Iterator[str]]:
    """Yield the keys that are pressed, one by one, until SIGINT; without a terminal only that.

    SIGINT ends them also where who started this process ignores, or blocks, that signal.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with ExitStack() as stack:
        stack.callback(os.close, reading)
        stack.callback(os.close, writing)
        if threading.current_thread() is threading.main_thread():
            before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
            stack.callback(signal.set_wakeup_fd, before)
            handler = signal.signal(signal.SIGINT, lambda *_: None)
            stack.callback(signal.signal, signal.SIGINT, handler)
            blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, blocked)
        number = _terminal(stack)
        yield _read_keys(number, reading)


def _terminal(stack: ExitStack) -> int | None:
    """Have keys come one by one, until the end; return where from, None where there are none.

    A process in the background would be stopped if it asked for keys.
    """
    try:
        number = sys.stdin.fileno()
        if os.tcgetpgrp(number) != os.getpgrp():
            return None
        before = termios.tcgetattr(number)
        tty.setcbreak(number)
    except (OSError, ValueError, AttributeError, termios.error):
        return None
    stack.callback(termios.tcsetattr, number, termios.TCSADRAIN, before)
    return number


def _read_keys(number: int | None, end: int) -> Iterator[str]:
    from_keys = () if number is None else (number,)
    while True:
        ready, _, _ = select.select([end, *from_keys], [], [])
        if end in ready:
            if signal.SIGINT in os.read(end, 64):
                return
            continue
        assert number is not None
        data = os.read(number, 1024)
        if not data:  # the terminal is gone
            from_keys = ()
        yield from _KEY.findall(data.decode(errors="replace"))
