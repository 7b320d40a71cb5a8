"""Input from an API server: all objects first, and then what changes."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from svcnet.agent.standing import Standing, UnusableObjects
from svcnet.agent.update import Update
from svcnet.errors import SvcnetError, UsageError
from svcnet.inputs import Strictness, tell_warnings
from svcnet.inputs.feed import Say, first_lines
from svcnet.inputs.orders import EarlyEnd, Orders

if TYPE_CHECKING:
    from svcnet.agent.reporter import Reporter
    from svcnet.discovery.endpoints import Completion
    from svcnet.inputs import Inputs, ModeRequest
    from svcnet.models import ClusterState
    from svcnet.reconciler import Change
    from svcnet.sources.kubernetes import APIServer, ObjectChanges, Status


@frozen
class ServerInput:
    """An API server, and how to find it again: its kubeconfig may lead elsewhere by then.

    With `from_pods`, Services that have no endpoints on the server have those that their
    selectors find.
    """

    server: APIServer
    again: Callable[[], APIServer]
    from_pods: bool
    strict: Strictness


class ServerFeed:
    """Follows the objects of an API server, until it is told to end.

    `settings` reads what is not on the server; with the kubeconfig it is read again on request.
    `say` and `reporter` are told how it stands with the server, and what of its objects cannot
    be used.
    """

    def __init__(
        self,
        followed: ServerInput,
        settings: Callable[[], ModeRequest],
        say: Say,
        reporter: Reporter,
    ) -> None:
        self._followed = followed
        self._read = settings
        self._say = say
        self._reporter = reporter
        self._standing = Standing(say, time.monotonic)
        self._unusable = UnusableObjects(say, time.monotonic)
        self._listed = asyncio.Event()
        self._moves: asyncio.Queue[APIServer] = asyncio.Queue()
        self._use: Callable[[Update], None] = lambda _: None
        self._completed: Completion | None = None
        reporter.asks(followed.server)

    @asynccontextmanager
    async def first(self, orders: Orders) -> AsyncIterator[Update]:
        """Wait for the objects of all kinds, and give them as input; that may take long.

        Raises EarlyEnd when `orders` say to end before there is input.
        """
        self._orders = orders
        self._settings = _with_node_name(await orders.reading(self._read))
        self._watching = asyncio.create_task(self._watch())
        waiting = [asyncio.create_task(each) for each in (self._listed.wait(), orders.wait_end())]
        try:
            await asyncio.wait((*waiting, self._watching), return_when=asyncio.FIRST_COMPLETED)
            if self._watching.done():
                self._watching.result()
            if not self._listed.is_set():
                raise EarlyEnd
            self._given: ClusterState | None = self._state
            yield Update(self._inputs())
        finally:
            for task in (*waiting, self._watching):
                task.cancel()
            await asyncio.wait((self._watching,))

    async def until_end(self, use: Callable[[Update], None], *others: Awaitable[None]) -> None:
        """Give `use` what changes, until told to end, or until one of `others` ends."""
        self._use = use
        if self._state is not self._given:
            use(Update(self._inputs()))
        self._given = None
        await self._orders.until_end(self._watching, self._follow_settings(), *others)

    async def _watch(self) -> None:
        async with aclosing(self._steps()) as steps:
            async for step in steps:
                refused = [one for one in step.diagnostics if one.severity == "error"]
                for diagnostic in refused[:1]:
                    self._reporter.take_refusal(diagnostic)
                if step.diagnostics or step.more:
                    told = self._followed.strict.judge(step.diagnostics)
                    self._unusable.take(evolve(step, diagnostics=tuple(told)))
                take = self._take_in if self._listed.is_set() else self._begin
                change = await take(step)
                self._use(Update(self._inputs(), change, step.happened))

    def _steps(self) -> AsyncGenerator[ObjectChanges]:
        """Return what comes from the server: of Nodes only ours, unless others have Pods."""
        from svcnet.sources.kubernetes import KINDS, watch

        from_pods = self._followed.from_pods
        kinds = (*KINDS, "Endpoints", "Pod") if from_pods else KINDS
        if self._settings.settings.rules.reads_service_cidrs:
            kinds = (*kinds, "ServiceCIDR")
        return watch(
            self._followed.server,
            kinds,
            random=Random(),  # noqa: S311
            tell=self._stands,
            confirm=self._reporter.confirm,
            # kube-proxy waits for Services and slices; without ServiceCIDRs it drops less.
            optional=("ServiceCIDR",),
            moves=self._moves,
            node="" if from_pods else self._settings.node,
            # Nothing but Pods is found by labels.
            labelled=from_pods,
        )

    def _inputs(self) -> Inputs:
        inputs = self._settings.inputs(self._state)
        if self._completed is None:
            return inputs
        return evolve(inputs, left_out=self._completed.left_out)

    async def _begin(self, step: ObjectChanges) -> Change:
        """Take in the first list: all at once, which costs less than object by object."""
        from svcnet.models import ClusterState
        from svcnet.reconciler import Change
        from svcnet.sources import node_remarks

        given = ClusterState.of(step.changed)
        if self._followed.from_pods:
            from svcnet.discovery.endpoints import Completion

            # That can take seconds, in which the loop has more to do.
            self._completed = await asyncio.to_thread(Completion.of, given)
        self._state = given if self._completed is None else self._completed.state
        node = self._settings.node
        if node not in self._state.nodes:
            self._say(f"the server has no Node {node!r}: no endpoint is local", warning=True)
        else:
            for check, _, message in node_remarks(self._state, self._settings.config, node):
                if check not in self._followed.strict.ignored:
                    self._say(f"{message} [{check}]", warning=True)
        self._listed.set()
        return Change()

    async def _take_in(self, step: ObjectChanges) -> Change:
        """Take in a step, and return what it changes."""
        from svcnet.reconciler import Change

        objects = (*step.changed, *step.removed)
        if self._completed is None:
            after = self._state.apply(step.changed, step.removed)
        else:
            apply = self._completed.apply
            completed, made = await asyncio.to_thread(apply, step.changed, step.removed)
            self._completed, after = completed, completed.state
            objects += (*made.changed, *made.removed)
        change = Change.of(self._state, objects)
        self._state = after
        return change

    def _stands(self, status: Status) -> None:
        self._reporter.stands(status)
        self._standing.take(status)

    async def _follow_settings(self) -> None:
        from svcnet.reconciler import Change

        again = self._orders.again
        while await again.wait():
            again.clear()
            try:
                settings = _with_node_name(await asyncio.to_thread(self._read))
                server = await asyncio.to_thread(self._followed.again)
                if settings.node != self._settings.node:
                    raise UsageError("another node takes a new start of svcnet run")
                self._move(server)
                self._settings = settings
                self._use(Update(self._inputs(), Change()))
            except SvcnetError as error:
                self._say(f"{first_lines(error)}\nthe rules stay as they were", warning=True)
            else:
                self._say("the input was read again")
            self._orders.was_read()

    def _move(self, server: APIServer) -> None:
        """Follow another server from now on, if it is another."""
        if server != self._followed.server:
            self._followed = evolve(self._followed, server=server)
            self._reporter.asks(server)
            self._moves.put_nowait(server)
            self._say(f"API server: {server.url} from now on")


def api_server(kubeconfig: Path | None, context: str, strict: Strictness) -> APIServer:
    """Return the server that the options name, or kubectl's way to find it.

    That is ``KUBECONFIG``, the service account of a Pod, and ``~/.kube/config``, in this order.
    Warnings are told as `strict` says.
    """
    from svcnet.sources.kubernetes import in_cluster, load_kubeconfig

    load = partial(strict.heeding()(load_kubeconfig), tell=partial(tell_warnings, strict=strict))
    paths = [kubeconfig] if kubeconfig else _usual(os.environ.get("KUBECONFIG", ""))
    if paths:
        return load(paths, context)
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return in_cluster(os.environ)
    home = Path.home() / ".kube" / "config"
    if home.exists():
        return load([home], context)
    raise UsageError(
        "no API server is known: say --kubeconfig, set KUBECONFIG, or run in a Pod that has a "
        "service account"
    )


def _usual(variable: str) -> list[Path]:
    """Return the files of ``KUBECONFIG`` that there are; those that are not are passed over."""
    return [path for text in variable.split(":") if text and (path := Path(text)).exists()]


def _with_node_name(settings: ModeRequest) -> ModeRequest:
    """Return settings with the name of this node: that of the machine if nothing else is said."""
    name = settings.node or settings.config.hostname_override
    return evolve(settings, node=name or socket.gethostname().lower())
