"""What a proxy counts, as a table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcnet.errors import MissingExtra
from svcnet.natural import natural_key
from svcnet.words import count_noun

try:
    from rich.table import Table
except ModuleNotFoundError as error:
    raise MissingExtra.of(error) from None

if TYPE_CHECKING:
    from rich.console import RenderableType

    from svcnet.servers.userspace import BackendCounts, NodeProxy, ProxySnapshot


def counts(node: NodeProxy, height: int) -> RenderableType:
    """Return what the proxies of a node have counted, for a terminal of so many lines.

    Raises CancelledError when they have ended.
    """
    return table(list(node.snapshots()), max(height - 8, 1))


def table(snapshots: list[ProxySnapshot], rows: int) -> Table:
    """Return the busiest service ports, `rows` of them at most, as a table."""
    found = [
        (snapshot, name, counts)
        for snapshot in snapshots
        for name, counts in snapshot.statistics.services.items()
    ]
    found.sort(key=lambda item: (-_total(item[2], "connections"), natural_key(str(item[1]))))
    connections = sum(snapshot.statistics.connections for snapshot in snapshots)
    flows = sum(snapshot.statistics.flows for snapshot in snapshots)
    caption = f"{count_noun(connections, 'connection')} and {count_noun(flows, 'flow')} are open"
    if len(found) > rows:
        more = count_noun(len(found) - rows, "quieter service port is", "quieter service ports are")
        caption += f"; {more} not shown"
    shown = Table(caption=caption)
    shown.add_column("Service port", overflow="fold")
    for heading in ("Proxy port", "Backends", "Open", "Total", "Failed", "To them", "From them"):
        shown.add_column(heading, justify="right", overflow="fold")
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
