"""Virtual servers as netlink messages."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.renderers.ipvs.messages import (
    MADE_BY_SVCNET,
    Dest,
    Message,
    NewDest,
    NewService,
    Service,
)
from svcnet.renderers.ipvs.part import RealServer, VirtualServer
from svcnet.renderers.ipvs.tables import IPVSTables, by_address


def program(tables: IPVSTables) -> Iterator[Message]:
    """Yield the messages that make every virtual server, ordered by address."""
    for server in sorted(tables.servers.values(), key=lambda server: by_address(*server.key)):
        service = service_of(server)
        yield NewService(service)
        for real in server.real_servers:
            yield NewDest(service, dest_of(real))


def service_of(server: VirtualServer) -> Service:
    """Return a virtual server as the kernel knows it, without its real servers."""
    address, port, protocol = server.key
    flags = server.flags | MADE_BY_SVCNET
    return Service(address, port, protocol, server.scheduler, flags, server.timeout)


def dest_of(real: RealServer) -> Dest:
    """Return a real server as the kernel knows it."""
    return Dest(*real)
