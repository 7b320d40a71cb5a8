"""Who waits for something that all wait for equally long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from svcnet.servers.userspace.loop import EventLoop

Waiting = TypeVar("Waiting")


class Deadlines(Generic[Waiting]):
    """Calls `action` with each that has waited for `seconds`.

    They fall due in the order in which they came, so a dictionary does without a heap what
    matters most here: nearly all of them leave long before their time, and leave nothing
    behind. The loop has one timer for all.
    """

    def __init__(self, loop: EventLoop, seconds: float, action: Callable[[Waiting], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._action = action
        self._due: dict[Waiting, float] = {}
        self._is_timed = False

    def add(self, waiting: Waiting) -> None:
        """Begin to wait."""
        self._due[waiting] = self._loop.now + self._seconds
        if not self._is_timed:
            self._is_timed = True
            self._loop.after(self._seconds, self._expire)

    def discard(self, waiting: Waiting) -> None:
        """Wait no longer; it need not have waited."""
        self._due.pop(waiting, None)

    def _expire(self) -> None:
        now = self._loop.now
        while self._due:
            waiting, due = next(iter(self._due.items()))
            if due > now:
                self._loop.after(due - now, self._expire)
                return
            del self._due[waiting]
            self._action(waiting)
        self._is_timed = False
