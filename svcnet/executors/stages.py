"""How long the parts of a piece of work take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter


class Stages:
    """The durations of parts; ``seconds`` has them by name, added up where a name comes again."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        started = perf_counter()
        try:
            yield
        finally:
            self.merge({name: perf_counter() - started})

    def merge(self, others: Mapping[str, float]) -> None:
        """Add durations that were measured elsewhere."""
        for name, seconds in others.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
