"""Whether questions to another server come back, by a name that nobody else asks for.

CoreDNS's plugin `loop` asks once, at its start, and ends. A loop may also arise later: then
questions get no answer, because each waits for itself. So it is asked again when that happens,
and while there is a loop, to know when it is over.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import dns.message
import dns.name
import dns.rdatatype

from svcnet.servers.dns.troubles import Say, Trouble

AGAIN_SECONDS = 10.0
"""How long after a probe the next one may be sent."""

Probe: TypeAlias = Callable[[dns.message.Message], Awaitable[object]]
"""Sends a question to the other server and waits for its answer, for a limited time."""


class Loops:
    """Finds that the questions to the server `shown` come back."""

    def __init__(self, shown: str, probe: Probe, say: Say) -> None:
        self.found = False
        """Whether they do, as far as is known."""
        self._shown = shown
        self._probe = probe
        self._trouble = Trouble(say)
        self._suspected = asyncio.Event()
        self._suspected.set()
        self._asked: dns.name.Name | None = None
        self._seen = False

    def suspect(self) -> None:
        """Note that a question had no answer, as it would not have in a loop."""
        self._suspected.set()

    def closes_with(self, name: dns.name.Name) -> bool:
        """Return whether a question that somebody asks is the probe, which has come back then."""
        if name != self._asked:
            return False
        self._seen = self.found = True
        self._trouble.begin(
            f"questions to {self._shown} come back to this server: names outside of the zones "
            "are answered SERVFAIL until they do no more"
        )
        return True

    async def watch(self) -> None:
        """Send a probe now, whenever a loop is suspected, and while there is one."""
        while True:
            await self._suspected.wait()
            self._suspected.clear()
            await self._ask()
            if self.found:
                self._suspected.set()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _ask(self) -> None:
        self._seen = False
        self._asked = dns.name.from_text(f"{secrets.token_hex(8)}.{secrets.token_hex(8)}.")
        await self._probe(dns.message.make_query(self._asked, dns.rdatatype.HINFO))
        self._asked = None
        if self.found and not self._seen:
            self.found = False
            self._trouble.end(f"questions to {self._shown} come back no more")
