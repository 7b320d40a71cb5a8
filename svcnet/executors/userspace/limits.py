"""How many files this process may have open: every connection is two."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

NR_OPEN = Path("/proc/sys/fs/nr_open")


def raise_file_limit() -> int:
    """Raise the limit as far as this process may, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # only root may go beyond the hard limit
        most = int(NR_OPEN.read_text())
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        return most
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
