"""Virtual servers, and steps between them, as netlink messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from svcnet.netfilter.ipvs.messages import (
    MADE_BY_SVCNET,
    SCHED1,
    DelDest,
    DelService,
    Dest,
    IPVSService,
    Message,
    NewDest,
    NewService,
    SetConfig,
    SetDest,
    SetService,
    Timeouts,
)
from svcnet.renderers.ipvs.delta import IPVSDelta, ServerChange
from svcnet.renderers.ipvs.part import RealServer, VirtualServer
from svcnet.renderers.ipvs.tables import IPVSTables, by_address


def program(tables: IPVSTables) -> Iterator[Message]:
    """Yield the messages that make every virtual server, ordered by address.

    The timeouts of connections come first, if the configuration has any.
    """
    yield from timeout_changes(tables.settings.ipvs.timeouts)
    for server in sorted(tables.servers.values(), key=lambda server: by_address(server.key)):
        yield from _add(server)


def additions(delta: IPVSDelta) -> Iterator[Message]:
    """Yield the messages of a step up to virtual servers that go, ordered by address.

    A changed virtual server gets its new real servers before it loses old ones.
    """
    yield from timeout_changes(delta.timeouts)
    for _, before, after in _by_address(delta.servers):
        if after is None:
            continue
        if before is None:
            yield from _add(after)
        else:
            yield from _change(before, after)


def removals(delta: IPVSDelta) -> Iterator[Message]:
    """Yield the messages of a step that take virtual servers away, ordered by address."""
    for _, before, after in _by_address(delta.servers):
        if before is not None and after is None:
            yield DelService(service_of(before))


def listing(messages: Iterable[Message]) -> str:
    """Return messages as text, a line each: the bytes as hex, and what they say.

    The kernel numbers the family when it starts and a sender numbers its messages, so
    both are 0 here: the third 16-bit word, and the third 32-bit word, of each line.
    """
    from svcnet.netfilter.ipvs.wire import encode

    return "".join(f"{encode(message, 0).hex()}  # {message}\n" for message in messages)


def service_of(server: VirtualServer) -> IPVSService:
    """Return a virtual server as the kernel knows it, without its real servers.

    Beside the flags that kube-proxy sets it has svcnet's mark, and with a scheduler that
    can the one that sends a client elsewhere while the endpoint that its hash leads to
    takes no connections (``IP_VS_SVC_F_SCHED_SH_FALLBACK``, ``…_MH_FALLBACK``).
    """
    address, port, protocol = server.key
    flags = server.flags | MADE_BY_SVCNET
    if server.scheduler in ("sh", "mh"):
        flags |= SCHED1
    return IPVSService(address, port, protocol, server.scheduler, flags, server.timeout)


def dest_of(real: RealServer) -> Dest:
    """Return a real server as the kernel knows it."""
    return Dest(real.address, real.port, real.weight)


def timeout_changes(timeouts: tuple[int, int, int]) -> Iterator[SetConfig]:
    """Yield the change of the timeouts of idle connections, none if there are only zeros."""
    if any(timeouts):
        tcp, tcp_fin, udp = timeouts
        yield SetConfig(Timeouts(tcp, tcp_fin, udp))


def _by_address(changes: Iterable[ServerChange]) -> list[ServerChange]:
    return sorted(changes, key=lambda change: by_address(change.key))


def _add(server: VirtualServer) -> Iterator[Message]:
    service = service_of(server)
    yield NewService(service)
    for real in server.real_servers:
        yield NewDest(service, dest_of(real))


def _change(before: VirtualServer, after: VirtualServer) -> Iterator[Message]:
    service = service_of(after)
    if service != service_of(before):
        yield SetService(service)
    old = {real[:2]: real for real in before.real_servers}
    new = {real[:2]: real for real in after.real_servers}
    for key, real in new.items():
        if key not in old:
            yield NewDest(service, dest_of(real))
        elif real != old[key]:
            yield SetDest(service, dest_of(real))
    for key, real in old.items():
        if key not in new:
            yield DelDest(service, dest_of(real))
