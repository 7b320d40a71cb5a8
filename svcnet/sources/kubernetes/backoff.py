"""How long to wait before a server is asked again."""

from __future__ import annotations

from random import Random

from attrs import define, frozen


@frozen
class Patience:
    """Times in seconds; the defaults suit a server that many nodes watch.

    The wait after a failure begins at ``first`` and doubles up to ``longest``; after ``quiet``
    without one it begins anew. A connection may take ``connect``, an answer ``answer``. A watch
    lasts from ``watch`` to twice that. A server that was away for more than ``trust`` may have
    been restored from a backup, so all is listed again. ``page`` objects at most are asked for
    at once.
    """

    first: float = 0.8
    longest: float = 30.0
    quiet: float = 120.0
    connect: float = 10.0
    answer: float = 60.0
    watch: float = 300.0
    trust: float = 10.0
    page: int = 200


@define
class Backoff:
    """Waits that grow, with jitter, so that nodes which lost a server together come one by one."""

    patience: Patience
    random: Random
    _wait: float = 0.0
    _last: float = float("-inf")

    def delay(self, now: float) -> float:
        """Return how many seconds to wait after a failure at the time `now`."""
        if now - self._last > self.patience.quiet:
            self._wait = self.patience.first
        delay = self.random.uniform(self._wait / 2, self._wait)
        self._wait = min(self._wait * 2, self.patience.longest)
        self._last = now + delay
        return delay
