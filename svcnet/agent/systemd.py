"""What ``svcnet run`` tells systemd, if that started it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcnet.agent.notify import Notify


class Systemd:
    """Tells of the first rules, of input that is read again, of the end, and of life."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._ready = False
        self._reloading = False

    def tell_ready(self) -> None:
        """The rules are as wanted; the first time, that means the service has started."""
        if not self._ready:
            self._ready = True
            self._notify.ready("the rules are as wanted")

    def reloading(self) -> None:
        """All input is about to be read again."""
        self._reloading = True
        self._notify.reloading()

    def tell_reload(self) -> None:
        """Input was read again, or refused."""
        if self._reloading and self._ready:
            self._notify.ready()
        self._reloading = False

    def stopping(self) -> None:
        """The service is ending."""
        self._notify.stopping()

    async def live(self, healthy: Callable[[], bool]) -> None:
        """Tell that the service lives, twice as often as it must, as long as it is `healthy`."""
        seconds = self._notify.watchdog_seconds
        while seconds is not None:
            if healthy():
                self._notify.alive()
            await asyncio.sleep(seconds / 2)
