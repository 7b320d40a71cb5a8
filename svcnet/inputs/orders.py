"""What goes on is told from outside: to end, and to read all its input again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import Any, Protocol, TypeVar

END_SECONDS = 1.0
"""How long the end waits for commands that are killed while input is read."""

Value = TypeVar("Value")


class EarlyEnd(Exception):  # noqa: N818  (nothing is wrong)
    """What goes on was told to end before there was any input."""


class Reload(Protocol):
    """Is told when somebody has all input read again, and when that is done."""

    def reloading(self) -> None: ...

    def tell_reload(self) -> None: ...


class Orders:
    """What somebody says to what goes on in the running event loop.

    :meth:`end` and :meth:`reload` may be called from any thread, and :meth:`hear_signals` has
    signals call them. The end sets the deadline that holds where this is made, too: no command
    that hangs keeps it off.
    """

    def __init__(self, reload: Reload | None = None) -> None:
        from svcnet.executors.children import deadline

        self._loop = asyncio.get_running_loop()
        self._children = deadline()
        self._reload = reload
        self._ended = asyncio.Event()
        self._hurry: Callable[[], None] | None = None
        self.again = asyncio.Event()

    def end(self) -> None:
        """Have it end; once it does, have it hurry."""
        self._children.set()
        self._soon(self._end)

    def reload(self) -> None:
        """Have it read all its input again."""
        self._soon(self._read_again)

    def hear_signals(self) -> None:
        """Have SIGTERM and SIGINT end it, and SIGHUP have it read again, from now on.

        Until this is called they end the process, or as the first of a container do nothing. It
        takes the main thread.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.end)
        self._loop.add_signal_handler(signal.SIGHUP, self.reload)

    def when_hurried(self, hurry: Callable[[], None]) -> None:
        """Have `hurry` called whenever it is told once more to end."""
        self._hurry = hurry

    def was_read(self) -> None:
        """Take that the input was read again, or refused."""
        if self._reload is not None:
            self._reload.tell_reload()

    @property
    def is_ended(self) -> bool:
        """Whether it was told to end."""
        return self._ended.is_set()

    async def wait_end(self) -> None:
        """Wait until it is told to end."""
        await self._ended.wait()

    async def reading(self, read: Callable[[], Value]) -> Value:
        """Return what `read` does, in a thread: what probes the machine has a loop of its own.

        Raises EarlyEnd when it is told to end first, and Interruption when that ends a command of
        `read`. The thread is left alone then: it may wait for a person who has nothing to say on
        standard input.
        """
        from svcnet.executors.children import Deadline, under

        done: asyncio.Future[Value] = self._loop.create_future()
        context, children = copy_context(), Deadline()

        def read_under() -> Value:
            with under(children):
                return read()

        def settle(settle: Callable[[Any], None], value: object) -> None:
            if not done.done():
                settle(value)

        def work() -> None:
            try:
                value = context.run(read_under)
            except BaseException as error:
                self._soon(settle, done.set_exception, error)
            else:
                self._soon(settle, done.set_result, value)

        Thread(target=work, daemon=True).start()
        ending = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((done, ending), return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                # Nothing is lost with a command that only looks, and none is left behind.
                children.set(0)
                await asyncio.wait((done,), timeout=END_SECONDS)
            if not done.done():
                raise EarlyEnd
            value = done.result()
            if self._ended.is_set():
                # It was read in the meantime, and nobody is to follow it any more.
                raise EarlyEnd
            return value
        finally:
            children.set(0)
            ending.cancel()
            done.cancel()

    async def until_end(self, *working: Awaitable[None]) -> None:
        """Let `working` go on until it is told to end, or one of them ends; then end them all.

        Raises what one of them raised. Cancelled, it ends them as well.
        """
        ending = asyncio.ensure_future(self._ended.wait())
        tasks = [asyncio.ensure_future(each) for each in working]
        ended: list[asyncio.Task[None]] = []
        try:
            await asyncio.wait((ending, *tasks), return_when=asyncio.FIRST_COMPLETED)
            ended = [task for task in tasks if task.done()]
        except asyncio.CancelledError:
            self._children.set()
            raise
        finally:
            ending.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in ended:
            task.result()

    def _soon(self, call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, *arguments)

    def _end(self) -> None:
        if self._hurry is not None:
            self._hurry()
        self._ended.set()

    def _read_again(self) -> None:
        if self._reload is not None:
            self._reload.reloading()
        self.again.set()
