"""TCP: a client's connection, the dial to a backend, and the bytes between the two."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import EALREADY, EINPROGRESS
from functools import partial
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT
from socket import SocketType
from typing import NamedTuple

from svcnet.renderers.userspace.table import Role
from svcnet.servers.doors import OUT_OF_DESCRIPTORS, Shortage
from svcnet.servers.userspace.balancer import ActiveBackend
from svcnet.servers.userspace.deadlines import Deadlines
from svcnet.servers.userspace.pipes import Buffer, CannotSplice, Carriers, Pipe
from svcnet.servers.userspace.proxy_protocol import header
from svcnet.servers.userspace.service import ServedPort
from svcnet.servers.userspace.site import Site
from svcnet.servers.userspace.sockets import KEEPALIVE_SECONDS

DIAL_SECONDS = (0.25, 0.5, 1.0, 2.0)
"""How long each attempt may take (pkg/proxy/userspace/proxysocket.go)."""

RETRY_SECONDS = 0.1
"""How long nobody is taken or dialled for once descriptors have run out."""

YOUTH_SECONDS = 20.0
"""How old a connection is, at most, when its backend is first to be probed in silence.

That is long before KEEPALIVE_SECONDS are over, and most connections end earlier: it takes two
system calls that they are spared.
"""

LITTLE_BYTES = 8 << 10
"""What is copied at a time; a direction that has as much is moved by a pipe from then on.

