"""Proxy ports: chosen by chance, and always the same by that chance."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen


@frozen
class PortChoice:
    """The range that proxy ports are taken from, both ends included, and a seed."""

    first: int = 32768
    last: int = 60999
    seed: str = ""

    def upwards(self, port: int) -> Iterator[int]:
        """Yield every port of the range, from `port` on and around."""
        size = self.last - self.first + 1
        for step in range(size):
            yield self.first + (port - self.first + step) % size

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"
