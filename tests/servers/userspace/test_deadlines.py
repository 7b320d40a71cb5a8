"""What falls due together, on a real loop."""

from __future__ import annotations

import time

from svcnet.servers.userspace.deadlines import Deadlines
from svcnet.servers.userspace.loop import EventLoop


def test_each_falls_due_in_its_turn_and_not_before() -> None:
    """Those that still wait are called in order, once; those that left are not."""
    loop = EventLoop()
    due: list[tuple[str, float]] = []
    deadlines = Deadlines[str](loop, 0.1, lambda name: due.append((name, loop.now - started)))
    started = loop.now
    deadlines.add("a")
    deadlines.add("gone")
    deadlines.discard("gone")
    deadlines.discard("never here")
    loop.after(0.05, lambda: deadlines.add("b"))
    loop.after(0.2, lambda: deadlines.add("again"))  # nobody waited, so the timer was off
    loop.after(0.5, loop.stop)
    loop.run()
    loop.release()
    assert [name for name, _ in due] == ["a", "b", "again"]
    for (_, when), earliest in zip(due, (0.1, 0.15, 0.3), strict=True):
        assert when >= earliest


def test_waiting_again_is_allowed_when_it_falls_due() -> None:
    """What falls due may wait anew, as long as before."""
    loop = EventLoop()
    times: list[float] = []

    def again(name: str) -> None:
        times.append(time.monotonic())
        if len(times) < 3:
            deadlines.add(name)
        else:
            loop.stop()

    deadlines = Deadlines[str](loop, 0.05, again)
    deadlines.add("a")
    loop.run()
    loop.release()
    assert times[2] - times[0] >= 0.09
