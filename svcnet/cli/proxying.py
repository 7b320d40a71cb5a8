"""Mode userspace of ``svcnet run``: what serves, beside the loop that says what to serve."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from svcnet.errors import ApplyError, SvcnetError
from svcnet.inputs import FAMILIES, Inputs, Strictness, tell_findings
from svcnet.modes.userspace import ProxySettings

if TYPE_CHECKING:
    from svcnet.cli.following import Say
    from svcnet.executors.iptables import Variant
    from svcnet.models import IPFamily
    from svcnet.modes import ModeSettings
    from svcnet.reconciler import Event, UserspaceTarget
    from svcnet.renderers.userspace import PortChoice


class Serving:
    """The proxies of this process, which serve from a thread of their own.

    To be made before any other thread runs, since worker processes begin here. `family` is that
    of the option; `stack` is closed at the end.
    """

    def __init__(
        self,
        settings: ModeSettings,
        family: str | None,
        say: Say,
        stack: ExitStack,
    ) -> None:
        from svcnet.executors.userspace import NodeProxy, raise_file_limit
        from svcnet.graph import NodeSettings, RuleGraph
        from svcnet.renderers.userspace import full

        given = settings.given
        self.redirect = not given["no-redirect"]
        self._drain_seconds: float = given["drain"]
        self._stats: Path | None = given["stats"]
        self._variant: Variant | None = given["variant"]
        self._say = say
        self._stack = stack
        self._has_settled = False
        self._is_ending = False
        self._refusal = ""
        self._targets: list[UserspaceTarget] = []
        raise_file_limit()
        # Which family the Node has is known when the input has been read, by a thread.
        families = [FAMILIES[family]] if family in FAMILIES else FAMILIES.values()
        self._node = NodeProxy(
            [full(RuleGraph(NodeSettings(each))) for each in families],
            loopback=not self.redirect,
            udp_idle=given["udp-timeout"],
            workers=given["workers"],
        )
        stack.callback(self._node.release)

    def begin(
        self, families: Collection[IPFamily], inputs: Inputs, stack: ExitStack
    ) -> list[UserspaceTarget]:
        """Return what puts graphs of some families here.

        To be called in a running event loop, in which `stack` is closed.
        """
        from svcnet.executors.iptables import Commits
        from svcnet.executors.questions import Answers
        from svcnet.reconciler import UserspaceTarget

        self._refused = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        choice = self.choice(inputs)
        self._node.keep(families)
        commits = Commits()
        self._targets = [
            UserspaceTarget(
                self._node.proxies[family],
                choice,
                redirect=self.redirect,
                variant=self._variant,
                commits=commits,
            )
            for family in families
        ]
        if self._stats is not None:
            stack.callback(Answers(self._stats, self._counts, asks=False).close)
        return self._targets

    def _counts(self, _: bytes) -> bytes:
        """Return the counts as JSON; nothing once the proxy has ended."""
        from svcnet.executors.userspace import document

        with suppress(CancelledError):
            return document(self._node.snapshots())
        return b""

    def choice(self, inputs: Inputs) -> PortChoice:
        """Return how proxy ports are chosen, as options and configuration say."""
        assert isinstance(inputs.settings, ProxySettings)
        return inputs.settings.choice

    def configure(self, inputs: Inputs) -> None:
        """Take new proxy ports from where the configuration says now."""
        choice = self.choice(inputs)
        for target in self._targets:
            target.choice = choice

    async def serve(self, stopping: Callable[[], None]) -> None:
        """Serve until cancelled, call `stopping`, and serve until connections have ended.

        Raises ApplyError when the machine refuses the first state, or a worker process is lost.
        """
        # In one of the event loop's threads it would leave these one less, and their number grow.
        with ThreadPoolExecutor(1, "proxy") as thread:
            work = partial(copy_context().run, self._node.serve)
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
            self._node.stop(0)
            await serving

    async def watch(self, count: Callable[[int], None]) -> None:
        """Tell of service ports that are full, until cancelled.

        `count` is given how many connections and flows there was no room for since it was last.
        """
        from svcnet.cli.crowding import LOOK_SECONDS, Crowding

        crowding = Crowding()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                refusals = await asyncio.to_thread(self._node.refusals)
            except ApplyError:  # the proxy has ended, which is not for this to tell
                continue
            before = crowding.turned_away
            for line in crowding.look(self._loop.time(), refusals):
                self._say(line, warning=True)
            count(crowding.turned_away - before)

    async def _drain(self, serving: asyncio.Future[None]) -> None:
        """Wait until connections have ended; a second signal ends those that are left."""
        self._is_ending = True
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._node.stop, 0)
        self._node.stop(self._drain_seconds)
        self._say(f"ending; connections have {self._drain_seconds:g} s")
        await asyncio.wait((serving,))

    def take(self, event: Event) -> bool:
        """Take an event of the loop; return whether it is one to tell of.

        Once the first state is served it is shown. One that the machine refuses ends svcnet:
        before there is anything to keep, whoever started it should see why. A sync that the end
        overtakes finds no proxy any more, and that is no news.
        """
        from svcnet.reconciler import Refused, Settled

        if self._is_ending:
            return not isinstance(event, Refused)
        if self._has_settled:
            return True
        if isinstance(event, Settled):
            self._has_settled = True
            self._show()
        elif isinstance(event, Refused) and event.full:
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
        from svcnet.executors.attempts import attempt_all
        from svcnet.executors.children import LAST_SECONDS, Deadline, under
        from svcnet.executors.userspace import remove

        if self.redirect:
            families = [target.family for target in self._targets]
            with under(Deadline(LAST_SECONDS)):
                for _ in attempt_all(partial(remove, each, self._variant) for each in families):
                    pass

    def _show(self) -> None:
        """Print where each Service is; on a terminal a table that goes on counting."""
        if sys.stdout.isatty():
            from svcnet.cli.live import counts, live

            self._stack.enter_context(live(partial(counts, self._node)))
            return
        from svcnet.renderers.userspace import listing

        for table in self._node.tables:
            click.echo(listing(table, self._node.address(table.family)), nl=False)


def refuse_unsupported(inputs: Inputs, family: str | None, strict: Strictness) -> Inputs:
    """Return `inputs`. Raises Unsupported for what the mode cannot carry, if `strict`."""
    from svcnet.compiler import compile_state

    found = (
        finding
        for view in inputs.views(family)
        for finding in inputs.mode.lacks(compile_state(inputs.state, view))
    )
    tell_findings(found, strict)
    return inputs
