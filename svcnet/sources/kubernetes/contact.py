"""What the watches of all kinds know together of the server that they talk to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Literal, TypeAlias

from attrs import define, field

from svcnet.sources.kubernetes.credentials import Credentials
from svcnet.sources.kubernetes.patience import Backoff, Patience
from svcnet.sources.kubernetes.server import APIServer

Reason: TypeAlias = Literal["silent", "suspect", "older", "moved"]


@define(eq=False)
class Turn:
    """One list and watch of a kind: since when, and what has come of it.

    ``accepted`` is when the watch began, ``heard`` when something last came, ``events`` how many
    did. ``why`` is the reason for which it was stopped, None if it was not.
    """

    begun: float
    scope: asyncio.Timeout
    lose: Callable[[], None]
    accepted: float | None = None
    heard: float | None = None
    events: int = 0
    why: Reason | None = None
    due: float | None = None

    def expect(self, due: float, grace: float) -> None:
        """Have the watch given up for its silence if it has not ended `grace` after `due`."""
        self.due = due
        self.scope.reschedule(due + grace)

    def rest(self) -> None:
        """Take it that the watch has ended."""
        self.scope.reschedule(None)

    def stop(self, why: Reason) -> None:
        """End it."""
        if self.why is None:
            self.why = why
            with suppress(RuntimeError):  # it has ended just now
                self.scope.reschedule(asyncio.get_running_loop().time())


@define(eq=False)
class Contact:
    """A server that several kinds are asked of, and that can be replaced by another."""

    server: APIServer
    patience: Patience
    random: Random
    credentials: Credentials = field(init=False)
    backoff: Backoff = field(init=False)
    moves: int = field(default=0, init=False)
    _turns: dict[str, Turn] = field(factory=dict, init=False)
    _reached: asyncio.Event = field(factory=asyncio.Event, init=False)
    _moved: asyncio.Event = field(factory=asyncio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.credentials = Credentials(self.server)
        self.backoff = Backoff(self.patience, self.random)

    @asynccontextmanager
    async def turn(self, kind: str, lose: Callable[[], None]) -> AsyncIterator[Turn]:
        """Give the turn of a kind; when it is stopped TimeoutError comes out of the block.

        `lose` is called when the server is to be taken for lost until the next turn.
        """
        async with asyncio.timeout(None) as scope:
            turn = Turn(asyncio.get_running_loop().time(), scope, lose)
            self._turns[kind] = turn
            try:
                yield turn
            finally:
                del self._turns[kind]

    def note_answer(self) -> None:
        """Take it that the server has answered a kind that had lost it: others try as well."""
        self._reached.set()
        self._reached = asyncio.Event()

    def suspect(self, kind: str, since: float) -> None:
        """Have the watches of other kinds begun anew that have said nothing since then.

        What hid the silence of one, such as a proxy that hangs, hides that of others.
        """
        for other, turn in self._turns.items():
            if other == kind or turn.accepted is None:
                continue
            if (turn.heard or turn.accepted) < since:
                turn.lose()
                turn.stop("suspect")

    def move(self, server: APIServer) -> None:
        """Have everything asked of another server from now on."""
        if server == self.server:
            return
        self.server = server
        self.credentials = Credentials(server)
        self.moves += 1
        self.backoff.end()
        for turn in self._turns.values():
            turn.lose()
            turn.stop("moved")
        self._moved.set()
        self._moved = asyncio.Event()

    async def pause(self, until: float, *, wakes: bool) -> None:
        """Wait until then, or until the server is replaced.

        With `wakes` no longer than until another kind reaches the server.
        """
        events = [self._moved, self._reached] if wakes else [self._moved]
        waiting = [asyncio.ensure_future(event.wait()) for event in events]
        left = max(until - asyncio.get_running_loop().time(), 0)
        try:
            await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
