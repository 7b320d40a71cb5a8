"""The table that ``svcnet run`` shows on a terminal: each Service, where it is, what it counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from svcnet.executors.userspace import BackendCounts, NodeProxy, Snapshot

SECONDS = 1.0


@contextmanager
def live(node: NodeProxy) -> Iterator[None]:
    """Show the counts of `node` until the end, from a thread of its own."""
    console = Console()
    over = threading.Event()

    def show() -> None:
        with Live(console=console, auto_refresh=False) as view:
            try:
                while True:
                    rows = max(console.height - 8, 1)
                    view.update(table(list(node.snapshots()), rows), refresh=True)
                    if over.wait(SECONDS):
                        return
            except CancelledError:  # the proxy has ended
                return

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(SECONDS)


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
