"""Other processes that serve the same ports: each has an engine, and does as it is told.

The proxy tells a worker one thing at a time, over a pair of sockets, and waits for its
word. A worker whose proxy is gone, however that ended, ends too.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from select import EPOLLIN
from typing import Any

from attrs import evolve

from svcnet.errors import ApplyError
from svcnet.renderers.userspace.table import Role, ServicePortName
from svcnet.servers.userspace.engine import Engine, ServicePortChange
from svcnet.servers.userspace.loop import EventLoop
from svcnet.servers.userspace.statistics import Refusals, Statistics

CHANGES_AT_ONCE = 50
"""How many changes go in one message: the kernel passes at most 253 descriptors with it."""

_HEADER = struct.Struct("!II")


class Worker:
    """The proxy's end of a worker process."""

    def __init__(
        self, make_engine: Callable[[EventLoop], Engine], earlier: Sequence[Worker]
    ) -> None:
        self._channel, theirs = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            # A copy of the proxy's ends would keep other workers from hearing of its end.
            for worker in (self, *earlier):
                worker.hang_up()
            _serve(make_engine, theirs)
        theirs.close()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable unasked only when the worker is gone."""
        return self._channel.fileno()

    def apply(self, changes: Sequence[ServicePortChange]) -> None:
        """Have the worker follow changes, whose sockets are passed on and closed here."""
        for start in range(0, len(changes), CHANGES_AT_ONCE):
            self._apply(changes[start : start + CHANGES_AT_ONCE])

    def statistics(self) -> Statistics:
        answer: Statistics = self._ask("statistics")
        return answer

    def refusals(self) -> Mapping[ServicePortName, Refusals]:
        answer: Mapping[ServicePortName, Refusals] = self._ask("refusals")
        return answer

    def drain(self, seconds: float) -> None:
        """Have the worker close its listeners, and end when its connections have."""
        self._ask("drain", seconds)

    def hang_up(self) -> None:
        """Say no more; a worker that does not drain then ends."""
        self._channel.close()

    def wait(self) -> None:
        """Wait until the process has ended."""
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _apply(self, changes: Sequence[ServicePortChange]) -> None:
        roles = [tuple(change.sockets) for change in changes]
        sockets = [sock for change in changes for sock in change.sockets.values()]
        bare = [evolve(change, sockets={}) for change in changes]
        self._ask("apply", (bare, roles), [sock.fileno() for sock in sockets])
        for sock in sockets:
            sock.close()

    def _ask(self, verb: str, argument: Any = None, descriptors: Sequence[int] = ()) -> Any:
        try:
            _send(self._channel, (verb, argument), descriptors)
            answer, _ = _receive(self._channel)
        except OSError:
            raise ApplyError(f"a worker process of the proxy has ended: {self.pid}") from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(make_engine: Callable[[EventLoop], Engine], channel: socket.socket) -> None:
    """Be a worker process; does not return."""
    status = 1
    try:
        # Signals of the terminal and of service managers reach every process of the group;
        # when to end, the proxy decides.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        loop = EventLoop()
        engine = make_engine(loop)
        verbs: Mapping[str, Callable[[Any, list[int]], Any]] = {
            "apply": lambda told, fds: engine.apply(_with_sockets(told[0], told[1], fds)),
            "statistics": lambda _told, _fds: engine.statistics(),
            "refusals": lambda _told, _fds: engine.refusals(),
            "drain": lambda seconds, _fds: engine.drain(seconds, loop.stop),
        }

        def on_word(_mask: int) -> None:
            try:
                (verb, argument), descriptors = _receive(channel)
            except OSError:  # the proxy is gone
                loop.stop()
                return
            try:
                answer = verbs[verb](argument, descriptors)
            except OSError as error:
                answer = ApplyError(f"a worker process of the proxy: {error}")
            with suppress(OSError):
                _send(channel, answer, ())

        loop.watch(channel.fileno(), EPOLLIN, on_word)
        loop.run()
        engine.release()
        loop.release()
        status = 0
    except Exception:
        traceback.print_exc()  # a bug, which would be silent here
    finally:
        # The parent's memory is not ours to tear down.
        os._exit(status)


def _with_sockets(
    changes: Sequence[ServicePortChange], roles: Sequence[Sequence[Role]], descriptors: list[int]
) -> list[ServicePortChange]:
    rest = iter(descriptors)
    return [
        evolve(change, sockets={role: socket.socket(fileno=next(rest)) for role in own})
        for change, own in zip(changes, roles, strict=True)
    ]


def _send(channel: socket.socket, value: Any, descriptors: Sequence[int]) -> None:
    data = pickle.dumps(value)
    socket.send_fds(channel, [_HEADER.pack(len(data), len(descriptors))], descriptors)
    channel.sendall(data)


def _receive(channel: socket.socket) -> tuple[Any, list[int]]:
    header, descriptors, _, _ = socket.recv_fds(channel, _HEADER.size, 4 * CHANGES_AT_ONCE)
    if len(header) < _HEADER.size:
        raise ConnectionResetError
    size, _ = _HEADER.unpack(header)
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise ConnectionResetError
        parts += part
    return pickle.loads(bytes(parts)), list(descriptors)  # noqa: S301  (our own process's)
