"""Making values in a thread while whoever takes them is busy with those before, and waits."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

MOST = 32
"""How many values are made that nobody has taken yet."""
_TURN = 0.0005
"""Seconds for which the thread lets others wait that have a call behind them: Python's own are ten
times as many, and a batch that is sent and answered is some calls."""

_Value = TypeVar("_Value")


@contextmanager
def ahead(values: Iterable[_Value]) -> Iterator[Iterator[_Value]]:
    """Give values, none of them None, which a thread makes ahead.

    What making one raises is raised where it is taken. The thread has ended when the block is left,
    whichever way, at the latest with the value that it is at. This pays where the block waits for
    the kernel or for children, and what makes the values is to be without effect.
    """
    before, source = sys.getswitchinterval(), iter(values)
    pool = ThreadPoolExecutor(1, "ahead")
    sys.setswitchinterval(min(before, _TURN))
    try:
        coming = deque([pool.submit(next, source, None) for _ in range(MOST)])
        yield _take(pool, source, coming)
    finally:
        pool.shutdown(cancel_futures=True)
        sys.setswitchinterval(before)


def _take(
    pool: Executor, source: Iterator[_Value], coming: deque[Future[_Value | None]]
) -> Iterator[_Value]:
    """Yield values as they are made, and have others made in place of those that are taken."""
    while (value := coming.popleft().result()) is not None:
        yield value
        coming.append(pool.submit(next, source, None))
