"""A mode that serves: what serves, in a thread beside the loop that says what to serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from svcnet.errors import ApplyError, SvcnetError
from svcnet.inputs import Inputs, Strictness, tell_findings
from svcnet.modes.proxy import LOOK_SECONDS

if TYPE_CHECKING:
    from svcnet.inputs.feed import Say
    from svcnet.inputs.orders import Orders
    from svcnet.models import IPFamily
    from svcnet.modes import DataPlane, Executor, ModeSettings
    from svcnet.modes.adapter import Adapter
    from svcnet.reconciler import Event

Show: TypeAlias = Callable[["DataPlane"], object]
"""Is given what serves, once all of the first state does."""


class ProxyThread:
    """Has what a mode serves go on beside the loop that says what to serve.

    To be made before any other thread runs, since a proxy may begin processes. `show` is
    given what serves, and `stack` is closed at the end.
    """

    def __init__(
        self,
        executor: Executor[Any],
        families: Collection[IPFamily],
        say: Say,
        show: Show,
        stack: ExitStack,
    ) -> None:
        self._proxy = executor.proxy(families, stack)
        self.has_rules = self._proxy.has_rules
        self.tables = self._proxy.tables
        self._say = say
        self._show = show
        self._has_settled = False
        self._is_ending = False
        self._refusal = ""

    def begin(
        self, families: Collection[IPFamily], settings: ModeSettings, stack: ExitStack
    ) -> Sequence[Adapter]:
        """Return what puts graphs of some families here.

        To be called in a running event loop, in which `stack` is closed.
        """
        self._refused = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        return self._proxy.begin(families, settings, stack)

    async def serve(self, orders: Orders, stopping: Callable[[], None]) -> None:
        """Serve until cancelled, call `stopping`, and serve until connections have ended.

        `orders` say when not to wait for these any more.

        Raises ApplyError when the machine refuses the first state, or a worker process is lost.
        """
        self._orders = orders
        # In one of the event loop's threads it would leave these one less, and their number grow.
        with ThreadPoolExecutor(1, "proxy") as thread:
            work = partial(copy_context().run, self._proxy.serve)
            await self._serve(self._loop.run_in_executor(thread, work), stopping)
        raise ApplyError(self._refusal)

    async def _serve(self, serving: asyncio.Future[None], stopping: Callable[[], None]) -> None:
        refused = asyncio.create_task(self._refused.wait())
        try:
            await asyncio.wait((serving, refused), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            stopping()
            await self._drain(serving)
            raise
        finally:
            refused.cancel()
            self._proxy.stop(0)
            await serving

    async def watch(self, count: Callable[[int], None]) -> None:
        """Tell of service ports that are full, until cancelled.

        `count` is given how many connections and flows there was no room for since it was last.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                crowd = await asyncio.to_thread(self._proxy.crowd, self._loop.time())
            except ApplyError:  # the proxy has ended, which is not for this to tell
                continue
            for line in crowd.lines:
                self._say(line, warning=True)
            count(crowd.turned_away)

    async def _drain(self, serving: asyncio.Future[None]) -> None:
        """Wait until connections have ended; who tells it to end once more ends those left."""
        self._is_ending = True
        self._orders.when_hurried(partial(self._proxy.stop, 0))
        self._proxy.stop(self._proxy.drain)
        self._say(f"ending; connections have {self._proxy.drain:g} s")
        await asyncio.wait((serving,))

    def take(self, event: Event) -> bool:
        """Take an event of the loop; return whether it is one to tell of.

        Once the first state is served it is shown. One that the machine refuses ends svcnet:
        before there is anything to keep, whoever started it should see why. A sync that the end
        overtakes finds no proxy any more, and that is no news.
        """
        from svcnet.reconciler import InSyncEvent, RefusalEvent

        if self._is_ending:
            return not isinstance(event, RefusalEvent)
        if self._has_settled:
            return True
        if isinstance(event, InSyncEvent):
            self._has_settled = True
            self._show(self._proxy)
        elif isinstance(event, RefusalEvent) and event.full:
            self._refusal = event.error
            self._loop.call_soon_threadsafe(self._refused.set)
            return False
        return True

    @asynccontextmanager
    async def portals(self) -> AsyncIterator[None]:
        """Take the portal rules away at the end, however that comes."""
        try:
            yield
        except BaseException:
            with suppress(SvcnetError):
                await asyncio.to_thread(self._remove)
            raise
        await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        from svcnet.executors.children import LAST_SECONDS, Deadline, under

        with under(Deadline(LAST_SECONDS)):
            self._proxy.remove()


def refuse_unsupported(
    inputs: Inputs, families: Collection[IPFamily], strict: Strictness
) -> Inputs:
    """Return `inputs`. Raises Unsupported for what the mode cannot carry, if `strict`."""
    from svcnet.compiler import compile_state

    found = (
        finding
        for view in inputs.views(families)
        for finding in inputs.mode.lacks(compile_state(inputs.state, view))
    )
    tell_findings(found, strict)
    return inputs
