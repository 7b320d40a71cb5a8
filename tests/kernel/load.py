"""Clients that ask while a test changes something."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event


@contextmanager
def under_load(ask: Callable[[], object]) -> Iterator[Future[None]]:
    """Have another thread ask again and again until the context ends, which raises its error.

    The value is done before that only if asking has failed.
    """
    over = Event()

    def ask_on() -> None:
        while not over.is_set():
            ask()

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask_on)
        try:
            yield asking
        finally:
            over.set()
        asking.result()
