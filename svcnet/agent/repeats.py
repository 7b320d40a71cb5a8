"""What goes on and on is told, but not each time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import monotonic

from attrs import define

MOST_AT_ONCE = 10
"""So often the same is told, one after the other; then once in so many seconds."""
APART_SECONDS = 60.0
MOST_SUBJECTS = 1000


@define
class _Subject:
    """How often it may be told now, since when, and how often it was passed over."""

    left: float
    since: float
    passed_over: int = 0


class Repeats:
    """Says which lines to write, by what they are about; `clock` counts seconds.

    Of a subject the first few are written, and then one a minute.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._subjects: OrderedDict[Hashable, _Subject] = OrderedDict()

    def passed_over(self, subject: Hashable) -> int | None:
        """Return None to have a line passed over, else how many were since the last one."""
        now = self._clock()
        found = self._subjects.setdefault(subject, _Subject(MOST_AT_ONCE, now))
        self._subjects.move_to_end(subject)
        if len(self._subjects) > MOST_SUBJECTS:
            self._subjects.popitem(last=False)
        more = (now - found.since) / APART_SECONDS
        found.left, found.since = min(found.left + more, MOST_AT_ONCE), now
        if found.left < 1:
            found.passed_over += 1
            return None
        count, found.passed_over = found.passed_over, 0
        found.left -= 1
        return count
