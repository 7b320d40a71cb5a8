"""What is shown on a terminal and drawn again every second: the table of ``svcnet run``, too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from svcnet.executors.userspace import BackendCounts, NodeProxy, Snapshot

SECONDS = 1.0
"""How long a drawing stands."""

END_SECONDS = 0.5
"""How long a drawing that is being made has at the end."""


@contextmanager
def live(draw: Callable[[int], RenderableType], *, screen: bool = False) -> Iterator[None]:
    """Show what `draw` returns for a number of lines, until the end, from a thread of its own.

    With `screen` it has the whole terminal, which is then as it was before. It is over too once
    `draw` raises CancelledError.
    """
    console = Console()
    over = threading.Event()

    def show() -> None:
        with suppress(CancelledError):
            while not over.is_set():
                drawn = draw(console.height)
                if not over.is_set():
                    view.update(drawn, refresh=True)
                over.wait(SECONDS)

    with Live(console=console, auto_refresh=False, screen=screen) as view:
        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            # It may wait for somebody to answer: the terminal is given back all the same.
            over.set()
            thread.join(END_SECONDS)


def counts(node: NodeProxy, height: int) -> RenderableType:
    """Return what the proxies of a node have counted, for a terminal of so many lines.

    Raises CancelledError when they have ended.
    """
    return table(list(node.snapshots()), max(height - 8, 1))


def table(snapshots: list[Snapshot], rows: int) -> Table:
    """Return the busiest service ports, `rows` of them at most, as a table."""
    found = [
        (snapshot, name, counts)
        for snapshot in snapshots
        for name, counts in snapshot.statistics.services.items()
    ]
    found.sort(key=lambda item: (-_total(item[2], "connections"), item[1]))
    connections = sum(snapshot.statistics.connections for snapshot in snapshots)
    flows = sum(snapshot.statistics.flows for snapshot in snapshots)
    caption = f"{connections} connections and {flows} flows are open"
    if len(found) > rows:
        caption += f"; {len(found) - rows} quieter service ports are not shown"
    shown = Table(caption=caption)
    shown.add_column("Service port")
    for heading in ("Proxy port", "Backends", "Open", "Total", "Failed", "To them", "From them"):
        shown.add_column(heading, justify="right")
    for snapshot, name, counts in found[:rows]:
        ports = [port for own, port in snapshot.ports.items() if own.service_port == name]
        shown.add_row(
            str(name),
            " ".join(map(str, sorted(ports))),
            str(len(counts)),
            str(_total(counts, "active")),
            str(_total(counts, "connections")),
            str(_total(counts, "failed")),
            size(_total(counts, "up")),
            size(_total(counts, "down")),
        )
    return shown


def _total(counts: tuple[BackendCounts, ...], field: str) -> int:
    return sum(getattr(counted, field) for counted in counts)


def size(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
