"""What a command that goes on running tells: for people on a terminal, as JSON elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import orjson

from svcnet.cli.manner import manner
from svcnet.cli.outlet import Outlet
from svcnet.errors import MissingExtra

try:
    import structlog
except ModuleNotFoundError as error:
    raise MissingExtra.of(error) from None

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def logger(stream: TextIO) -> FilteringBoundLogger:
    """Return a logger that writes a line for each event to `stream`.

    On a terminal that is text. Elsewhere it is an object of JSON, with ``time``, ``level`` and
    ``event``, and whatever else there is to know. ``--quiet`` leaves warnings and errors.
    """
    found = manner()
    render: list[Any] = (
        [structlog.processors.TimeStamper("%H:%M:%S", utc=False, key="timestamp"), _round_durations]
        if stream.isatty()
        else [structlog.processors.TimeStamper("iso", utc=True, key="time")]
    )
    if isinstance(stream, Outlet) and not stream.isatty():
        stream.gap = _json_gap
    if stream.isatty():
        render.append(structlog.dev.ConsoleRenderer(colors=found.paints(stream)))
    else:
        render.append(_json)
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[structlog.processors.add_log_level, *render],
        wrapper_class=structlog.make_filtering_bound_logger("warning" if found.quiet else "info"),
    )
    return logger


def _round_durations(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> Mapping[str, Any]:
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
