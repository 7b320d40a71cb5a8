"""What a command that goes on running tells: for people on a terminal, as JSON elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import orjson
import structlog

from svcnet.cli.outlet import Outlet

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from svcnet.graph import FragmentName
    from svcnet.reconciler import Event, Refused, Synced

MOST_SERVICES = 5
"""So many names are told of what changed, and of the rest their number."""


def logger(stream: TextIO) -> FilteringBoundLogger:
    """Return a logger that writes a line for each event to `stream`.

    On a terminal that is text. Elsewhere it is an object of JSON, with ``time``, ``level`` and
    ``event``, and whatever else there is to know.
    """
    render: list[Any] = (
        [structlog.processors.TimeStamper("%H:%M:%S", utc=False, key="timestamp"), _rounded]
        if stream.isatty()
        else [structlog.processors.TimeStamper("iso", utc=True, key="time")]
    )
    if isinstance(stream, Outlet) and not stream.isatty():
        stream.gap = _json_gap
    render.append(structlog.dev.ConsoleRenderer() if stream.isatty() else _json)
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[structlog.processors.add_log_level, *render],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )
    return logger


def tell(log: FilteringBoundLogger, event: Event) -> None:
    """Write what a loop tells: a line for each sync, what was removed, and warnings."""
    from svcnet.reconciler import Refused, Swept, Synced, Warned

    match event:
        case Synced():
            _synced(log, event)
        case Refused():
            _refused(log, event)
        case Warned():
            log.warning(event.text, family=event.family)
        case Swept():
            what = list(event.removed)
            log.info("what another mode left was removed", family=event.family, what=what)


def _synced(log: FilteringBoundLogger, event: Synced) -> None:
    done, stages = event.done, {name: round(s, 6) for name, s in event.stages.items()}
    about: dict[str, Any] = {"family": event.family, "trigger": event.trigger}
    if event.services:
        about["services"] = _names(event.services)
    if event.trigger == "check":
        if done.kind == "none":
            return
        told = "somebody else changed the rules; they were put right"
        if done.services:
            about["services"] = list(done.services)
        log.warning(told, **about, differed=dict(done.differed))
    log.info("synced", done=done.text, **about, seconds=round(event.seconds, 6), stages=stages)


def _refused(log: FilteringBoundLogger, event: Refused) -> None:
    about: dict[str, Any] = {"family": event.family}
    if event.services:
        about["services"] = _names(event.services)
    about["error"] = event.error
    if event.full:
        log.warning("refused", **about, retry_in=round(event.retry_in, 3))
    else:
        log.warning("a step was refused, all is looked through instead", **about)


def _names(services: tuple[FragmentName, ...]) -> list[str]:
    names = [str(name) for name in services[:MOST_SERVICES]]
    more = len(services) - len(names)
    return [*names, f"and {more} more"] if more else names


def _rounded(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Write durations as people read them."""
    for key in ("seconds", "retry_in"):
        if key in event:
            event[key] = _duration(event[key])
    if "stages" in event:
        stages = event["stages"].items()
        event["stages"] = ", ".join(f"{name} {_duration(s)}" for name, s in stages)
    if "services" in event:
        event["services"] = ", ".join(event["services"])
    return event


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _json(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> str:
    first = {key: event.pop(key) for key in ("time", "level", "event")}
    return orjson.dumps({**first, **event}).decode()


def _json_gap(lost: int) -> str:
    """Return the line that stands where some are missing."""
    event = {
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "level": "warning",
        "event": "lines are missing here: nobody read them",
        "lines": lost,
    }
    return orjson.dumps(event).decode() + "\n"
