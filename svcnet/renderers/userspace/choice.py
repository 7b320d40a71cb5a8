"""Where proxy ports are taken from."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen


@frozen
class PortChoice:
    """The range that proxy ports are taken from, both ends included, and a seed.

    The default is the range from which Linux itself takes ports.
    """

    first: int = 32768
    last: int = 60999
    seed: str = ""

    @property
    def size(self) -> int:
        """How many ports there are."""
        return self.last - self.first + 1

    def upwards(self, port: int) -> Iterator[int]:
        """Yield every port of the range, from `port` on and around."""
        for step in range(self.size):
            yield self.first + (port - self.first + step) % self.size

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


DEFAULT_CHOICE = PortChoice()
