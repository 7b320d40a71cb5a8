"""What an agent tells of a loop: what begins and ends at once, what goes on seldom."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from logging import INFO, WARNING, Logger, getLogger
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from svcnet.agent.repeats import Repeats

if TYPE_CHECKING:
    from svcnet.graph import FragmentName
    from svcnet.reconciler import Event, RefusalEvent, SyncEvent

SELDOM_SECONDS = 600.0
"""What is refused for the same reason as before is told again after so long."""
REASON = 50
"""Errors that begin with the same so many characters have the same reason."""
MOST_SERVICES = 5
"""So many names are told of what changed, and of the rest their number."""


class Log(Protocol):
    """Takes what there is to tell: a text, and values by name. A logger of structlog is one."""

    def info(self, event: str, **about: Any) -> object:
        """Take what goes as it should."""

    def warning(self, event: str, **about: Any) -> object:
        """Take what somebody should look at."""


@frozen
class StandardLog:
    """Hands what there is to tell to a logger of :mod:`logging`, values behind the text.

    They are also in the attribute ``about`` of the record.
    """

    logger: Logger

    def info(self, event: str, **about: Any) -> None:
        """Log at the level INFO."""
        self._log(INFO, event, about)

    def warning(self, event: str, **about: Any) -> None:
        """Log at the level WARNING."""
        self._log(WARNING, event, about)

    def _log(self, level: int, event: str, about: dict[str, Any]) -> None:
        values = "".join(f"; {name}: {value}" for name, value in about.items())
        self.logger.log(level, "%s%s", event, values, extra={"about": about})


def standard_log() -> Log:
    """Return a log that goes to Python's logger ``svcnet``, whatever a program makes of that."""
    return StandardLog(getLogger("svcnet"))


class Teller:
    """Writes what a loop tells, and what else there is to say, to `log`.

    What begins is told at once, and so is its end. What goes on as it was, or comes again and
    again, is told seldom, with the number of times that were passed over. `clock` counts
    seconds.
    """

    def __init__(self, log: Log, clock: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._clock = clock
        self._repeats = Repeats(clock)
        self._refusing: dict[str, _Refusing] = {}
        self._steps: dict[str, RefusalEvent] = {}

    def say(self, text: str, *, warning: bool = False) -> bool:
        """Write a line for an operator; return whether it was, for a warning may come too often."""
        if warning:
            return self._warn(text, text)
        self._log.info(text)
        return True

    def tell(self, event: Event) -> None:
        """Write a line for each sync, what was removed, and warnings with their end."""
        from svcnet.reconciler import (
            AllClearEvent,
            RefusalEvent,
            SweepEvent,
            SyncEvent,
            WarningEvent,
        )

        match event:
            case SyncEvent():
                self._tell_sync(event)
            case RefusalEvent():
                self._tell_refusal(event)
            case WarningEvent():
                self._warn(("warned", event.family, event.text), event.text, family=event.family)
            case AllClearEvent():
                subject = "resolved", event.family, event.text
                if self._repeats.passed_over(subject) is not None:
                    self._log.info("no longer so", family=event.family, what=event.text)
            case SweepEvent():
                what = list(event.removed)
                told = "what another mode left was removed"
                self._log.info(told, family=event.family, what=what)

    def _tell_sync(self, event: SyncEvent) -> None:
        done, stages = event.done, {name: round(s, 6) for name, s in event.stages.items()}
        about: dict[str, Any] = {"family": event.family, "trigger": event.trigger}
        if step := self._steps.pop(event.family, None):
            self._step_refused(step)
        refused = self._refusing.pop(event.family, None)
        if event.services:
            about["services"] = _names(event.services)
        if event.trigger == "check" and done.kind != "none":
            told = "somebody else changed the rules; they were put right"
            if done.services:
                about["services"] = list(done.services)
            differed = dict(done.differed)
            repaired = self._warn(("drift", event.family), told, **about, differed=differed)
            if not (repaired or refused):
                return
        elif event.trigger == "check" and refused is None:
            return
        if refused is not None:
            about["refused_before"] = refused.times
        seconds = round(event.seconds, 6)
        self._log.info("synced", done=done.text, **about, seconds=seconds, stages=stages)

    def _tell_refusal(self, event: RefusalEvent) -> None:
        """Tell a refusal that is new; one that goes on as it was, now and then.

        After a step that is refused all is looked through at once. If that is refused for the
        same reason, one line says both.
        """
        if not event.full:
            self._steps[event.family] = event
            return
        step = self._steps.pop(event.family, None)
        if step is not None and _reason(step) != _reason(event):
            self._step_refused(step)
        known, now = self._refusing.get(event.family), self._clock()
        times = 1 if known is None else known.times + 1
        told = now if known is None else known.told_at
        same = known is not None and known.reason == _reason(event)
        if not (same and now - told < SELDOM_SECONDS):
            about = {"times": times} if times > 1 else {}
            retry = round(event.retry_in, 3)
            subject = "refused", event.family
            self._warn(subject, "refused", **_about(event), **about, retry_in=retry)
            told = now
        self._refusing[event.family] = _Refusing(_reason(event), told, times)

    def _step_refused(self, event: RefusalEvent) -> None:
        told = "a step was refused, all is looked through instead"
        self._warn(("step", event.family), told, **_about(event))

    def _warn(self, subject: Hashable, text: str, **about: Any) -> bool:
        """Write a warning, unless there were too many about that subject; return whether."""
        passed_over = self._repeats.passed_over(subject)
        if passed_over is None:
            return False
        if passed_over:
            about["passed_over"] = passed_over
        self._log.warning(text, **about)
        return True


@frozen
class _Refusing:
    """A family whose rules are refused: for what, when that was told, and how often it was so."""

    reason: str
    told_at: float
    times: int


def _reason(event: RefusalEvent) -> str:
    """Return what refusals for the same reason have in common: rubbish differs each time."""
    return event.error.partition("\n")[0][:REASON]


def _about(event: RefusalEvent) -> dict[str, Any]:
    about: dict[str, Any] = {"family": event.family}
    if event.services:
        about["services"] = _names(event.services)
    return {**about, "error": event.error}


def _names(services: tuple[FragmentName, ...]) -> list[str]:
    names = [str(name) for name in services[:MOST_SERVICES]]
    more = len(services) - len(names)
    return [*names, f"and {more} more"] if more else names
