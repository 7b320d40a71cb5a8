"""What is told of service ports that are asked for more than there is room for: few lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcnet.renderers.userspace.table import ServicePortName
    from svcnet.servers.userspace import Refusals

MOST_NAMED = 5
"""So many service ports a line names, and of the rest their number."""

QUIET_SECONDS = 30.0
"""So long a service port must have had room before that is told."""

LINE_SECONDS = 60.0
"""At most so often a line says that there is no room; what comes in between waits for the next."""


class Crowding:
    """Follows what a proxy had no room for, by counts that only grow."""

    def __init__(self) -> None:
        self._before: dict[ServicePortName, int] = {}
        self._full: dict[ServicePortName, float] = {}
        self._untold: dict[ServicePortName, None] = {}
        self._told = -LINE_SECONDS
        self.turned_away = 0

    def look(self, now: float, refusals: Mapping[ServicePortName, Refusals]) -> list[str]:
        """Take the counts at the time `now`, in seconds; return what is to be told of it."""
        for name, counts in refusals.items():
            grown = counts.total - self._before.get(name, 0)
            if grown > 0:
                self.turned_away += grown
                if name not in self._full:
                    self._untold[name] = None
                self._full[name] = now
            self._before[name] = counts.total
        for name in self._before.keys() - refusals.keys():  # it is served no more
            del self._before[name]
        lines = []
        if self._untold and now - self._told >= LINE_SECONDS:
            self._told = now
            parts = (_part(name, refusals) for name in self._untold)
            lines.append(f"no room for more: {_first(parts, len(self._untold))}")
            self._untold.clear()
        over = [name for name, last in self._full.items() if now - last >= QUIET_SECONDS]
        told = [str(name) for name in over if name not in self._untold]
        for name in over:
            del self._full[name]
            self._untold.pop(name, None)
        if told:
            lines.append(f"room again: {_first(told, len(told))}")
        return lines


def _part(name: ServicePortName, refusals: Mapping[ServicePortName, Refusals]) -> str:
    counts = refusals.get(name)
    if counts is None:
        return str(name)
    does = {
        "the others wait": counts.waited,
        "sources with too many are reset": counts.refused,
        "new ones end others": counts.displaced,
    }
    what = "flows" if name.protocol == "UDP" else "connections"
    ways = " and ".join(way for way, number in does.items() if number)
    return f"{name} has {counts.open} {what}, {ways}"


def _first(parts: Iterable[str], number: int) -> str:
    shown = [part for part, _ in zip(parts, range(MOST_NAMED), strict=False)]
    more = number - len(shown)
    return "; ".join([*shown, f"and {more} more"] if more else shown)