A pipe takes two calls more that cost as much as copying so much.
"""

_CONNECTED, _ENDED, _UNWATCHED = 100, 101, -1
RESET = struct.pack("ii", 1, 0)
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


class Direction:
    """One way of a connection: from a socket to another one, what is little by copying it.

    What is much goes by a carrier. ``reads`` is whether more is wanted from the source. While
    the carrier holds bytes that the sink does not take, nothing is read: what waits is bounded,
    and the sender is slowed down as if it were connected to the receiver itself.
    """

    __slots__ = (
        "_carrier",
        "_carriers",
        "_is_bulk",
        "_sink",
        "finished",
        "moved",
        "reads",
        "source",
        "waits",
    )

    def __init__(self, carriers: Carriers, source: SocketType, sink: SocketType) -> None:
        self._carriers = carriers
        self.source = source
        self._sink = sink
        self._carrier: Pipe | Buffer | None = None
        self._is_bulk = False
        self.reads = True
        self.waits = False
        self.finished = False
        self.moved = 0

    def pump(self) -> None:
        """Move what there is. Raises OSError when either end is broken."""
        if self._is_bulk:
            self._carry()
            return
        try:
            data = self.source.recv(LITTLE_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._finish()
            return
        try:
            sent = self._sink.send(data)
        except BlockingIOError:
            sent = 0
        self.moved += sent
        if sent < len(data):
            self._carrier = Buffer(data[sent:])
            self.waits, self.reads = True, False
        self._is_bulk = len(data) == LITTLE_BYTES

    def _carry(self) -> None:
        carriers = self._carriers
        carrier = carriers.take()
        try:
            held = carrier.fill(self.source.fileno())
        except BlockingIOError:
            carriers.give(carrier)
            return
        except CannotSplice:
            carriers.can_splice = False
            carriers.give(carrier)
            return
        except OSError:
            carriers.give(carrier)
            raise
        self._carrier = carrier
        if not held:
            self._release()
            self._finish()
            return
        self.flush()

    def flush(self) -> None:
        """Give the sink what the carrier holds. Raises OSError when it is broken."""
        carrier = self._carrier
        if carrier is None:
            return
        with suppress(BlockingIOError):
            self.moved += carrier.drain(self._sink.fileno())
        if carrier.size:
            self.waits, self.reads = True, False
        else:
            self._release()
            self.waits, self.reads = False, True

    def close(self) -> None:
        """Give up what was not delivered."""
        self._release()

    def _release(self) -> None:
        if self._carrier is not None:
            self._carriers.give(self._carrier)
            self._carrier = None

    def _finish(self) -> None:
        """The source has ended: so must what the sink sees, and only that."""
        self.reads, self.waits, self.finished = False, False, True
        self._sink.shutdown(socket.SHUT_WR)


class Caller(NamedTuple):
    """A client that has connected: by which listener, from where, and whom it counts for."""

    service: ServedPort
    role: Role
    sock: SocketType
    peer: tuple[str, int]
    source: str | bytes


class Relays:
    """All connections of an engine; `shortage` is when there are no descriptors for more."""

    def __init__(self, site: Site, shortage: Shortage) -> None:
        self.loop = site.loop
        self.address_family = site.address_family
        self.carriers = site.budget.carriers
        self.shortage = shortage
        self.dials = [Deadlines(self.loop, seconds, Relay.on_timeout) for seconds in DIAL_SECONDS]
        self._budget = site.budget
        self._open: set[Relay] = set()
        self._young: set[Relay] = set()
        self._is_timed = False
        self._when_none: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Relay]:
        return iter(self._open)

    def begin(self, caller: Caller) -> None:
        """Connect a client, who has been counted, with a backend."""
        relay = Relay(self, caller)
        self._open.add(relay)
        self._young.add(relay)
        if not self._is_timed:
            self._is_timed = True
            self.loop.after(YOUTH_SECONDS, self._keep_alive)
        relay.dial()

    def _keep_alive(self) -> None:
        """Have the kernel probe backends of connections that are young no more."""
        self._young = {relay for relay in self._young if not relay.keep_alive()}
        self._is_timed = bool(self._young)
        if self._young:
            self.loop.after(YOUTH_SECONDS, self._keep_alive)

    def end(self, relay: Relay, caller: Caller) -> None:
        """Hear that a connection is over."""
        self._open.discard(relay)
        self._young.discard(relay)
        self._budget.connections.give(caller.service.owner, caller.source)
        if self._budget.waiting:
            self._budget.wake()
        self.shortage.relieve()
        if self._when_none is not None and not self._open:
            self._when_none()

    def when_none(self, action: Callable[[], None]) -> None:
        """Call `action` when there is no connection any more."""
        self._when_none = action
        if not self._open:
            action()

    def abort(self) -> None:
        """End all connections at once."""
        for relay in list(self._open):
            relay.abort()


class Relay:
    """A client's connection: first the dial to a backend, then two directions.

    The client is not read while a backend is dialled: what it sends waits in the kernel.
    """

    __slots__ = (
        "_attempt",
        "_backend",
        "_backend_events",
        "_caller",
        "_client",
        "_client_events",
        "_down",
        "_relays",
        "_target",
        "_up",
    )

    def __init__(self, relays: Relays, caller: Caller) -> None:
        self._relays = relays
        self._caller = caller
        self._client = caller.sock
        self._attempt = 0
        self._backend: SocketType | None = None
        self._target: ActiveBackend | None = None
        self._up: Direction | None = None
        self._down: Direction | None = None
        self._client_events = self._backend_events = 0

    @property
    def target(self) -> ActiveBackend | None:
        """The backend, once there is one that answered."""
        return self._target if self._attempt == _CONNECTED else None

    @property
    def traffic(self) -> tuple[int, int]:
        """The bytes that the backend was given, and those that the client was given."""
        return (
            self._up.moved if self._up is not None else 0,
            self._down.moved if self._down is not None else 0,
        )

    def keep_alive(self) -> bool:
        """Have the kernel probe a silent backend; return False if there is none yet."""
        backend = self._backend
        if backend is None or self._attempt != _CONNECTED:
            return False
        backend.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        backend.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        return True

    def dial(self) -> None:
        """Try the next backend; after the last attempt give the client up."""
        relays, caller = self._relays, self._caller
        while self._attempt < len(DIAL_SECONDS):
            target = caller.service.choose(caller.peer[0], caller.role, relays.loop.now)
            if target is None:
                break
            try:
                backend = SocketType(relays.address_family, _STREAM)
            except OSError as error:
                if error.errno not in OUT_OF_DESCRIPTORS:
                    raise
                relays.shortage.wait(self.dial, RETRY_SECONDS)
                return
            self._attempt += 1
            self._target = target
            self._backend = backend
            if self._connect(backend, target):
                return
            self._fail()
        self.abort()

    def _connect(self, backend: SocketType, target: ActiveBackend) -> bool:
        """Begin to connect; return whether that can succeed."""
        backend.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = backend.connect_ex(target.address)
        if error == EINPROGRESS:
            # On this machine the other end has answered within the call: asking again tells,
            # and spares an event, its handler and a deadline.
            error = backend.connect_ex(target.address)
        if error == EALREADY:
            self._relays.loop.watch(backend.fileno(), EPOLLOUT, self._on_connected)
            self._relays.dials[self._attempt - 1].add(self)
        elif error == 0:
            self._begin(self._relays.loop.watch)
        else:
            return False
        return True

    def on_timeout(self) -> None:
        """Hear that the attempt's time is up."""
        self._fail()
        self.dial()

    def _fail(self) -> None:
        """The backend does not answer: that is counted, and the client not bound to it."""
        assert self._target is not None
        assert self._backend is not None
        self._target.failed += 1
        self._caller.service.affinity.forget(self._caller.peer[0])
        self._relays.dials[self._attempt - 1].discard(self)
        self._relays.loop.close(self._backend)
        self._backend = self._target = None

    def _on_connected(self, mask: int) -> None:
        if mask & (EPOLLERR | EPOLLHUP):
            self._fail()
            self.dial()
            return
        self._relays.dials[self._attempt - 1].discard(self)
        self._begin(self._relays.loop.rehandle)

    def _begin(self, watch: Callable[[int, int, Callable[[int], None]], None]) -> None:
        """Begin to move bytes: the backend has answered, and is to be watched by `watch`."""
        backend, client, target, caller = self._backend, self._client, self._target, self._caller
        assert backend is not None
        assert target is not None
        self._attempt = _CONNECTED
        target.connections += 1
        target.active += 1
        try:
            if caller.service.proxy_protocol:
                backend.send(header(client, caller.peer))
        except OSError:
            self.abort()
            return
        carriers = self._relays.carriers
        self._up = up = Direction(carriers, client, backend)
        self._down = down = Direction(carriers, backend, client)
        self._client_events = self._backend_events = EPOLLIN
        # A partial function is called by the loop as quickly as what it is made of.
        self._relays.loop.watch(client.fileno(), EPOLLIN, partial(self._on_event, up, down))
        watch(backend.fileno(), EPOLLIN, partial(self._on_event, down, up))

    def _on_event(self, out: Direction, back: Direction, mask: int) -> None:
        """Something happened at the source of `out`, which is the sink of `back`."""
        try:
            if out.reads:
                if mask & ~EPOLLOUT:
                    out.pump()
                    if mask == EPOLLIN and out.reads:
                        # The usual case: nobody wants anything else than before.
                        return
            elif mask & EPOLLERR:
                self.abort()
                return
            elif mask & EPOLLHUP:
                self._mute(out.source)
            if mask & EPOLLOUT:
                back.flush()
        except OSError:
            self.abort(out.source if mask & EPOLLERR else None)
            return
        if out.finished and back.finished:
            self._end()
        else:
            self._settle()

    def _mute(self, sock: SocketType) -> None:
        """Stop hearing of a socket whose both ends are shut: epoll would not stop telling."""
        self._relays.loop.unwatch(sock.fileno())
        if sock is self._client:
            self._client_events = _UNWATCHED
        else:
            self._backend_events = _UNWATCHED

    def _settle(self) -> None:
        """Watch each socket for what its directions want next."""
        up, down = self._up, self._down
        assert up is not None
        assert down is not None
        wanted = (EPOLLIN if up.reads else 0) | (EPOLLOUT if down.waits else 0)
        if wanted != self._client_events:
            self._client_events = self._watch(up, down, self._client_events, wanted)
        wanted = (EPOLLIN if down.reads else 0) | (EPOLLOUT if up.waits else 0)
        if wanted != self._backend_events:
            self._backend_events = self._watch(down, up, self._backend_events, wanted)

    def _watch(self, out: Direction, back: Direction, now: int, wanted: int) -> int:
        if now != _UNWATCHED:
            self._relays.loop.rewatch(out.source.fileno(), wanted)
        elif wanted:
            handler = partial(self._on_event, out, back)
            self._relays.loop.watch(out.source.fileno(), wanted, handler)
        else:
            return _UNWATCHED
        return wanted

    def abort(self, gone: SocketType | None = None) -> None:
        """End at once, and let both ends see that it was no ordinary end, but for one `gone`."""
        for sock in (self._client, self._backend):
            if sock is not None and sock is not gone:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._end()

    def _end(self) -> None:
        relays, target = self._relays, self._target
        if self._attempt == _CONNECTED and target is not None:
            up, down = self.traffic
            target.active -= 1
            target.up += up
            target.down += down
            for direction in (self._up, self._down):
                if direction is not None:
                    direction.close()
        elif self._backend is not None:
            relays.dials[self._attempt - 1].discard(self)
        if self._backend is not None:
            relays.loop.close(self._backend)
        self._attempt, self._backend = _ENDED, None
        relays.loop.close(self._client)
        relays.end(self, self._caller)
