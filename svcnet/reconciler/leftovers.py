"""What other modes, and the other variant of iptables, left on a machine."""

from __future__ import annotations

from typing import Any

from svcnet.family import IPFamily
from svcnet.modes import Executor
from svcnet.modes.registry import others


class Leftovers:
    """Removes once what other modes than that of `executor` left of a family."""

    def __init__(self, executor: Executor[Any], family: IPFamily) -> None:
        self._executor = executor
        self._family = family
        self._due = True

    def remove(self, found: object = None) -> tuple[str, ...]:
        """Return a line for each kind of thing removed; to be called when the mode serves.

        `found` is as in :func:`remove_leftovers`. Raises ApplyError, and then the next call
        does it.
        """
        if not self._due:
            return ()
        lines = remove_leftovers(self._executor, self._family, found)
        self._due = False
        return lines


def remove_leftovers(
    executor: Executor[Any], family: IPFamily, found: object = None
) -> tuple[str, ...]:
    """Remove what other modes than that of `executor`, which serves already, left on its machine.

    Each mode says what is its own, see :meth:`svcnet.modes.Executor.leftovers`. Sysctls stay.
    `found` is what the mode found there before it wrote its own rules
    (:attr:`svcnet.modes.SyncResult.found`), which saves a listing of these. With None it is
    observed now.

    Returns a line for each kind of thing removed. Raises ApplyError when the machine refuses.
    """
    name, machine = executor.mode.name, executor.machine
    executors = [mode.executor(machine) for mode in others(name)]
    with machine.lock(family):
        return tuple(executor.leftovers(family, executors, found))
