"""The engine: listeners, connections and flows of one process, driven by one loop."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from select import EPOLLIN, epoll
from socket import AF_INET, SOCK_STREAM, SocketType

from attrs import field, frozen
from netaddr import IPSet

from svcnet.renderers.userspace.table import (
    ROLES,
    Listener,
    ListenerName,
    ProxiedPort,
    Role,
    ServicePortName,
)
from svcnet.servers.origins import origin
from svcnet.servers.userspace import filters
from svcnet.servers.userspace.admission import Service
from svcnet.servers.userspace.balancer import Target
from svcnet.servers.userspace.budget import Budget
from svcnet.servers.userspace.datagrams import DatagramListener, Flows
from svcnet.servers.userspace.deadlines import Deadlines
from svcnet.servers.userspace.loop import Loop
from svcnet.servers.userspace.service import ServicePort
from svcnet.servers.userspace.sockets import ADDRESSES, BACKLOG, guard, refuse
from svcnet.servers.userspace.statistics import Refusals, Statistics, count
from svcnet.servers.userspace.streams import DIAL_SECONDS, OUT_OF_DESCRIPTORS, RESET, Relay

ACCEPTED_AT_ONCE = 64
RETRY_SECONDS = 0.1
HANDSHAKE_SECONDS = 0.1
UDP_IDLE_SECONDS = 0.25


@frozen
class Change:
    """What an engine must follow about one service port.

    ``sockets`` are those of listeners that are new, by role, and ``closed`` the roles of
    listeners that go. Without ``config`` the rest stays as it is; a service port goes with
    its last listener.
    """

    name: ServicePortName
    config: ProxiedPort | None
    sockets: Mapping[Role, socket.socket] = field(factory=dict)
    closed: tuple[Role, ...] = ()


class StreamListener:
    """A proxy port for connections.

    ``sources`` are those to take connections from where the kernel does not see to that.
    """

    def __init__(
        self, engine: Engine, service: ServicePort, role: Role, sock: socket.socket
    ) -> None:
        self._engine = engine
        self.service = service
        self.role = role
        self.sock = sock
        self.sources: IPSet | None = None

    def accept(self, at_most: int = ACCEPTED_AT_ONCE) -> None:
        """Take connections that wait, and dial for each.

        socket.accept() would make an object of the standard library's Python class, with
        its family and type looked up as enums. Without those, here and for backends, a
        process serves a fifth more new connections.
        """
        engine, family = self._engine, self._engine.address_family
        shares, owner = engine.budget.connections, self.service.owner
        accept = self.sock._accept  # type: ignore[attr-defined]
        for _ in range(at_most):
            if not shares.has_room(owner):
                engine.wait_for_room(self)
                return
            try:
                fd, peer = accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in OUT_OF_DESCRIPTORS:
                    engine.wait_for_descriptors()
                    return
                continue  # this one has gone again: accept(2)
            client = SocketType(family, SOCK_STREAM, 0, fd)
            # An IPv4 address is its own origin.
            source = peer[0] if family == AF_INET else origin(peer[0])
            if self.sources is not None and peer[0] not in self.sources:
                reset(client)
            elif shares.take(owner, source):
                client.setblocking(False)
                Relay(engine, self.service, self.role, client, peer[:2], source).dial()
            else:
                reset(client)
                engine.has_turned_away(self.service).refused += 1


class Engine:
    """All that one process serves of one IP family, by the events of a loop."""

    def __init__(
        self,
        loop: Loop,
        family: str,
        *,
        udp_idle: float = UDP_IDLE_SECONDS,
        budget: Budget,
    ) -> None:
        self.family = family
        self.address_family = ADDRESSES[family]
        self.loop = loop
        self.budget = budget
        self.relays: set[Relay] = set()
        self.dials = [Deadlines(loop, seconds, Relay.on_timeout) for seconds in DIAL_SECONDS]
        self.flows = Flows(self, udp_idle)
        self.services: dict[ServicePortName, ServicePort] = {}
        self._listeners: dict[ListenerName, StreamListener | DatagramListener] = {}
        self._open: set[ListenerName] = set()
        self._doors = epoll()
        self._acceptors: dict[int, StreamListener] = {}
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_paused = False
        self._turned_away: dict[ServicePortName, ServicePort] = {}
        self._crowded: dict[StreamListener, None] = {}
        self._looks_for_room = False
        self._drained: Callable[[], None] | None = None
        self.loop.watch(self._doors.fileno(), EPOLLIN, self._on_doors)

    def apply(self, changes: Iterable[Change]) -> None:
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
            program = filters.by_source(self.family, sockets)
            filters.attach(sock, program, filters.SO_ATTACH_REUSEPORT_CBPF)
        else:
            with suppress(FileNotFoundError):
                filters.detach(sock, filters.SO_DETACH_REUSEPORT_BPF)

    def statistics(self) -> Statistics:
        """Return what was counted since the start, open connections included."""
        moved: dict[Target, tuple[int, int]] = {}
        for relay in self.relays:
            if relay.target is not None:
                up, down = moved.get(relay.target, (0, 0))
                moved[relay.target] = (up + relay.moved[0], down + relay.moved[1])
        return Statistics(
            connections=len(self.relays),
            flows=len(self.flows),
            services={
                name: tuple(
                    count(target, *moved.get(target, (0, 0))) for target in service.targets.values()
                )
                for name, service in self.services.items()
            },
            refusals=self.refusals(),
        )

    def ended(self, relay: Relay, owner: Service, source: str | bytes) -> None:
        """Hear that a connection of a Service and a source is over."""
        self.relays.discard(relay)
        self.budget.connections.give(owner, source)
        if self.budget.waiting:
            self.budget.wake()
        if self._is_paused:
            self._is_paused = False
            self.loop.after(0, self._resume)
        if self._drained is not None and not self.relays:
            self._has_drained()

    def has_turned_away(self, service: ServicePort) -> ServicePort:
        """Return `service`, which is one that was asked for more than it has room for."""
        self._turned_away[service.config.name] = service
        return service

    def refusals(self) -> Mapping[ServicePortName, Refusals]:
        """Return what there was no room for, of service ports where that is anything."""
        return {
            name: Refusals(service.refused, service.waited, service.displaced, service.active)
            for name, service in self._turned_away.items()
        }

    def wait_for_room(self, listener: StreamListener) -> None:
        """Accept nothing of a listener until its Service may have one more connection."""
        if listener.sock.fileno() in self._acceptors and listener not in self._crowded:
            self._crowded[listener] = None
            self.budget.waiting[self._wake] = None
            self._doors.unregister(listener.sock.fileno())
            self.has_turned_away(listener.service).waited += 1

    def wait_for_descriptors(self, action: Callable[[], None] | None = None) -> None:
        """Accept nothing until a connection ends or a moment has passed; then call `action`."""
        if action is not None:
            self._waiting.append(action)
        if not self._is_paused:
            self._is_paused = True
            self.loop.rewatch(self._doors.fileno(), 0)
            self.loop.after(RETRY_SECONDS, self._resume)

    def drain(self, seconds: float, done: Callable[[], None]) -> None:
        """Close every listener; call `done` when the last connection ends or time is up.

        A connection that is just being made would be reset by that. So for a moment no new
        one can begin, and those that have are still accepted.
        """
        for listener in self._acceptors.values():
            with suppress(PermissionError):
                filters.attach(listener.sock, filters.NOTHING_NEW)
        self.loop.after(
            min(seconds, HANDSHAKE_SECONDS), lambda: self._close_and_wait(seconds, done)
        )

    def _close_and_wait(self, seconds: float, done: Callable[[], None]) -> None:
        for name in list(self._listeners):
            self._close(name)
        self._drained = done
        if self.relays:
            self.loop.after(seconds, self._has_drained)
        else:
            self._has_drained()

    def release(self) -> None:
        """End what is left, at once."""
        for name in list(self._listeners):
            self._close(name)
        for service_port in list(self.services):
            self._forget(service_port)
        self.budget.waiting.pop(self._wake, None)
        for relay in list(self.relays):
            relay.abort()
        self.flows.end_all()
        self.budget.carriers.close()
        self.loop.unwatch(self._doors.fileno())
        self._doors.close()

    def _has_drained(self) -> None:
        done, self._drained = self._drained, None
        if done is not None:
            done()

    def _follow(
        self, name: ServicePortName, config: ProxiedPort, sockets: Mapping[Role, socket.socket]
    ) -> None:
        service = self.services.get(name)
        if service is None:
            service = self.services[name] = ServicePort(config)
            self.budget.join(name)
        else:
            gone = service.change(config)
            if gone and name.protocol == "UDP":
                self.flows.end_of(gone)
        for role, sock in sockets.items():
            found: StreamListener | DatagramListener
            if name.protocol == "TCP":
                found = StreamListener(self, service, role, sock)
            else:
                found = DatagramListener(self.flows, service, role, sock)
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
        self._open.add(name)
        if isinstance(found, StreamListener):
            found.sock.listen(BACKLOG)
            self._acceptors[found.sock.fileno()] = found
            self._doors.register(found.sock.fileno(), EPOLLIN)
        else:
            self.loop.watch(found.sock.fileno(), EPOLLIN, found.on_ready)

    def _shut(self, name: ListenerName) -> None:
        """Refuse from now on; what has come already is still served."""
        found = self._listeners[name]
        if name not in self._open:
            return
        self._open.discard(name)
        if isinstance(found, StreamListener):
            found.accept()
            if found in self._crowded:
                del self._crowded[found]
            else:
                self._doors.unregister(found.sock.fileno())
            del self._acceptors[found.sock.fileno()]
        else:
            self.loop.unwatch(found.sock.fileno())
            self.flows.end_from(found)
        refuse(found.sock)

    def _close(self, name: ListenerName) -> None:
        if name in self._listeners:
            self._shut(name)
            self.loop.close(self._listeners.pop(name).sock)
            self.budget.listen(-1)

    def _forget(self, name: ServicePortName) -> None:
        if self.services.pop(name, None) is not None:
            self._turned_away.pop(name, None)
            self.budget.leave(name)

    def _wake(self) -> None:
        """Look for room, once what happens now has happened."""
        if not self._looks_for_room:
            self._looks_for_room = True
            self.loop.after(0, self._look_for_room)

    def _look_for_room(self) -> None:
        self._looks_for_room = False
        shares = self.budget.connections
        for listener in [each for each in self._crowded if shares.has_room(each.service.owner)]:
            del self._crowded[listener]
            self._doors.register(listener.sock.fileno(), EPOLLIN)
        if not self._crowded:
            self.budget.waiting.pop(self._wake, None)

    def _on_doors(self, _mask: int) -> None:
        for fd, _ in self._doors.poll(0, ACCEPTED_AT_ONCE):
            self._acceptors[fd].accept()

    def _resume(self) -> None:
        self._is_paused = False
        self.loop.rewatch(self._doors.fileno(), EPOLLIN)
        for _ in range(len(self._waiting)):
            self._waiting.popleft()()


def reset(client: SocketType) -> None:
    """Close a connection so that its client sees that it was no ordinary end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()
