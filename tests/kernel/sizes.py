"""How large a process is."""

from __future__ import annotations

import time
from pathlib import Path

from attrs import frozen

LOOKS = 30
MOST_KILOBYTES = 8192
"""By so much a process may grow: the allocator's noise, and not 50 bytes an event."""
MOST_FILES = 2
"""By so many: connections to the server that are just made anew as it is looked at first."""


@frozen
class Size:
    """What a process has of the machine: kilobytes, open files, threads."""

    memory: int
    files: int
    threads: int

    @classmethod
    def at_rest(cls, pid: int) -> Size:
        """Return the least of what a process has for some seconds.

        It goes on looking at the machine, and with each command that it runs it has three pipes.
        """
        found = []
        for _ in range(LOOKS):
            found.append(cls.of(pid))
            time.sleep(0.1)
        sizes = zip(*((one.memory, one.files, one.threads) for one in found), strict=True)
        return cls(*map(min, sizes))

    @classmethod
    def of(cls, pid: int) -> Size:
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return cls(int(status["VmRSS"].split()[0]), files, int(status["Threads"]))
