"""Input that is read again: when its files change, and when a signal says so."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import click

from svcnet.errors import SvcnetError

Value = TypeVar("Value")


class Following(Generic[Value]):
    """Reads `paths` by `read`, now and whenever they change, until a signal says to end.

    `keeps` says what goes on as it was when the input is wrong.
    """

    def __init__(self, paths: tuple[str, ...], read: Callable[[], Value], keeps: str) -> None:
        self._paths = paths
        self._read = read
        self._keeps = keeps
        self._once = not paths or "-" in paths
        self._stop = asyncio.Event()
        self._again = asyncio.Event()

    @asynccontextmanager
    async def first(self) -> AsyncIterator[Value]:
        """Read the input; raise what is wrong with it. What changes meanwhile is read again."""
        watching = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        try:
            # Not in the loop's own thread: what probes the machine has a loop of its own.
            yield await asyncio.to_thread(self._read)
        finally:
            self._stop.set()
            await watching

    async def until_told(self, use: Callable[[Value], None], *others: Awaitable[None]) -> None:
        """Give `use` what is read, until SIGTERM or SIGINT, or until one of `others` ends."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._again.set)
        ending = asyncio.ensure_future(self._stop.wait())
        working = [asyncio.ensure_future(each) for each in (self._follow(use), *others)]
        await asyncio.wait((ending, *working), return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in working if task.done()]
        for task in working:
            task.cancel()
        await asyncio.wait(working)
        for task in ended:
            task.result()

    async def _watch(self) -> None:
        from svcnet.sources.watch import changes

        if self._once:
            return
        try:
            async for _ in changes(self._paths, self._stop):
                self._again.set()
        except OSError as error:
            click.echo(f"changes are not seen, only SIGHUP is: {error}", err=True)

    async def _follow(self, use: Callable[[Value], None]) -> None:
        while await self._again.wait():
            self._again.clear()
            if self._once:
                click.echo("standard input cannot be read again: nothing is changed", err=True)
                continue
            try:
                use(await asyncio.to_thread(self._read))
            except SvcnetError as error:
                click.echo(f"{error}\n{self._keeps}", err=True)
            else:
                click.echo("the input was read again", err=True)
