"""The engine: listeners, connections and flows of one process, driven by one loop."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from select import EPOLLIN

from attrs import field, frozen
from netaddr import IPSet

from svcnet.family import IPFamily
from svcnet.renderers.userspace.table import (
    ROLES,
    Listener,
    ListenerName,
    ProxiedPort,
    Role,
    ServicePortName,
)
from svcnet.servers.userspace import filters
from svcnet.servers.userspace.balancer import ActiveBackend
from svcnet.servers.userspace.budget import FileBudget
from svcnet.servers.userspace.datagrams import DatagramListener, Flows
from svcnet.servers.userspace.entrance import Entrance, StreamListener
from svcnet.servers.userspace.loop import EventLoop
from svcnet.servers.userspace.service import ServedPort
from svcnet.servers.userspace.site import Site
from svcnet.servers.userspace.sockets import guard, refuse
from svcnet.servers.userspace.statistics import Refusals, Statistics, count

HANDSHAKE_SECONDS = 0.1
UDP_IDLE_SECONDS = 0.25


@frozen
class ServicePortChange:
    """What an engine must follow about one service port.

    ``sockets`` are those of listeners that are new, by role, and ``closed`` the roles of
    listeners that go. Without ``config`` the rest stays as it is; a service port goes with
    its last listener.
    """

    name: ServicePortName
    config: ProxiedPort | None
    sockets: Mapping[Role, socket.socket] = field(factory=dict)
    closed: tuple[Role, ...] = ()


class Engine:
    """All that one process serves of one IP family, by the events of a loop."""

    def __init__(
        self,
        loop: EventLoop,
        family: IPFamily,
        *,
        udp_idle: float = UDP_IDLE_SECONDS,
        budget: FileBudget,
    ) -> None:
        self.budget = budget
        self._site = site = Site(loop, family, budget)
        self._entrance = Entrance(site)
        self._relays = self._entrance.relays
        self._flows = Flows(site, udp_idle)
        self._services: dict[ServicePortName, ServedPort] = {}
        self._listeners: dict[ListenerName, StreamListener | DatagramListener] = {}
        self._open: set[ListenerName] = set()
        self._drained: Callable[[], None] | None = None

    def apply(self, changes: Iterable[ServicePortChange]) -> None:
        """Follow changes; what they do not name is not touched."""
        for change in changes:
            if change.config is not None:
                self._follow(change.name, change.config, change.sockets)
            for role in change.closed:
                self._close(ListenerName(change.name, role))
            if not any(ListenerName(change.name, role) in self._listeners for role in ROLES):
                self._forget(change.name)
        self.budget.fit()

    def steer(self, name: ListenerName, sockets: int) -> None:
        """Spread a listener's clients over its `sockets` by address, 0 to undo that."""
        sock = self._listeners[name].sock
        if sockets:
            program = filters.by_source(self._site.family, sockets)
            filters.attach(sock, program, filters.SO_ATTACH_REUSEPORT_CBPF)
        else:
            with suppress(FileNotFoundError):
                filters.detach(sock, filters.SO_DETACH_REUSEPORT_BPF)

    def statistics(self) -> Statistics:
        """Return what was counted since the start, open connections included."""
        moved: dict[ActiveBackend, tuple[int, int]] = {}
        for relay in self._relays:
            if relay.target is not None:
                up, down = moved.get(relay.target, (0, 0))
                moved[relay.target] = (up + relay.traffic[0], down + relay.traffic[1])
        return Statistics(
            connections=len(self._relays),
            flows=len(self._flows),
            services={
                name: tuple(
                    count(target, *moved.get(target, (0, 0))) for target in service.targets.values()
                )
                for name, service in self._services.items()
            },
            refusals=self.refusals(),
        )

    def refusals(self) -> Mapping[ServicePortName, Refusals]:
        """Return what there was no room for, of service ports where that is anything."""
        return self._site.overflow.refusals()

    def drain(self, seconds: float, done: Callable[[], None]) -> None:
        """Close every listener; call `done` when the last connection ends or time is up.

        A connection that is just being made would be reset by that. So for a moment no new
        one can begin, and those that have are still accepted.
        """
        self._entrance.bar()
        self._site.loop.after(
            min(seconds, HANDSHAKE_SECONDS), lambda: self._close_and_wait(seconds, done)
        )

    def _close_and_wait(self, seconds: float, done: Callable[[], None]) -> None:
        for name in list(self._listeners):
            self._close(name)
        self._drained = done
        if self._relays:
            self._site.loop.after(seconds, self._has_drained)
        self._relays.when_none(self._has_drained)

    def release(self) -> None:
        """End what is left, at once."""
        for name in list(self._listeners):
            self._close(name)
        for service_port in list(self._services):
            self._forget(service_port)
        self._entrance.close()
        self._flows.end_all()
        self.budget.carriers.close()

    def _has_drained(self) -> None:
        done, self._drained = self._drained, None
        if done is not None:
            done()

    def _follow(
        self, name: ServicePortName, config: ProxiedPort, sockets: Mapping[Role, socket.socket]
    ) -> None:
        service = self._services.get(name)
        if service is None:
            service = self._services[name] = ServedPort(config)
            self.budget.join(name)
        else:
            gone = service.change(config)
            if gone and name.protocol == "UDP":
                self._flows.end_of(gone)
        for role, sock in sockets.items():
            found: StreamListener | DatagramListener
            if name.protocol == "TCP":
                found = StreamListener(self._entrance, service, role, sock)
            else:
                found = DatagramListener(self._flows, service, role, sock)
            self._listeners[ListenerName(name, role)] = found
        self.budget.listen(len(sockets))
        for listener in config.listeners:
            self._set(ListenerName(name, listener.role), listener)

    def _set(self, name: ListenerName, listener: Listener) -> None:
        """Let a listener answer as the table says.

        Where the kernel does not drop what is to be dropped, it is refused.
        """
        found = self._listeners[name]
        if listener.answer == "refuse":
            self._shut(name)
            return
        if name not in self._open and isinstance(found, DatagramListener):
            found.renew()
        is_guarded = guard(found.sock, listener)
        found.sources = None if is_guarded else IPSet(listener.sources)
        if listener.answer == "drop" and not is_guarded:
            self._shut(name)
        elif name not in self._open:
            self._begin(name)

    def _begin(self, name: ListenerName) -> None:
        found = self._listeners[name]
        if isinstance(found, StreamListener):
            self._entrance.add(found)
        else:
            self._site.loop.watch(found.sock.fileno(), EPOLLIN, found.on_ready)
        self._open.add(name)

    def _shut(self, name: ListenerName) -> None:
        """Refuse from now on; what has come already is still served."""
        found = self._listeners[name]
        if name not in self._open:
            return
        self._open.discard(name)
        if isinstance(found, StreamListener):
            self._entrance.remove(found)
        else:
            self._site.loop.unwatch(found.sock.fileno())
            self._flows.end_from(found)
        refuse(found.sock)

    def _close(self, name: ListenerName) -> None:
        if name in self._listeners:
            self._shut(name)
            self._site.loop.close(self._listeners.pop(name).sock)
            self.budget.listen(-1)

    def _forget(self, name: ServicePortName) -> None:
        if self._services.pop(name, None) is not None:
            self._site.overflow.forget(name)
            self.budget.leave(name)
