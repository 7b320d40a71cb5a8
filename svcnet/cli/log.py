"""What a command that goes on running tells: for people on a terminal, as JSON elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TextIO

import orjson
from attrs import frozen

from svcnet.cli.manner import manner
from svcnet.cli.outlet import Outlet
from svcnet.errors import MissingExtra

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def logger(stream: TextIO) -> JSONLog | FilteringBoundLogger:
    """Return a logger that writes a line for each event to `stream`.

    On a terminal that is text. Elsewhere it is an object of JSON, with ``time``, ``level`` and
    ``event``, and whatever else there is to know. ``--quiet`` leaves warnings and errors.
    """
    _require_structlog()
    if stream.isatty():
        return _for_people(stream)
    if isinstance(stream, Outlet):
        stream.gap = _json_gap
    return JSONLog(stream, is_quiet=manner().quiet)


@frozen
class JSONLog:
    """Writes a line of JSON for each event to a stream; those of no warning not if it is quiet."""

    stream: TextIO
    is_quiet: bool

    def info(self, event: str, **about: Any) -> None:
        """Write what goes as it should."""
        if not self.is_quiet:
            self._write(_json("info", event, about))

    def warning(self, event: str, **about: Any) -> None:
        """Write what somebody should look at."""
        self._write(_json("warning", event, about))

    def _write(self, line: str) -> None:
        self.stream.write(line)
        self.stream.flush()


def _require_structlog() -> None:
    """Raise MissingExtra if it is missing, which is told before anything begins."""
    try:
        if find_spec("structlog") is None:
            raise ModuleNotFoundError("No module named 'structlog'", name="structlog")
    except ModuleNotFoundError as error:
        raise MissingExtra.of(error) from None


def _for_people(stream: TextIO) -> FilteringBoundLogger:
    # It takes six megabytes with what it imports, and a node's log is no terminal.
    import structlog

    found = manner()
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("%H:%M:%S", utc=False, key="timestamp"),
            _round_durations,
            structlog.dev.ConsoleRenderer(colors=found.paints(stream)),
        ],
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


def _json(level: str, event: str, about: Mapping[str, Any]) -> str:
    """Return a line of JSON about an event now."""
    line = {"time": _now(), "level": level, "event": event, **about}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE).decode()


def _json_gap(lost: int) -> str:
    """Return the line that stands where some are missing."""
    return _json("warning", "lines are missing here: nobody read them", {"lines": lost})


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
