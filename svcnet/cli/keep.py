"""What ``svcnet run`` does: keep a machine true to its input."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import evolve, frozen

from svcnet.cli.cluster import Cluster, api_server
from svcnet.cli.common import Inputs, bind_address, probe_host, read_inputs, read_settings
from svcnet.cli.following import Ended, Following, Update
from svcnet.cli.log import logger, tell
from svcnet.cli.monitoring import Monitoring
from svcnet.cli.proxying import Proxying, Serving, refuse_unsupported
from svcnet.cli.reporting import Reporting
from svcnet.cli.systemd import Systemd
from svcnet.errors import SvcnetError, UsageError
from svcnet.nogc import seldom_gc, settle

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from svcnet.compiler import NodeView
    from svcnet.executors.iptables import Variant
    from svcnet.models import Host, IPFamily
    from svcnet.reconciler import Event, Kept, Pace, Snapshot, Target

Feed: TypeAlias = Following[Update] | Cluster
BindAddress: TypeAlias = tuple[str, int] | None


@frozen
class Keeping:
    """What is to be kept true, and how.

    ``server`` says that objects come from an API server and not from the paths of ``options``.
    ``healthz`` and ``metrics`` are bind addresses as text: None leaves them to the configuration,
    and with the empty string nothing is served. ``proxying`` is for mode userspace alone.
    ``socket`` is where status is told, None for the usual place.
    """

    options: dict[str, Any]
    family: str | None
    variant: Variant | None
    drain: float | None
    cleanup_on_exit: bool
    server: bool
    kubeconfig: Path | None
    context: str
    healthz: str | None
    metrics: str | None
    fallback: str | None
    proxying: Proxying | None
    socket: Path | None


def keep(keeping: Keeping) -> None:
    """Keep the machine true to the input until a signal says to end."""
    with ExitStack() as stack:
        keeper = _Keeper(keeping, logger(sys.stderr), stack)
        asyncio.run(keeper.run())


class _Keeper:
    """A run of the loop, and what goes with it; `stack` is closed at the end."""

    def __init__(self, keeping: Keeping, log: FilteringBoundLogger, stack: ExitStack) -> None:
        from svcnet.executors.systemd import Notify

        self._keeping = keeping
        self._log = log
        self._reporting = Reporting(log)
        self._settled = False
        self._systemd = Systemd(Notify.from_environment(os.environ))
        self._serving: Serving | None = None
        if keeping.proxying is not None:
            asked = (keeping.proxying, keeping.family, keeping.variant)
            self._serving = Serving(*asked, self._say, stack)

    async def run(self) -> None:
        keeping = self._keeping
        feed = self._feed()
        with seldom_gc(), ExitStack() as stack:
            # What serves without rules opens nothing beyond loopback.
            self._monitoring = Monitoring(self._log, stack, answers=self._has_rules)
            self._monitoring.serve(*_bind_addresses(keeping))
            self._reporting.serve(keeping.socket, stack)
            living = asyncio.create_task(self._systemd.live(self._monitoring.is_healthy))
            stack.callback(living.cancel)
            with suppress(Ended):
                async with feed.first() as first:
                    await self._keep(feed, first.inputs, stack)
        stays = self._serving is None and not keeping.cleanup_on_exit
        self._log.info("ended; the rules stay" if stays else "ended")

    @property
    def _has_rules(self) -> bool:
        return self._serving is None or self._serving.redirect

    def _feed(self) -> Feed:
        options = self._keeping.options
        default_host = probe_host if self._has_rules else None
        if not self._keeping.server:
            self._reporting.source = " ".join(options["paths"]) or "-"
            inputs = partial(read_inputs, default_host=default_host, **options)
            read = self._reporting.reads(lambda: Update(self._checked(inputs())))
            stays = "the rules stay as they were"
            keeps = stays if self._serving is None else "the state before goes on being served"
            return Following(options["paths"], read, keeps, self._say, self._systemd)
        names = ("mode", "config", "node", "host")
        asked = {name: options[name] for name in names}
        settings = partial(read_settings, default_host=default_host, **asked)
        server = api_server(self._keeping.kubeconfig, self._keeping.context)
        self._reporting.source = f"API server {server.url}"
        read_again = self._reporting.reads(settings)
        return Cluster(server, read_again, self._say, self._reporting.told, self._systemd)

    def _checked(self, inputs: Inputs) -> Inputs:
        if self._serving is not None and self._keeping.options["strict"]:
            return refuse_unsupported(inputs, self._keeping.family)
        return inputs

    async def _keep(self, feed: Feed, inputs: Inputs, stack: ExitStack) -> None:
        from svcnet.executors.lock import lock
        from svcnet.reconciler import Change, Loop

        if (inputs.mode == "userspace") is not (self._serving is not None):
            raise UsageError("the mode changed while svcnet began: start it again")
        families = [view.family for view in inputs.views(self._keeping.family)]
        if self._has_rules:
            for family in families:
                stack.callback(lock(family).close)
        mode = await asyncio.to_thread(self._mode, inputs, families)
        kept = [self._kept(target) for target in self._targets(mode, inputs, families)]
        loop = Loop(kept, _pace(inputs), self._tell)
        snapshots = _Snapshots(families)
        followed = inputs
        self._configure(inputs)
        self._monitoring.listed(inputs, loop.pace.sync_period)
        loop.follow(snapshots.of(inputs))

        def use(update: Update) -> None:
            nonlocal followed
            again = update.inputs
            if again.mode != inputs.mode:
                raise UsageError(f"mode {again.mode} takes a new start of svcnet run")
            snapshot = snapshots.of(again)
            change = update.change or Change.between(followed.state, again.state)
            self._configure(again)
            followed = again
            loop.pace = _pace(again)
            self._monitoring.listed(again, loop.pace.sync_period)
            loop.follow(snapshot, change, update.happened)

        async def look_at_host() -> None:
            """Follow what changes of this machine itself, such as its addresses."""
            while True:
                await asyncio.sleep(loop.pace.sync_period)
                snapshots.host = await asyncio.to_thread(probe_host)
                if snapshots.would_differ(followed):
                    loop.follow(snapshots.of(followed), Change())

        working = [loop.run()]
        if self._has_rules and not self._keeping.options["host"]:
            working.append(look_at_host())
        if self._serving is None:
            await feed.until_told(use, *working)
            self._systemd.stopping()
            if self._keeping.cleanup_on_exit:
                await asyncio.to_thread(self._clean_up, families)
            return
        async with self._serving.portals():
            await feed.until_told(use, *working, self._serving.serve(self._systemd.stopping))

    def _configure(self, inputs: Inputs) -> None:
        if self._serving is not None:
            self._serving.configure(inputs)
            self._reporting.choice = self._serving.choice(inputs)

    def _mode(self, inputs: Inputs, families: list[IPFamily]) -> str:
        """Return the mode that is asked for, or the fallback if the kernel lacks modules for it."""
        if inputs.mode != "ipvs" or self._keeping.fallback is None:
            return inputs.mode
        from svcnet.compiler import compile_state
        from svcnet.executors import ipvs
        from svcnet.renderers.ipvs import full

        try:
            for family in families:
                tables = full(compile_state(inputs.state, inputs.view(family.lower())))
                ipvs.apply(tables, variant=self._keeping.variant, dry_run=True)
        except ipvs.MissingModules as error:
            lacks = ", ".join(error.modules)
            self._say(f"the kernel lacks {lacks}: keeping iptables mode instead", warning=True)
            return self._keeping.fallback
        return inputs.mode

    def _targets(self, mode: str, inputs: Inputs, families: list[IPFamily]) -> Iterable[Target]:
        from svcnet.executors.iptables import Commits
        from svcnet.executors.ipvs import DRAIN
        from svcnet.reconciler import IptablesTarget, IPVSTarget

        if self._serving is not None:
            return self._serving.begin(families, inputs)
        variant, commits = self._keeping.variant, Commits()
        if mode == "ipvs":
            drain = DRAIN if self._keeping.drain is None else int(self._keeping.drain)
            return [IPVSTarget(family, variant, commits, drain) for family in families]
        return [IptablesTarget(family, variant, commits) for family in families]

    def _kept(self, target: Target) -> Kept:
        from svcnet.reconciler import Follower, Kept, Leftovers, StaleFlows

        # The entries of a proxy's portals lead to it, and live as long as its ports do.
        flows = StaleFlows() if self._serving is None else None
        leftovers = Leftovers(target, self._keeping.variant) if self._has_rules else None
        return Kept(Follower(target.family), target, flows, leftovers)

    def _clean_up(self, families: list[IPFamily]) -> None:
        from svcnet.executors import iptables, ipvs

        for family in families:
            for line in (*ipvs.cleanup(family), *iptables.cleanup(family, self._keeping.variant)):
                self._log.info(line)

    def _tell(self, event: Event) -> None:
        from svcnet.reconciler import Settled

        if self._serving is None or self._serving.take(event):
            tell(self._log, event)
        self._monitoring.take(event)
        self._reporting.take(event)
        if isinstance(event, Settled):
            self._systemd.settled()
            if not self._settled:
                # The whole cluster is read and has its rules: what comes from here on are changes.
                self._settled = True
                settle()

    def _say(self, text: str, *, warning: bool = False) -> None:
        (self._log.warning if warning else self._log.info)(text)


class _Snapshots:
    """Makes snapshots; views of the node are made anew only when something of them may differ.

    ``host`` are facts of this machine that are newer than those of the input.
    """

    def __init__(self, families: list[IPFamily]) -> None:
        self._families = families
        self._made: tuple[Inputs, Mapping[str, NodeView]] | None = None
        self.host: Host | None = None

    def of(self, inputs: Inputs) -> Snapshot:
        from svcnet.reconciler import Snapshot

        return Snapshot(inputs.state, self._views(self._on_host(inputs)))

    def would_differ(self, inputs: Inputs) -> bool:
        """Whether views have to be made anew."""
        return self._made is None or not _seen_alike(self._made[0], self._on_host(inputs))

    def _on_host(self, inputs: Inputs) -> Inputs:
        return inputs if self.host is None else evolve(inputs, host=self.host)

    def _views(self, inputs: Inputs) -> Mapping[str, NodeView]:
        if self._made is not None and _seen_alike(self._made[0], inputs):
            return self._made[1]
        views: dict[str, NodeView] = {
            family: inputs.view(family.lower()) for family in self._families
        }
        self._made = inputs, views
        return views


def _seen_alike(one: Inputs, other: Inputs) -> bool:
    """Whether the node's views of two inputs must be the same."""
    nodes = one.state.nodes is other.state.nodes
    return nodes and one.config is other.config and one.host == other.host


def _bind_addresses(keeping: Keeping) -> tuple[BindAddress, BindAddress]:
    """Return where health and metrics are served; None stands for nowhere.

    With a configuration that is wrong that is nowhere, too: to read the input will tell.
    """
    from svcnet.executors.monitoring import HEALTHZ_BIND_ADDRESS, METRICS_BIND_ADDRESS
    from svcnet.models import KubeProxyConfiguration
    from svcnet.sources import load_config

    path = keeping.options["config"]
    try:
        config = load_config(path) if path else KubeProxyConfiguration()
    except SvcnetError:
        return None, None
    return (
        _bind(keeping.healthz, config.healthz_bind_address, HEALTHZ_BIND_ADDRESS),
        _bind(keeping.metrics, config.metrics_bind_address, METRICS_BIND_ADDRESS),
    )


def _bind(asked: str | None, configured: BindAddress, usual: tuple[str, int]) -> BindAddress:
    if asked is None:
        return configured or usual
    return bind_address(asked, usual[1]) if asked else None


def _pace(inputs: Inputs) -> Pace:
    from svcnet.reconciler import Pace

    settings = inputs.config.ipvs if inputs.mode == "ipvs" else inputs.config.iptables
    return Pace(settings.min_sync_period, settings.sync_period)
