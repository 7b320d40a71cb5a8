"""One run of an agent: from the first input until it is told to end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import evolve, frozen

from svcnet import checks, modes
from svcnet.agent.feeds import Feed, feed_of
from svcnet.agent.log import Log, Teller
from svcnet.agent.memory import give_back
from svcnet.agent.monitoring import Monitoring, bind_addresses
from svcnet.agent.notify import Notify
from svcnet.agent.proxy import ProxyThread, Show, refuse_unsupported
from svcnet.agent.reporter import Reporter
from svcnet.agent.request import Cluster, Request
from svcnet.agent.snapshots import Snapshots
from svcnet.agent.systemd import Systemd
from svcnet.agent.update import Update
from svcnet.errors import ApplyError, Lacking, UsageError
from svcnet.family import IP_FAMILIES
from svcnet.inputs import Inputs, probe_host
from svcnet.inputs.families import FamilyWatch, served_families
from svcnet.inputs.orders import EarlyEnd, Orders
from svcnet.modes.options import VARIANT
from svcnet.nogc import seldom_gc, settle

if TYPE_CHECKING:
    from svcnet.models import IPFamily
    from svcnet.modes import AnyMode, Executor, ModeSettings
    from svcnet.modes.adapter import Adapter
    from svcnet.modes.options import OptionValues
    from svcnet.reconciler import Event, FamilyState

Listen: TypeAlias = Callable[["Event"], object]
"""Is given every event of the loop, in the thread where it happens."""


@frozen
class Audience:
    """Who is told of a run: a log, what shows what serves, and who listens to the loop."""

    log: Log
    show: Show
    listen: Listen


class Run:
    """A run of the loop, and what goes with it; `stack` is closed at the end.

    `at_start` are the mode that it begins in, and what is asked of that. To be made before any
    other thread runs, since a mode may begin processes. With `has_process` the process is there for
    it alone: signals are heard, systemd is told, and Python's collector seldom looks.
    """

    def __init__(
        self,
        request: Request,
        at_start: tuple[AnyMode, ModeSettings],
        audience: Audience,
        stack: ExitStack,
        *,
        has_process: bool,
    ) -> None:
        from svcnet.executors.this_machine import THIS_MACHINE

        self._log, self._show, self._listen = audience.log, audience.show, audience.listen
        teller = Teller(audience.log)
        self._teller, self._say = teller, teller.say
        # Warnings of the input are events like all others.
        strict = evolve(request.strict, tell=lambda line: teller.say(line, warning=True))
        self._request = evolve(request, strict=strict)
        self._mode, settings = at_start
        self._machine = THIS_MACHINE if request.machine is None else request.machine
        self._has_process = has_process
        self._settled = False
        self._serves = False
        self._systemd = Systemd(Notify.from_environment(os.environ) if has_process else Notify())
        self.reporter = Reporter(audience.log, self._mode)
        self._proxy: ProxyThread | None = None
        self._given: tuple[OptionValues, OptionValues] | None = None
        if self._mode.serves:
            families = request.families or IP_FAMILIES
            executor = self._mode.executor(self._machine, settings)
            self._proxy = ProxyThread(executor, families, self._say, self._show, stack)
            self.reporter.serves(self._proxy.tables)

    async def run(self, take_orders: Callable[[Orders], None]) -> None:
        """Keep the machine true to the input, until `orders` that are given away say to end.

        Raises what is wrong with the first input, Busy where another svcnet keeps a family, and
        ApplyError where the machine refuses what a run cannot go on without.
        """
        from svcnet.executors.children import Deadline, Interruption, under
        from svcnet.executors.rights import require_rights

        if self._has_rules:
            instead = "svcnet run --mode userspace --no-redirect serves on ports of 127.0.0.1"
            require_rights("run", self._machine, instead)
        feed = self._feed()
        with ExitStack() as stack:
            if self._has_process:
                stack.enter_context(seldom_gc())
            stack.enter_context(under(Deadline()))
            orders = Orders(self._systemd)
            take_orders(orders)
            # What serves without rules opens nothing beyond loopback.
            self._monitoring = Monitoring(
                log=self._log,
                stack=stack,
                strict=self._request.strict,
                machine=self._machine,
                answers=self._has_rules,
            )
            if self._is_alone(stack):
                self._serve(stack)
            living = asyncio.create_task(self._systemd.live(self._monitoring.is_healthy))
            stack.callback(living.cancel)
            if self._has_process:
                orders.hear_signals()
            try:
                async with feed.first(orders) as first:
                    families = await self._begin_loop(first.inputs, stack)
                    # It would be kept beside all that follow it.
                    del first
                    await self._keep(feed, orders, families)
            except EarlyEnd:
                pass
            except Interruption as error:
                self._say(str(error), warning=True)
        stays = self._proxy is None and not self._request.cleanup_on_exit
        self._log.info("ended; the rules stay" if stays else "ended")

    def _is_alone(self, stack: ExitStack) -> bool:
        """Return whether no other svcnet run can have what this one serves, such as its ports.

        Families that are asked for are locked at once, until `stack` is closed; Busy is raised
        where another keeps one. Which the Node has, where none is named, the input must tell.
        """
        if not self._has_rules:
            return True
        if not self._request.families:
            return all(map(self._machine.is_free, IP_FAMILIES))
        stack.enter_context(self._machine.locks(self._request.families, keeps=True))
        return True

    def _serve(self, stack: ExitStack) -> None:
        """Answer beside the loop, until `stack` is closed; a port that is taken is warned of."""
        request, self._serves = self._request, True
        counts = self._mode.configured_as
        where = bind_addresses(request.config, counts, request.healthz, request.metrics)
        self._monitoring.serve(*where)
        self.reporter.serve(request.socket, stack)

    @property
    def _has_rules(self) -> bool:
        return self._proxy is None or self._proxy.has_rules

    def _feed(self) -> Feed:
        stays = "the rules stay as they were"
        keeps = stays if self._proxy is None else "the state before goes on being served"
        return feed_of(
            request=self._request,
            reporter=self.reporter,
            say=self._say,
            checked=self._check,
            keeps=keeps,
            machine=self._machine,
            has_rules=self._has_rules,
        )

    def _check(self, inputs: Inputs) -> Inputs:
        if self._proxy is not None and self._request.strict.errors:
            return refuse_unsupported(inputs, self._request.families, self._request.strict)
        return inputs

    async def _begin_loop(self, inputs: Inputs, stack: ExitStack) -> list[IPFamily]:
        """Make the loop that keeps the machine true, give it its first input; return the families.

        What is held for them is given back when `stack` is closed.
        """
        from svcnet.reconciler import Loop

        request = self._request
        if inputs.mode is not self._mode:
            raise UsageError("the mode changed while svcnet began: start it again")
        remark = request.strict.remark
        families = served_families(
            inputs, request.families, remark, rules=self._has_rules, machine=self._machine
        )
        self._unserved = FamilyWatch(inputs, families, remark)
        if self._has_rules:
            stack.enter_context(self._machine.locks(families, keeps=True))
        if not self._serves:
            self._serve(stack)
        self._serving = await asyncio.to_thread(self._mode_for, inputs, families)
        inputs = self._as_served(inputs)
        executor = inputs.mode.executor(self._machine, inputs.settings)
        self._adapters = self._begin(executor, families, stack)
        kept = [self._make_family(executor, adapter) for adapter in self._adapters]
        self._loop = Loop(kept, inputs.settings.pace, self._tell, request.strict.ignored)
        self._snapshots = Snapshots(families)
        self._inputs = inputs
        self._configure(inputs)
        self._loop.follow(self._snapshots.of(inputs))
        return families

    async def _keep(self, feed: Feed, orders: Orders, families: list[IPFamily]) -> None:
        """Keep the machine true to what comes, until told to end."""
        request = self._request
        working = [self._loop.run()]
        if self._has_rules and request.host is None:
            working.append(self._look_at_host())
        if self._proxy is None:
            await feed.until_end(self._use, *working)
            self._systemd.stopping()
            if request.cleanup_on_exit:
                await asyncio.to_thread(self._clean_up, families)
            return
        async with self._proxy.portals():
            serving = self._proxy.serve(orders, self._systemd.stopping)
            watching = self._proxy.watch(self._monitoring.turned_away)
            await feed.until_end(self._use, *working, watching, serving)

    def _use(self, update: Update) -> None:
        """Have new input followed."""
        from svcnet.reconciler import Change

        asked = update.inputs.mode
        if asked is not self._mode:
            raise UsageError(f"mode {asked.name} takes a new start of svcnet run")
        inputs = self._as_served(update.inputs)
        snapshot = self._snapshots.of(inputs)
        change = update.change or Change.between(self._inputs.state, inputs.state)
        self._inputs = inputs
        if not self._request.families:
            self._unserved.look(inputs, change.all_services)
        self._loop.pace = inputs.settings.pace
        self._configure(inputs)
        self._loop.follow(snapshot, change, update.happened)

    async def _look_at_host(self) -> None:
        """Follow what changes of the machine itself, such as its addresses."""
        from svcnet.reconciler import Change

        while True:
            await asyncio.sleep(self._loop.pace.sync_period)
            try:
                self._snapshots.host = await asyncio.to_thread(probe_host, self._machine)
            except ApplyError as error:
                self._say(f"this machine's addresses are not known anew: {error}", warning=True)
                continue
            if self._snapshots.would_differ(self._inputs):
                self._loop.follow(self._snapshots.of(self._inputs), Change())

    def _configure(self, inputs: Inputs) -> None:
        """Have what goes with the loop know of the configuration and the node."""
        self._monitoring.take_inputs(
            inputs,
            inputs.settings.pace.sync_period,
            of_server=isinstance(self._request.source, Cluster),
        )
        for adapter in self._adapters:
            adapter.configure(inputs.settings)
        self.reporter.configure(inputs.mode, inputs.settings)

    def _as_served(self, inputs: Inputs) -> Inputs:
        """Return input with the settings of the mode that serves, which may be a fallback.

        What they leave to the machine it is asked once.
        """
        inputs = inputs if inputs.mode is self._serving else inputs.in_mode(self._serving)
        asked = inputs.settings.given
        if self._given is None or self._given[0] != asked:
            settings = self._serving.settle(inputs.settings, self._machine)
            self._given = asked, settings.given
        return evolve(inputs, settings=evolve(inputs.settings, given=self._given[1]))

    def _mode_for(self, inputs: Inputs, families: list[IPFamily]) -> AnyMode:
        """Return the input's mode, or its fallback if the kernel lacks what that needs."""
        other = inputs.settings.fallback
        if other is None:
            return inputs.mode
        from svcnet.compiler import compile_state

        mode = inputs.mode
        try:
            for family in families:
                graph = compile_state(inputs.state, inputs.view(family.lower()))
                artifact = mode.full(graph, inputs.settings)
                mode.executor(self._machine, inputs.settings).plan(artifact)
        except Lacking as error:
            lacks = ", ".join(error.lacks)
            lack = f"the kernel lacks {lacks}: keeping {other} mode instead"
            self._request.strict.remark(checks.MACHINE_STATE, lack)
            return modes.get(other)
        return mode

    def _begin(
        self, executor: Executor[Any], families: list[IPFamily], stack: ExitStack
    ) -> Sequence[Adapter]:
        if self._proxy is not None:
            return self._proxy.begin(families, executor.settings, stack)
        return [executor.adapter(family) for family in families]

    def _make_family(self, executor: Executor[Any], adapter: Adapter) -> FamilyState:
        from svcnet.reconciler import FamilyState, Follower, Keeper, Leftovers, StaleFlows

        # The entries of a proxy's portals lead to it, and live as long as its ports do.
        flows = None if executor.mode.serves else StaleFlows(executor.machine)
        family = adapter.family
        leftovers = Leftovers(executor, family) if self._has_rules else None
        return FamilyState(Follower(family), Keeper(adapter), flows, leftovers)

    def _clean_up(self, families: list[IPFamily]) -> None:
        from svcnet.executors.attempts import attempt_all
        from svcnet.executors.children import LAST_SECONDS, Deadline, under

        # What serves has gone with its process.
        all_modes = {**modes.available(), self._mode.name: self._mode}
        known = [mode for mode in all_modes.values() if not mode.serves]
        given = {VARIANT.name: self._request.options.get(VARIANT.name)}
        parts = (
            part
            for each in families
            for part in modes.cleanup_parts(known, each, given, self._machine)
        )
        with under(Deadline(LAST_SECONDS)):
            for line in attempt_all(parts):
                self._log.info(line)

    def _tell(self, event: Event) -> None:
        from svcnet.reconciler import InSyncEvent

        if self._proxy is None or self._proxy.take(event):
            self._teller.tell(event)
        self._monitoring.take(event)
        self.reporter.take(event)
        if isinstance(event, InSyncEvent):
            self._systemd.tell_ready()
            if self._has_process and not self._settled:
                # The whole cluster is read and has its rules: what comes from here on are changes.
                settle()
                give_back()
            self._settled = True
        self._listen(event)
