"""The event loop: what the kernel reports, what other threads ask for, and what falls due.

The standard library's loop calls a transport that calls a protocol, through a task queue,
for each thing that happens. Here a descriptor's handler is called at once: for a proxy,
whose work for an event is two system calls, that is the larger half of its speed.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from select import EPOLLIN, epoll
from socket import SocketType
from threading import RLock
from typing import Any, TypeVar

Value = TypeVar("Value")

EVENTS_AT_ONCE = 1024


class EventLoop:
    """One epoll instance with its handlers and timers.

    ``now`` is the time of :func:`time.monotonic` at which the current events were read.
    All but ``call`` is for the thread that runs the loop.
    """

    def __init__(self) -> None:
        self.now = time.monotonic()
        self._epoll = epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._closing: list[SocketType] = []
        self._calls: deque[tuple[Future[Any], Callable[[], None]]] = deque()
        self._lock = RLock()
        self._is_released = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._running = True
        self.watch(self._wake, EPOLLIN, self._run_calls)

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Call `handler` with a mask of EPOLL bits whenever one of `events` is so."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def rewatch(self, fd: int, events: int) -> None:
        """Change the events that a descriptor is watched for."""
        self._epoll.modify(fd, events)

    def rehandle(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Change both the events and the handler of a descriptor."""
        self._epoll.modify(fd, events)
        self._handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor that stays open."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self, sock: SocketType) -> None:
        """Forget a socket and close it when all current events have been handled.

        Closed at once, its number could be that of a new socket, which would then get
        the old one's events. For the same reason epoll is told: it forgets a closed file by
        itself, but not while another process has it, as one that is just being started.
        """
        self.unwatch(sock.fileno())
        self._closing.append(sock)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` once, not before `seconds` have passed."""
        heappush(self._timers, (self.now + seconds, next(self._numbers), action))

    def call(self, work: Callable[[], Value]) -> Future[Value]:
        """Have the loop's thread call `work`; for any thread.

        The result is cancelled when the loop has ended before that.
        """
        done: Future[Value] = Future()

        def carry_out() -> None:
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(work())
                except BaseException as error:  # it belongs to the thread that asked
                    done.set_exception(error)

        with self._lock:
            if self._is_released:
                done.cancel()
                return done
            self._calls.append((done, carry_out))
            os.eventfd_write(self._wake, 1)
        return done

    def stop(self) -> None:
        """Let :meth:`run` return once the current events have been handled."""
        self._running = False

    def run(self) -> None:
        """Handle events until :meth:`stop`."""
        handlers, poll, monotonic = self._handlers, self._epoll.poll, time.monotonic
        while self._running:
            events = poll(self._patience(), EVENTS_AT_ONCE)
            self.now = monotonic()
            for fd, mask in events:
                handler = handlers.get(fd)
                if handler is not None:
                    handler(mask)
            if self._closing:
                self._close()
            if self._timers and self._timers[0][0] <= self.now:
                self._expire()

    def release(self) -> None:
        """Close what is still to be closed, and the loop's own descriptors."""
        self._close()
        self._epoll.close()
        with self._lock:
            self._is_released = True
            os.close(self._wake)
        for done, _ in self._calls:
            done.cancel()

    def _close(self) -> None:
        for sock in self._closing:
            sock.close()
        self._closing.clear()

    def _patience(self) -> float:
        if not self._timers:
            return -1
        return max(self._timers[0][0] - time.monotonic(), 0)

    def _expire(self) -> None:
        while self._timers and self._timers[0][0] <= self.now:
            heappop(self._timers)[2]()

    def _run_calls(self, _mask: int) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while self._calls:
            self._calls.popleft()[1]()
