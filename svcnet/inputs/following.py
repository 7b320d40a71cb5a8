"""Input that is read again: when its files change, and when a signal says so."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from threading import Thread
from typing import Any, Generic, Protocol, TypeVar

from svcnet.errors import InputError, SvcnetError, listed

MOST_LINES = 20
"""So many of what is wrong with input are told at a time; ``svcnet render`` tells all."""

END_SECONDS = 1.0
"""How long the end waits for commands that are killed while input is read."""

Value = TypeVar("Value")


class Ended(Exception):  # noqa: N818  (nothing is wrong)
    """A signal said to end before there was any input."""


class Say(Protocol):
    """Takes a line for an operator, and returns whether it was written: some come too often."""

    def __call__(self, text: str, *, warning: bool = False) -> bool: ...


class Reload(Protocol):
    """Is told when a signal has all input read again, and when that is done."""

    def reloading(self) -> None: ...

    def reloaded(self) -> None: ...


class Following(Generic[Value]):
    """Reads `paths` by `read`, now and whenever they change, until a signal says to end.

    `say` is told that, and what is wrong with the input; `keeps` says what goes on as it was
    then.
    """

    def __init__(
        self,
        paths: tuple[str, ...],
        read: Callable[[], Value],
        keeps: str,
        say: Say,
        reload: Reload | None = None,
    ) -> None:
        self._paths = paths
        self._read = read
        self._keeps = keeps
        self._say = say
        self._reload = reload
        self._once = not paths or "-" in paths
        self._stop = asyncio.Event()
        self._again = asyncio.Event()

    @asynccontextmanager
    async def first(self) -> AsyncIterator[Value]:
        """Read the input; raise what is wrong with it. What changes meanwhile is read again.

        Signals are heard from here on. Raises Ended when one says to end before there is input.
        """
        self._told_to_end = hear_signals(self._again, self._reload)
        watching = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        try:
            yield await reading(self._read, self._told_to_end)
        finally:
            self._stop.set()
            await watching

    async def until_told(self, use: Callable[[Value], None], *others: Awaitable[None]) -> None:
        """Give `use` what is read, until SIGTERM or SIGINT, or until one of `others` ends."""
        await until(self._told_to_end, self._follow(use), *others)

    async def _watch(self) -> None:
        from svcnet.sources.watch import apart

        if not self._once:
            await asyncio.gather(*map(self._watch_together, apart(self._paths)))

    async def _watch_together(self, paths: Sequence[str]) -> None:
        from svcnet.sources.watch import changes

        try:
            async for _ in changes(paths, self._stop):
                self._again.set()
        except OSError as error:
            self._say(f"changes are not seen, only SIGHUP is: {error}", warning=True)

    async def _follow(self, use: Callable[[Value], None]) -> None:
        while await self._again.wait():
            self._again.clear()
            await self._read_again(use)
            if self._reload is not None:
                self._reload.reloaded()

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
        return "\n".join(listed(error.diagnostics, MOST_LINES))
    return str(error)


def hear_signals(again: asyncio.Event, reload: Reload | None) -> asyncio.Event:
    """Return what SIGTERM and SIGINT set from now on; SIGHUP sets `again`.

    They set the deadline that holds here, too, so that no command that hangs keeps the end off.

    Until this is called they end the process, or as the first of a container do nothing.
    """
    from svcnet.executors.children import deadline

    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    children = deadline()

    def end() -> None:
        told.set()
        children.set()

    def hang_up() -> None:
        if reload is not None:
            reload.reloading()
        again.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    return told


async def reading(read: Callable[[], Value], told: asyncio.Event) -> Value:
    """Return what `read` does, in a thread: what probes the machine has a loop of its own.

    Raises Ended when `told` is set first, and Interrupted when that ends a command of `read`. The
    thread is left alone then: it may wait for a person who has nothing to say on standard input.
    """
    from svcnet.executors.children import Deadline, under

    loop = asyncio.get_running_loop()
    done: asyncio.Future[Value] = loop.create_future()
    context, children = copy_context(), Deadline()

    def read_under() -> Value:
        with under(children):
            return read()

    def settle(settle: Callable[[Any], None], value: object) -> None:
        if not done.done():
            settle(value)

    def tell(*how: Any) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, *how)

    def work() -> None:
        try:
            value = context.run(read_under)
        except BaseException as error:
            tell(done.set_exception, error)
        else:
            tell(done.set_result, value)

    Thread(target=work, daemon=True).start()
    ending = asyncio.ensure_future(told.wait())
    try:
        await asyncio.wait((done, ending), return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            # Nothing is lost with a command that only looks, and none is left behind.
            children.set(0)
            await asyncio.wait((done,), timeout=END_SECONDS)
        if not done.done():
            raise Ended
        return done.result()
    finally:
        ending.cancel()
        done.cancel()


async def until(told: asyncio.Event, *working: Awaitable[None]) -> None:
    """Let `working` go on until `told` is set, or until one of them ends; then end them all.

    Raises what one of them raised.
    """
    ending = asyncio.ensure_future(told.wait())
    tasks = [asyncio.ensure_future(each) for each in working]
    await asyncio.wait((ending, *tasks), return_when=asyncio.FIRST_COMPLETED)
    ended = [task for task in tasks if task.done()]
    for task in (ending, *tasks):
        task.cancel()
    await asyncio.wait(tasks)
    for task in ended:
        task.result()
