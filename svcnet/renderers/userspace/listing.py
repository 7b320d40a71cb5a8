"""The table for people: where each Service is served, listener by listener."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

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


class Row(NamedTuple):
    """What there is to say of one listener.

    ``backends`` says instead what becomes of traffic where there are none.
    """

    service_port: str
    portals: tuple[str, ...]
    served_at: str
    backends: tuple[str, ...]
    remarks: tuple[str, ...]


def listing(table: ProxyTable, address: str) -> str:
    """Return the table, aligned; `address` is the one that the proxy listens on."""
    found = (row for service in table for row in rows(service, table.ports, address))
    lines = align([HEADINGS, *map(_line, found)])
    return "".join(f"{line}\n" for line in lines)


def rows(service: ProxiedPort, ports: Mapping[ListenerName, int], address: str) -> Iterator[Row]:
    """Yield what there is to say of a service port, a row for each listener."""
    for listener in service.listeners:
        yield Row(
            str(service.name),
            tuple(_portals(service, listener.role)),
            str(Backend(address, ports[ListenerName(service.name, listener.role)])),
            tuple(map(str, listener.backends)) or (_NO_BACKENDS[listener.answer],),
            tuple(_remarks(service, listener)),
        )


def align(lines: Iterable[tuple[str, ...]]) -> list[str]:
    """Return lines whose columns begin below each other."""
    lines = list(lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _line(row: Row) -> tuple[str, ...]:
    said = f" ({'; '.join(row.remarks)})" if row.remarks else ""
    backends = ", ".join(row.backends) + said
    return row.service_port, ", ".join(row.portals) or "-", row.served_at, backends


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


def _remarks(service: ProxiedPort, listener: Listener) -> Iterator[str]:
    if listener.answer == "serve":
        if service.affinity:
            yield f"affinity {service.affinity} s"
        if service.proxy_protocol:
            yield "PROXY protocol"
        for cidr in listener.sources:
            yield f"only from {cidr}"
    if service.health_check and listener is service.listeners[0]:
        yield f"health check on port {service.health_check}"
