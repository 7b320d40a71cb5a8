"""UDP: each client of a listener has a flow, a socket of its own to one backend.

A flow ends when nothing has passed for a while, when its backend is refused or removed, and
when there are too many: then one of the Service that has most. Errors end with the flow:
nothing is ever sent because of one.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress
from select import EPOLLIN
from typing import Any

from netaddr import IPSet

from svcnet.renderers.userspace.table import Role
from svcnet.servers.doors import OUT_OF_DESCRIPTORS
from svcnet.servers.origins import origin
from svcnet.servers.sockets import CONTROL_SPACE, Ancillary, answer_source
from svcnet.servers.userspace.balancer import ActiveBackend
from svcnet.servers.userspace.service import ServedPort
from svcnet.servers.userspace.site import Site
from svcnet.servers.userspace.sockets import refuse, renew

LARGEST = 65_535
AT_ONCE = 64
"""How many datagrams of one socket are handled before others have their turn."""

_DATAGRAM = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC

Key = tuple["DatagramListener", Any, bytes]


class UDPSession:
    """One client's datagrams to one backend, and the answers."""

    __slots__ = ("_flows", "key", "reply", "sock", "target", "used")

    def __init__(
        self, flows: Flows, key: Key, reply: Ancillary, sock: socket.socket, target: ActiveBackend
    ) -> None:
        self._flows = flows
        self.key = key
        self.reply = reply
        self.sock = sock
        self.target = target
        self.used = 0.0

    def send(self, data: bytes) -> None:
        """Hand a datagram on; one that the kernel has no room for is lost, as datagrams are."""
        try:
            self.sock.send(data)
            self.target.up += len(data)
        except BlockingIOError:
            pass
        except OSError:
            self._flows.fail(self)

    def displace(self) -> None:
        """End, since there are too many flows."""
        self._flows.displace(self)

    def on_answer(self, _mask: int) -> None:
        listener, client, _ = self.key
        self._flows.touch(self)
        for _ in range(AT_ONCE):
            try:
                data = self.sock.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                self._flows.fail(self)
                return
            self.target.down += len(data)
            with suppress(OSError):
                listener.sock.sendmsg((data,), self.reply, 0, client)


class Flows:
    """All flows of an engine, the one that was silent longest first; ``idle`` is in seconds."""

    def __init__(self, site: Site, idle: float) -> None:
        self._site = site
        self._loop = site.loop
        self._idle = idle
        self._crowd = site.budget.flows
        self._flows: OrderedDict[Key, UDPSession] = OrderedDict()
        self._is_timed = False

    def __len__(self) -> int:
        return len(self._flows)

    def forward(self, listener: DatagramListener, data: bytes, client: Any, info: bytes) -> None:
        """Hand a client's datagram to the backend of its flow, a new one if need be."""
        key = (listener, client, info)
        flow = self._flows.get(key) or self._open(key)
        if flow is not None:
            self.touch(flow)
            flow.send(data)

    def touch(self, flow: UDPSession) -> None:
        flow.used = self._loop.now
        if flow.key in self._flows:
            self._flows.move_to_end(flow.key)
            self._crowd.touch(flow)

    def fail(self, flow: UDPSession) -> None:
        """End a flow whose backend is refused; the client's next datagram goes to another."""
        listener, client, _ = flow.key
        flow.target.failed += 1
        listener.service.affinity.forget(client[0])
        self.end(flow)

    def end(self, flow: UDPSession) -> None:
        if self._flows.pop(flow.key, None) is not None:
            self._crowd.remove(flow)
            flow.target.active -= 1
            self._loop.close(flow.sock)

    def displace(self, flow: UDPSession) -> None:
        """End a flow to make room, which is counted."""
        self._site.overflow.note(flow.key[0].service).displaced += 1
        self.end(flow)

    def end_of(self, targets: Collection[ActiveBackend]) -> None:
        """End the flows to backends that are no more."""
        for flow in [flow for flow in self._flows.values() if flow.target in targets]:
            self.end(flow)

    def end_from(self, listener: DatagramListener) -> None:
        """End the flows of a listener that closes."""
        for flow in [flow for flow in self._flows.values() if flow.key[0] is listener]:
            self.end(flow)

    def end_all(self) -> None:
        """End every flow."""
        for flow in list(self._flows.values()):
            self.end(flow)

    def _open(self, key: Key) -> UDPSession | None:
        listener, client, info = key
        if listener.sources is not None and client[0] not in listener.sources:
            return None
        target = listener.service.choose(client[0], listener.role, self._loop.now)
        if target is None:
            return None
        if self._crowd.is_full():
            self._make_room()
        sock = self._connect(target)
        if sock is None:
            return None
        flow = self._flows[key] = UDPSession(self, key, answer_source(info), sock, target)
        self._crowd.add(flow, listener.service.owner, origin(client[0]))
        target.connections += 1
        target.active += 1
        self._loop.watch(sock.fileno(), EPOLLIN, flow.on_answer)
        if not self._is_timed:
            self._is_timed = True
            self._loop.after(self._idle, self._expire)
        return flow

    def _make_room(self) -> None:
        """End a flow, of whichever engine of the process."""
        flow = self._crowd.first_to_go()
        if flow is not None:
            flow.displace()

    def _connect(self, target: ActiveBackend) -> socket.socket | None:
        """Return a socket to a backend; out of descriptors, a flow gives its own."""
        try:
            sock = socket.socket(self._site.address_family, _DATAGRAM)
        except OSError as error:
            if error.errno not in OUT_OF_DESCRIPTORS:
                raise
            self._make_room()
            return None
        try:
            sock.connect(target.address)
        except OSError:
            target.failed += 1
            sock.close()
            return None
        return sock

    def _expire(self) -> None:
        """End what was silent too long, and look again when the next is due."""
        now = self._loop.now
        while self._flows:
            oldest = next(iter(self._flows.values()))
            if now - oldest.used < self._idle:
                self._loop.after(oldest.used + self._idle - now, self._expire)
                return
            self.end(oldest)
        self._is_timed = False


class DatagramListener:
    """A proxy port for datagrams, which refuses until it is renewed.

    ``sources`` are those to take datagrams from where the kernel does not see to that.
    """

    def __init__(self, flows: Flows, service: ServedPort, role: Role, sock: socket.socket) -> None:
        self._flows = flows
        self.service = service
        self.role = role
        self.sock = sock
        self.sources: IPSet | None = None
        self._address = sock.getsockname()[:2]
        refuse(sock)

    def renew(self) -> None:
        """Take a socket that hears everybody, in the place of one that refused."""
        refusing = self.sock
        self.sock = renew(refusing, self._address)
        refusing.close()

    def on_ready(self, _mask: int) -> None:
        receive, forward = self.sock.recvmsg, self._flows.forward
        for _ in range(AT_ONCE):
            try:
                data, ancillary, _, client = receive(LARGEST, CONTROL_SPACE)
            except OSError:  # nothing more, or what is not for us
                return
            forward(self, data, client, ancillary[0][2] if ancillary else b"")
