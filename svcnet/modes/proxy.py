"""What serves in the process of ``svcnet run``, in a mode that serves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from rich.console import RenderableType

    from svcnet.models import IPFamily
    from svcnet.modes.adapter import Adapter
    from svcnet.modes.settings import ModeSettings

LOOK_SECONDS = 5.0
"""How often a proxy is asked how crowded it is."""


@frozen
class Overload:
    """What a proxy had no room for since it was last asked: lines to tell, and how many."""

    lines: tuple[str, ...] = ()
    turned_away: int = 0


class DataPlane(ABC):
    """What serves while ``svcnet run`` goes on.

    It is made before any other thread runs, so it may begin processes. ``has_rules`` says whether
    it changes what is the whole machine's, which takes locks; ``drain`` is how many seconds
    connections have at the end.
    """

    has_rules: bool = False
    drain: float = 0.0

    @abstractmethod
    def begin(
        self, families: Collection[IPFamily], settings: ModeSettings, stack: ExitStack
    ) -> Sequence[Adapter]:
        """Return what puts graphs here, one a family; `stack` is closed at the end."""

    @abstractmethod
    def serve(self) -> None:
        """Serve until told to stop, in a thread. Raises ApplyError when it cannot go on."""

    @abstractmethod
    def stop(self, drain: float) -> None:
        """Have it take nothing new, and end after `drain` seconds; from any thread."""

    def remove(self) -> None:  # noqa: B027  (few need it)
        """Take away what would stay on the machine; once it has stopped. Raises ApplyError."""

    def listing(self) -> Iterable[str]:
        """Yield texts that say where each Service is, once all of the first state is served."""
        return ()

    def tables(self) -> Iterable[str]:
        """Return what is served, a JSON document for each IP family; from any thread."""
        return ()

    def draw(self, height: int) -> RenderableType | None:
        """Return what it counts, for a terminal of so many lines; None without such a view.

        Raises CancelledError when it has ended.
        """
        return None

    def crowd(self, now: float) -> Overload:
        """Return what it has no room for, at a time in seconds. Raises ApplyError at its end."""
        return Overload()
