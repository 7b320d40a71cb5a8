"""What is shown on a terminal and drawn again every second: the table of ``svcnet run``, too."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from svcnet.cli.manner import manner
from svcnet.errors import MissingExtra

try:
    from rich.console import Console
    from rich.live import Live
except ModuleNotFoundError as error:
    raise MissingExtra.of(error) from None

if TYPE_CHECKING:
    from rich.console import RenderableType

SECONDS = 1.0
"""How long a drawing stands."""

END_SECONDS = 0.5
"""How long a drawing that is being made has at the end."""


@contextmanager
def live(
    draw: Callable[[int], RenderableType], *, screen: bool = False
) -> Iterator[Callable[[], None]]:
    """Show what `draw` returns for a number of lines, until the end, from a thread of its own.

    Yields what has it drawn again at once. With `screen` it has the whole terminal, which is then
    as it was before. It is over too once `draw` raises CancelledError.
    """
    console = Console(no_color=not manner().paints(sys.stdout))
    over, wanted = threading.Event(), threading.Event()

    def show() -> None:
        with suppress(CancelledError):
            while not over.is_set():
                drawn = draw(console.height)
                if not over.is_set():
                    view.update(drawn, refresh=True)
                wanted.wait(SECONDS)
                wanted.clear()

    with Live(console=console, auto_refresh=False, screen=screen) as view:
        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield wanted.set
        finally:
            # It may wait for somebody to answer: the terminal is given back all the same.
            over.set()
            wanted.set()
            thread.join(END_SECONDS)
