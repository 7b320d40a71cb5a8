"""A process that has no descriptor left, as long as a test wants."""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def no_descriptors(left: int = 0) -> Iterator[None]:
    """Let this process have `left` descriptors more, and then none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.eventfd(0)
    os.close(lowest)
    highest = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(highest, lowest) + 1 + left, hard))
    taken: list[int] = []
    try:
        try:
            while True:
                taken.append(os.eventfd(0))
        except OSError:
            pass
        for _ in range(left):
            os.close(taken.pop())
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        # What was left open for want of descriptors is this test's, not of whoever collects next.
        gc.collect()
