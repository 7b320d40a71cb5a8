"""The files that this process may have open, and what servers take of them."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

NR_OPEN = Path("/proc/sys/fs/nr_open")

PART_OF_FILES = 32
FEWEST = 8


def raise_file_limit() -> int:
    """Raise the limit as far as this process may, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # only root may go beyond the hard limit
        most = int(NR_OPEN.read_text())
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        return most
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def affordable(clients: int) -> int:
    """Return how many clients a server takes, which would take so many if it could.

    No server of a process takes more than a 32nd of its files, but for a few that each has.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(clients, max(files // PART_OF_FILES, FEWEST))


class Spare:
    """Descriptors that are good for nothing but to be given up when others are needed."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._kept: list[int] = []
        self.keep()

    def keep(self) -> None:
        """Take as many as there shall be, if they can be had."""
        while len(self._kept) < self._number:
            try:
                self._kept.append(os.eventfd(0, os.EFD_CLOEXEC))
            except OSError:
                return

    def give(self) -> bool:
        """Give one up; return whether there was one."""
        if not self._kept:
            return False
        os.close(self._kept.pop())
        return True

    def close(self) -> None:
        """Give all up."""
        self._number = 0
        while self.give():
            pass
