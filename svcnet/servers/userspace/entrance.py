"""Where connections come in: the listeners of an engine, and when they are not listened to."""

from __future__ import annotations

import socket
from contextlib import suppress
from select import EPOLLIN, epoll
from socket import AF_INET, SOCK_STREAM, SocketType
from typing import TypeAlias

from netaddr import IPSet

from svcnet.renderers.userspace.table import Role
from svcnet.servers.doors import Shortage, admit
from svcnet.servers.origins import origin
from svcnet.servers.userspace import filters
from svcnet.servers.userspace.service import ServedPort
from svcnet.servers.userspace.site import Site
from svcnet.servers.userspace.sockets import listen
from svcnet.servers.userspace.streams import RESET, RETRY_SECONDS, Caller, Relays

READY_AT_ONCE = 64
"""How many listeners are looked at before what is open already has its turn."""

AcceptedClient: TypeAlias = tuple[int, tuple[str, int]]
"""A descriptor, and the address and port of who is at the other end."""


class StreamListener:
    """A proxy port for connections, at which clients are taken as at any door.

    ``sources`` are those to take connections from where the kernel does not see to that.
    """

    def __init__(
        self, entrance: Entrance, service: ServedPort, role: Role, sock: socket.socket
    ) -> None:
        self._entrance = entrance
        self.service = service
        self.role = role
        self.sock = sock
        self.sources: IPSet | None = None

    def has_room(self) -> bool:
        """Return whether the Service may have one more connection; if not, wait until it may."""
        if self._entrance.shares.has_room(self.service.owner):
            return True
        self._entrance.wait_for_room(self)
        return False

    def take(self) -> AcceptedClient:
        """Return a connection that waits. Raises BlockingIOError when there is none, and OSError.

        socket.accept() would make an object of the standard library's Python class, with
        its family and type looked up as enums. Without those, here and for backends, a
        process serves a fifth more new connections.
        """
        taken: AcceptedClient = self.sock._accept()  # type: ignore[attr-defined]
        return taken

    def serve(self, client: AcceptedClient) -> None:
        """Dial for a client, or end it if it may not come or its source has too many."""
        fd, peer = client
        entrance, service, family = self._entrance, self.service, self._entrance.family
        sock = SocketType(family, SOCK_STREAM, 0, fd)
        # An IPv4 address is its own origin.
        source = peer[0] if family == AF_INET else origin(peer[0])
        if self.sources is not None and peer[0] not in self.sources:
            reset(sock)
        elif entrance.shares.take(service.owner, source):
            sock.setblocking(False)
            entrance.relays.begin(Caller(service, self.role, sock, peer[:2], source))
        else:
            reset(sock)
            entrance.overflow.note(service).refused += 1

    def rest(self) -> None:
        """Look away from all listeners until descriptors are back."""
        self._entrance.shortage.begin(RETRY_SECONDS)


class Entrance:
    """The listeners of an engine that take connections, and the connections.

    Listeners are in an epoll instance of their own: to look away from all is one system call.
    """

    def __init__(self, site: Site) -> None:
        self.family = site.address_family
        self.shares = site.budget.connections
        self.overflow = site.overflow
        self.shortage = Shortage(site.loop.after, self._look_away, self._look_again)
        self.relays = Relays(site, self.shortage)
        self._loop = site.loop
        self._budget = site.budget
        self._doors = epoll()
        self._listeners: dict[int, StreamListener] = {}
        self._crowded: dict[StreamListener, None] = {}
        self._looks_for_room = False
        self._loop.watch(self._doors.fileno(), EPOLLIN, self._on_ready)

    def add(self, listener: StreamListener) -> None:
        """Take a listener's clients from now on."""
        listen(listener.sock)
        self._listeners[listener.sock.fileno()] = listener
        self._doors.register(listener.sock.fileno(), EPOLLIN)

    def remove(self, listener: StreamListener) -> None:
        """Take no more clients of a listener, but for those that have come already."""
        admit(listener)
        if listener in self._crowded:
            del self._crowded[listener]
        else:
            self._doors.unregister(listener.sock.fileno())
        del self._listeners[listener.sock.fileno()]

    def wait_for_room(self, listener: StreamListener) -> None:
        """Take nobody at a listener until its Service may have one more connection."""
        if listener.sock.fileno() in self._listeners and listener not in self._crowded:
            self._crowded[listener] = None
            self._budget.waiting[self._wake] = None
            self._doors.unregister(listener.sock.fileno())
            self.overflow.note(listener.service).waited += 1

    def bar(self) -> None:
        """Let no new connection begin; those that have begun can still be taken."""
        for listener in self._listeners.values():
            with suppress(PermissionError):
                filters.attach(listener.sock, filters.NOTHING_NEW)

    def close(self) -> None:
        """End all connections at once. All listeners have been removed."""
        self._budget.waiting.pop(self._wake, None)
        self.relays.abort()
        self.shortage.close()
        self._loop.unwatch(self._doors.fileno())
        self._doors.close()

    def _on_ready(self, _mask: int) -> None:
        for fd, _ in self._doors.poll(0, READY_AT_ONCE):
            admit(self._listeners[fd])

    def _look_away(self) -> None:
        self._loop.rewatch(self._doors.fileno(), 0)

    def _look_again(self) -> None:
        self._loop.rewatch(self._doors.fileno(), EPOLLIN)

    def _wake(self) -> None:
        """Look for room, once what happens now has happened."""
        if not self._looks_for_room:
            self._looks_for_room = True
            self._loop.after(0, self._look_for_room)

    def _look_for_room(self) -> None:
        self._looks_for_room = False
        has_room = self.shares.has_room
        for listener in [each for each in self._crowded if has_room(each.service.owner)]:
            del self._crowded[listener]
            self._doors.register(listener.sock.fileno(), EPOLLIN)
        if not self._crowded:
            self._budget.waiting.pop(self._wake, None)


def reset(client: SocketType) -> None:
    """Close a connection so that its client sees that it was no ordinary end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()
