"""What ``svcnet run`` does: keep a machine true to its input."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import evolve, frozen

from svcnet import checks, modes
from svcnet.agent.cluster import Cluster, Followed, api_server
from svcnet.agent.log import Teller
from svcnet.agent.monitoring import Monitoring, bind_addresses
from svcnet.agent.proxying import Proxying, Show, refuse_unsupported
from svcnet.agent.reporting import Reporting
from svcnet.agent.snapshots import Snapshots
from svcnet.agent.systemd import Systemd
from svcnet.agent.update import Update
from svcnet.errors import ApplyError, Lacking, UsageError
from svcnet.inputs import FAMILIES, Inputs, probe_host, read_inputs, read_settings
from svcnet.inputs.families import Unserved, served_families
from svcnet.inputs.following import Ended, Following
from svcnet.modes.options import VARIANT
from svcnet.nogc import seldom_gc, settle

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from svcnet.models import IPFamily
    from svcnet.modes import AnyMode, Executor, ModeSettings
    from svcnet.modes.adapter import Adapter
    from svcnet.reconciler import Event, Kept

Feed: TypeAlias = Following[Update] | Cluster


@frozen
class Keeping:
    """What is to be kept true, and how.

    ``mode`` and ``settings`` are what options and configuration ask for at the beginning.
    ``server`` says that objects come from an API server and not from the paths of ``options``.
    ``healthz`` and ``metrics`` are bind addresses as text: None leaves them to the configuration,
    and with the empty string nothing is served. ``socket`` is where status is told, None for the
    usual place.
    """

    options: dict[str, Any]
    mode: AnyMode
    settings: ModeSettings
    family: str | None
    cleanup_on_exit: bool
    server: bool
    kubeconfig: Path | None
    context: str
    healthz: str | None
    metrics: str | None
    socket: Path | None


def keep(keeping: Keeping, log: FilteringBoundLogger, show: Show) -> None:
    """Keep the machine true to the input until a signal says to end.

    `log` is told what happens, and `show` what serves once it does, in a mode that serves.
    """
    with ExitStack() as stack:
        keeper = _Keeper(keeping, log, show, stack)
        asyncio.run(keeper.run())


class _Keeper:
    """A run of the loop, and what goes with it; `stack` is closed at the end."""

    def __init__(
        self, keeping: Keeping, log: FilteringBoundLogger, show: Show, stack: ExitStack
    ) -> None:
        from svcnet.agent.notify import Notify

        self._log = log
        self._teller = Teller(log)
        self._say = self._teller.say
        self._keeping = keeping = _told_by(keeping, self._say)
        self._ignored = keeping.options["strict"].ignored
        self._reporting = Reporting(log)
        self._settled = False
        self._serves = False
        self._systemd = Systemd(Notify.from_environment(os.environ))
        self._proxying: Proxying | None = None
        if keeping.mode.serves:
            self._proxying = Proxying(
                keeping.mode, keeping.settings, keeping.family, self._say, show, stack
            )

    async def run(self) -> None:
        from svcnet.executors.children import Deadline, Interrupted, under

        keeping = self._keeping
        feed = self._feed()
        with seldom_gc(), under(Deadline()), ExitStack() as stack:
            # What serves without rules opens nothing beyond loopback.
            self._monitoring = Monitoring(
                self._log, stack, keeping.options["strict"], answers=self._has_rules
            )
            if self._is_alone(stack):
                self._serve(stack)
            living = asyncio.create_task(self._systemd.live(self._monitoring.is_healthy))
            stack.callback(living.cancel)
            try:
                async with feed.first() as first:
                    await self._keep(feed, first.inputs, stack)
            except Ended:
                pass
            except Interrupted as error:
                self._say(str(error), warning=True)
        stays = self._proxying is None and not keeping.cleanup_on_exit
        self._log.info("ended; the rules stay" if stays else "ended")

    def _is_alone(self, stack: ExitStack) -> bool:
        """Return whether no other svcnet run can have what this one serves, such as its ports.

        Families that an option names are locked at once, until `stack` is closed; Busy is raised
        where another keeps one. Which the Node has, where none is named, the input must tell.
        """
        from svcnet.executors.lock import is_free, locks

        asked = self._keeping.family
        if not self._has_rules:
            return True
        if asked is None:
            return all(map(is_free, FAMILIES.values()))
        families = [FAMILIES[asked]] if asked in FAMILIES else FAMILIES.values()
        stack.enter_context(locks(families, keeps=True))
        return True

    def _serve(self, stack: ExitStack) -> None:
        """Answer beside the loop, until `stack` is closed; a port that is taken is warned of."""
        keeping, self._serves = self._keeping, True
        config, counts = keeping.options["config"], keeping.mode.configured_as
        self._monitoring.serve(*bind_addresses(config, counts, keeping.healthz, keeping.metrics))
        self._reporting.serve(keeping.socket, stack)

    @property
    def _has_rules(self) -> bool:
        return self._proxying is None or self._proxying.has_rules

    def _feed(self) -> Feed:
        options = self._keeping.options
        default_host = probe_host if self._has_rules else None
        if not self._keeping.server:
            self._reporting.source = " ".join(options["paths"]) or "-"
            inputs = partial(read_inputs, default_host=default_host, **options)
            read = self._reporting.reads(lambda: Update(self._checked(inputs())))
            stays = "the rules stay as they were"
            keeps = stays if self._proxying is None else "the state before goes on being served"
            return Following(options["paths"], read, keeps, self._say, self._systemd)
        names = ("mode", "config", "node", "host", "strict", "given")
        asked = {name: options[name] for name in names}
        settings = partial(read_settings, default_host=default_host, **asked)
        asked_of = self._keeping.kubeconfig, self._keeping.context, options["strict"]
        servers = partial(api_server, *asked_of)
        followed = Followed(
            servers(), servers, from_pods=options["from_pods"], strict=options["strict"]
        )
        read_again = self._reporting.reads(settings, objects=False)
        return Cluster(followed, read_again, self._say, self._reporting, self._systemd)

    def _checked(self, inputs: Inputs) -> Inputs:
        if self._proxying is not None and self._keeping.options["strict"].errors:
            return refuse_unsupported(inputs, self._keeping.family, self._keeping.options["strict"])
        return inputs

    async def _keep(self, feed: Feed, inputs: Inputs, stack: ExitStack) -> None:
        from svcnet.executors.lock import locks
        from svcnet.reconciler import Loop

        if inputs.mode is not self._keeping.mode:
            raise UsageError("the mode changed while svcnet began: start it again")
        remark = self._keeping.options["strict"].remark
        families = served_families(inputs, self._keeping.family, remark, rules=self._has_rules)
        self._unserved = Unserved(inputs, families, remark)
        if self._has_rules:
            stack.enter_context(locks(families, keeps=True))
        if not self._serves:
            self._serve(stack)
        made = await asyncio.to_thread(self._in_mode, inputs, families)
        executor = made.mode.executor(settings=made.settings)
        self._adapters = self._begin(executor, families, stack)
        kept = [self._kept(executor, adapter) for adapter in self._adapters]
        self._loop = Loop(kept, inputs.settings.pace, self._tell, self._ignored)
        self._snapshots = Snapshots(families)
        self._inputs = inputs
        self._configure(inputs)
        self._loop.follow(self._snapshots.of(inputs))
        working = [self._loop.run()]
        if self._has_rules and not self._keeping.options["host"]:
            working.append(self._look_at_host())
        if self._proxying is None:
            await feed.until_told(self._use, *working)
            self._systemd.stopping()
            if self._keeping.cleanup_on_exit:
                await asyncio.to_thread(self._clean_up, families)
            return
        async with self._proxying.portals():
            serving = self._proxying.serve(self._systemd.stopping)
            watching = self._proxying.watch(self._monitoring.turned_away)
            await feed.until_told(self._use, *working, watching, serving)

    def _use(self, update: Update) -> None:
        """Have new input followed."""
        from svcnet.reconciler import Change

        inputs = update.inputs
        if inputs.mode is not self._inputs.mode:
            raise UsageError(f"mode {inputs.mode.name} takes a new start of svcnet run")
        snapshot = self._snapshots.of(inputs)
        change = update.change or Change.between(self._inputs.state, inputs.state)
        self._inputs = inputs
        if self._keeping.family is None:
            self._unserved.look(inputs, change.touched)
        self._loop.pace = inputs.settings.pace
        self._configure(inputs)
        self._loop.follow(snapshot, change, update.happened)

    async def _look_at_host(self) -> None:
        """Follow what changes of this machine itself, such as its addresses."""
        from svcnet.reconciler import Change

        while True:
            await asyncio.sleep(self._loop.pace.sync_period)
            try:
                self._snapshots.host = await asyncio.to_thread(probe_host)
            except ApplyError as error:
                self._say(f"this machine's addresses are not known anew: {error}", warning=True)
                continue
            if self._snapshots.would_differ(self._inputs):
                self._loop.follow(self._snapshots.of(self._inputs), Change())

    def _configure(self, inputs: Inputs) -> None:
        """Have what goes with the loop know of the configuration and the node."""
        self._monitoring.listed(inputs, inputs.settings.pace.sync_period)
        for adapter in self._adapters:
            adapter.configure(inputs.settings)
        self._reporting.settings = inputs.settings

    def _in_mode(self, inputs: Inputs, families: list[IPFamily]) -> Inputs:
        """Return the input in the fallback's mode if the kernel lacks what its own needs."""
        other = inputs.settings.fallback
        if other is None:
            return inputs
        from svcnet.compiler import compile_state

        mode = inputs.mode
        try:
            for family in families:
                graph = compile_state(inputs.state, inputs.view(family.lower()))
                artifact = mode.full(graph, inputs.settings)
                mode.executor(settings=inputs.settings).plan(artifact)
        except Lacking as error:
            lacks = ", ".join(error.lacks)
            lack = f"the kernel lacks {lacks}: keeping {other} mode instead"
            self._keeping.options["strict"].remark(checks.MACHINE_STATE, lack)
            return inputs.in_mode(modes.get(other))
        return inputs

    def _begin(
        self, executor: Executor[Any], families: list[IPFamily], stack: ExitStack
    ) -> Sequence[Adapter]:
        if self._proxying is not None:
            return self._proxying.begin(families, executor.settings, stack)
        return [executor.adapter(family) for family in families]

    def _kept(self, executor: Executor[Any], adapter: Adapter) -> Kept:
        from svcnet.reconciler import Follower, Keeper, Kept, Leftovers, StaleFlows

        # The entries of a proxy's portals lead to it, and live as long as its ports do.
        flows = None if executor.mode.serves else StaleFlows(executor.machine)
        family = adapter.family
        leftovers = Leftovers(executor, family) if self._has_rules else None
        return Kept(Follower(family), Keeper(adapter), flows, leftovers)

    def _clean_up(self, families: list[IPFamily]) -> None:
        from svcnet.executors.attempts import attempt_all
        from svcnet.executors.children import LAST_SECONDS, Deadline, under

        # What serves has gone with its process.
        known = [mode for mode in modes.available().values() if not mode.serves]
        given = {VARIANT.name: self._keeping.settings.given.get(VARIANT.name)}
        parts = (part for each in families for part in modes.cleanup_parts(known, each, given))
        with under(Deadline(LAST_SECONDS)):
            for line in attempt_all(parts):
                self._log.info(line)

    def _tell(self, event: Event) -> None:
        from svcnet.reconciler import Settled

        if self._proxying is None or self._proxying.take(event):
            self._teller.tell(event)
        self._monitoring.take(event)
        self._reporting.take(event)
        if isinstance(event, Settled):
            self._systemd.settled()
            if not self._settled:
                # The whole cluster is read and has its rules: what comes from here on are changes.
                self._settled = True
                settle()


def _told_by(keeping: Keeping, say: Callable[..., object]) -> Keeping:
    """Return `keeping` with an input whose warnings are events like all others."""
    strict = evolve(keeping.options["strict"], tell=partial(say, warning=True))
    return evolve(keeping, options={**keeping.options, "strict": strict})
