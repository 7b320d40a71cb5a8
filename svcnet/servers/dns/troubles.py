"""What an operator is told of a trouble: a line when it begins, and one when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

QUIET_SECONDS = 60.0
"""How long a trouble that comes and goes is not told of again."""

Say: TypeAlias = Callable[[str], object]
"""Takes a line for an operator."""


class Trouble:
    """One kind of trouble; it may come and go, and come a thousand times."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._told = False
        self._quiet_until = 0.0

    def begin(self, text: str) -> None:
        """Note that there is trouble; it is told unless it was, or has just been over."""
        if not self._told and time.monotonic() >= self._quiet_until:
            self._told = True
            self._say(text)

    def end(self, text: str) -> None:
        """Note that there is none; that is told if the trouble was."""
        if self._told:
            self._told = False
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            self._say(text)
