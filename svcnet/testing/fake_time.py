"""An event loop whose clock does not wait: tests of long times take moments."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")

QUIET_SECONDS = 0.001
"""For so long nothing may come before it is taken that nothing will until the next timer."""


class _Selector(selectors.DefaultSelector):
    """Gives what is ready; where nothing is, the time that was to be waited is over at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(min(timeout, QUIET_SECONDS))
        if not ready:
            self.now += timeout
        return ready


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, which goes on only where nothing is to be done.

    So an hour is over as soon as all has been done that happens in it, and what is done takes no
    time. Servers and clients must be in the same loop; work in threads is not waited for.
    """

    def __init__(self) -> None:
        self._fake = _Selector()
        super().__init__(self._fake)

    def time(self) -> float:
        """Return the time, which begins at 0."""
        return self._fake.now


def run_in_fake_time(main: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine to its end in such a loop, as ``asyncio.run`` does in one of real time."""
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        return runner.run(main)
