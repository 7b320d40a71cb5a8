"""Input of files that is read again: when they change, and when somebody says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

from svcnet.errors import InputError, SvcnetError, list_findings
from svcnet.inputs.orders import Orders

MOST_LINES = 20
"""So many of what is wrong with input are told at a time; ``svcnet render`` tells all."""

Value = TypeVar("Value")


class Say(Protocol):
    """Takes a line for an operator, and returns whether it was written: some come too often."""

    def __call__(self, text: str, *, warning: bool = False) -> bool: ...


class FileFeed(Generic[Value]):
    """Reads `paths` by `read`, now and whenever they change, until it is told to end.

    `say` is told that, and what is wrong with the input; `keeps` says what goes on as it was
    then.
    """

    def __init__(
        self, paths: tuple[str, ...], read: Callable[[], Value], keeps: str, say: Say
    ) -> None:
        self._paths = paths
        self._read = read
        self._keeps = keeps
        self._say = say
        self._once = not paths or "-" in paths

    @asynccontextmanager
    async def first(self, orders: Orders) -> AsyncIterator[Value]:
        """Read the input; raise what is wrong with it. What changes meanwhile is read again.

        Raises EarlyEnd when `orders` say to end before there is input.
        """
        self._orders = orders
        self._stop = asyncio.Event()
        watching = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        try:
            yield await orders.reading(self._read)
        finally:
            self._stop.set()
            await watching

    async def until_end(self, use: Callable[[Value], None], *others: Awaitable[None]) -> None:
        """Give `use` what is read, until told to end, or until one of `others` ends."""
        await self._orders.until_end(self._follow(use), *others)

    async def _watch(self) -> None:
        from svcnet.sources.read import folder_of
        from svcnet.sources.watch import apart

        if not self._once:
            watched = list(map(folder_of, self._paths))
            await asyncio.gather(*map(self._watch_together, apart(watched)))

    async def _watch_together(self, paths: Sequence[str]) -> None:
        from svcnet.sources.watch import changes

        try:
            async for _ in changes(paths, self._stop):
                self._orders.again.set()
        except OSError as error:
            self._say(f"changes are not seen, only SIGHUP is: {error}", warning=True)

    async def _follow(self, use: Callable[[Value], None]) -> None:
        again = self._orders.again
        while await again.wait():
            again.clear()
            await self._read_again(use)
            self._orders.was_read()

    async def _read_again(self, use: Callable[[Value], None]) -> None:
        if self._once:
            self._say("standard input cannot be read again: nothing is changed", warning=True)
            return
        try:
            use(await asyncio.to_thread(self._read))
        except SvcnetError as error:
            self._say(f"{first_lines(error)}\n{self._keeps}", warning=True)
        else:
            self._say("the input was read again")


def first_lines(error: SvcnetError) -> str:
    """Return what is wrong; of many findings as many as a log can take, and how many more."""
    if isinstance(error, InputError):
        return "\n".join(list_findings(error.diagnostics, MOST_LINES))
    return str(error)
