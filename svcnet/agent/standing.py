"""What an operator is told of an API server: each fault in a line, and none in a hundred."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from svcnet.inputs.feed import Say
from svcnet.words import count_noun

if TYPE_CHECKING:
    from svcnet.sources.kubernetes import ObjectChanges, Status

MOST_REASONS = 20
"""Different reasons of one outage that are told."""

MOST_OBJECTS = 20
"""Lines about objects that cannot be used in so many seconds:"""

PAUSE_SECONDS = 60.0


SAME_SECONDS = 5.0
"""For so long what befalls one kind after another is one fault, though the first may be back."""


class Standing:
    """Tells how it stands with a server.

    What befalls all kinds is one fault: during an outage each reason is told once, whichever kind
    it befell first, and its end once all kinds are back. An outage that was passed over, because
    they come too often, has no end that is told. That the server will not give objects that are not
    needed is no outage: each reason is told once until they come.
    """

    def __init__(self, say: Say, clock: Callable[[], float]) -> None:
        self._say = say
        self._clock = clock
        self._away: set[str] = set()
        self._reasons: dict[str, tuple[float, set[str]]] = {}
        self._without: dict[str, set[str]] = {}
        self._told = 0
        self._was_written = False

    def take(self, status: Status) -> None:
        """Take how it stands with one kind."""
        if status.state == "synced":
            self._without.pop(status.kind, None)
            self._back(status)
            return
        if status.state == "refused" and not status.needed:
            self._do_without(status)
            return
        if not self._away:
            self._forget()
        self._away.add(status.kind)
        # A refusal is of one kind, all else of the server.
        reason = str(status) if status.state == "refused" else f"{status.state}: {status.why}"
        _, kinds = self._reasons.get(reason, (0.0, set[str]()))
        if kinds and (self._told or status.kind not in kinds):
            kinds.add(status.kind)
        elif self._told < MOST_REASONS:
            self._told += 1
            self._reasons[reason] = (self._clock(), {status.kind})
            self._was_written |= self._say(f"API server: {reason}; the rules stay", warning=True)

    def _forget(self) -> None:
        """Forget what was told so long ago that it was of another outage."""
        now = self._clock()
        kept = [one for one in self._reasons.items() if now - one[1][0] < SAME_SECONDS]
        self._reasons = dict(kept)

    def _do_without(self, status: Status) -> None:
        told = self._without.setdefault(status.kind, set())
        if status.why not in told and len(told) < MOST_REASONS:
            told.add(status.why)
            self._say(f"API server: {status}; the rules do without", warning=True)
        self._end(status.kind)

    def _back(self, status: Status) -> None:
        if status.kind not in self._away:
            self._say(str(status))
            return
        self._end(status.kind)

    def _end(self, kind: str) -> None:
        """Take that an outage is over for a kind."""
        self._away.discard(kind)
        if not self._away and self._told:
            if self._was_written:
                self._say("API server: synced")
            self._told, self._was_written = 0, False


class UnusableObjects:
    """Tells which objects cannot be used; of very many the first, and that there are more."""

    def __init__(self, say: Say, clock: Callable[[], float]) -> None:
        self._say = say
        self._clock = clock
        self._since = float("-inf")
        self._told = 0

    def take(self, step: ObjectChanges) -> None:
        """Take what a step tells of such objects."""
        now = self._clock()
        if now - self._since > PAUSE_SECONDS:
            self._since, self._told = now, 0
        left = MOST_OBJECTS - self._told
        if left <= 0:
            return
        for one in step.diagnostics[:left]:
            follows = "; what was there of it stays" if one.severity == "error" else ""
            self._say(f"{one}{follows}", warning=True)
        if len(step.diagnostics) > left:
            self._say(f"and {len(step.diagnostics) - left} more", warning=True)
        self._told += len(step.diagnostics)
        if step.more:
            self._say(f"{count_noun(step.more, 'more object')} cannot be used", warning=True)
        if self._told >= MOST_OBJECTS:
            pause = round(PAUSE_SECONDS)
            self._say(f"of objects that cannot be used nothing is told for {pause} s", warning=True)
