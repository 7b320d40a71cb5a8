"""The table for people: where each Service is served, one line a listener."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from svcnet.renderers.userspace.table import (
    Backend,
    Listener,
    ListenerName,
    ProxiedPort,
    ProxyTable,
    Role,
)

HEADINGS = ("SERVICE PORT", "STANDS FOR", "SERVED AT", "BACKENDS")
_NO_BACKENDS = MappingProxyType(
    {"refuse": "refused: no endpoints", "drop": "dropped: no endpoints on this node"}
)


def listing(table: ProxyTable, address: str) -> str:
    """Return the table, aligned; `address` is the one that the proxy listens on."""
    rows = [HEADINGS, *_rows(table, address)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        + "\n"
        for row in rows
    )


def _rows(table: ProxyTable, address: str) -> Iterator[tuple[str, str, str, str]]:
    for service in table:
        for listener in service.listeners:
            name = ListenerName(service.name, listener.role)
            yield (
                str(service.name),
                ", ".join(_portals(service, listener.role)) or "-",
                str(Backend(address, table.ports[name])),
                _backends(service, listener),
            )


def _portals(service: ProxiedPort, role: Role) -> Iterator[str]:
    """Yield the addresses whose traffic comes to a listener, and from where if not all."""
    for portal in service.portals:
        if role not in (portal.role, portal.near):
            continue
        where = (
            str(Backend(portal.address, portal.port))
            if portal.address
            else f"node port {portal.port}"
        )
        if portal.role != portal.near:
            where += " from outside" if role == portal.role else " from this node"
        yield where


def _backends(service: ProxiedPort, listener: Listener) -> str:
    if listener.answer != "serve":
        return _NO_BACKENDS[listener.answer]
    notes = [
        f"affinity {service.affinity} s" if service.affinity else "",
        "PROXY protocol" if service.proxy_protocol else "",
        f"only from {', '.join(listener.sources)}" if listener.sources else "",
    ]
    said = "; ".join(filter(None, notes))
    return ", ".join(map(str, listener.backends)) + (f" ({said})" if said else "")
