"""How long to wait for a server, and before it is asked again."""

from __future__ import annotations

from random import Random

from attrs import define, frozen


@frozen
class Patience:
    """Times in seconds; the defaults suit a server that many nodes watch.

    The wait after a try that did not begin starts at ``first`` and doubles up to ``longest``. A
    watch that lasted ``lived``, or brought an event, is followed by another at once, though tries
    are never less than ``lived`` apart.

    A connection may take ``connect``, the beginning of an answer ``answer``, and the whole of a
    page ``whole``. A watch is asked for up to ``watch``, and so much shorter at random by a fifth;
    one that has not ended ``grace`` after its time is given up, whatever holds its connection open.
    So ``watch`` and ``grace`` together bound how long silence can hide that nothing comes.

    After an outage changes are held back until every kind has caught up, for ``together`` at most;
    a kind has caught up when nothing came for ``settle``. A server that was away for more than
    ``trust`` may have been restored from a backup, so all is listed again. ``page`` objects at most
    are asked for at once.
    """

    first: float = 0.8
    longest: float = 15.0
    lived: float = 1.0
    connect: float = 10.0
    answer: float = 20.0
    whole: float = 60.0
    watch: float = 45.0
    grace: float = 10.0
    together: float = 10.0
    settle: float = 0.25
    trust: float = 10.0
    page: int = 200


@define
class Backoff:
    """Waits that grow, with jitter, so that nodes which lost a server together come one by one.

    Several that try together wait together: the wait grows once for all tries that began before
    the last one was over.
    """

    patience: Patience
    random: Random
    _wait: float = 0.0
    _until: float = float("-inf")

    def until(self, begun: float, now: float) -> float:
        """Return until when to wait after a try that began at `begun` and has failed `now`."""
        if begun >= self._until:
            self._wait = min(max(2 * self._wait, self.patience.first), self.patience.longest)
            self._until = now + self.random.uniform(self._wait / 2, self._wait)
        return self._until

    def end(self) -> None:
        """Take it that a try has succeeded: waits begin anew."""
        self._wait = 0.0
        self._until = float("-inf")


@define
class Lengths:
    """For how long watches are asked, so that whatever stands before the server lets them end.

    What closes quiet connections does so after the same time again and again. From the second
    time on watches end before that, in order, and so with the server's last bookmark.
    """

    patience: Patience
    random: Random
    _limit: float = float("inf")
    _last: float | None = None

    def next(self) -> int:
        """Return for how many seconds to ask for a watch."""
        most = min(self.patience.watch, 0.8 * self._limit)
        return max(round(self.random.uniform(0.8 * most, most)), 1)

    def cut(self, quiet: float) -> None:
        """Take it that a watch was cut when nothing had come for `quiet` seconds."""
        if quiet < 5 * self.patience.lived:
            return
        if self._last is not None and abs(quiet - self._last) <= max(0.05 * quiet, 1.0):
            self._limit = min(self._limit, quiet, self._last)
        self._last = quiet
