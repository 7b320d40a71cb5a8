"""The servers beside ``svcnet run``: health, metrics, and health-check node ports."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from svcnet.agent.log import Log
from svcnet.errors import ApplyError, SvcnetError
from svcnet.inputs import EVERY_WARNING, Strictness

if TYPE_CHECKING:
    from svcnet.executors.machine import Machine
    from svcnet.inputs import Inputs
    from svcnet.reconciler.monitor import Addresses
    from svcnet.renderers.monitoring import HealthCheck
    from svcnet.servers.monitoring.http import Responder


BindAddress: TypeAlias = tuple[str, int] | None


class Monitoring:
    """Serves what the events of a loop say of it, until `stack` is closed.

    Made in a running event loop. Events may be taken in any thread. Health-check node ports are
    there with `answers` only; what is warned of is what `strict` heeds.
    """

    def __init__(
        self,
        log: Log,
        stack: ExitStack,
        strict: Strictness = EVERY_WARNING,
        *,
        machine: Machine,
        answers: bool = True,
    ) -> None:
        from svcnet.executors.nfacct import packets
        from svcnet.reconciler import Monitor
        from svcnet.servers.monitoring import Health, Metrics, ServiceHealth

        self._log = log
        self._stack = stack
        self._strict = strict
        self._answers = answers
        self._loop = asyncio.get_running_loop()
        self._health = Health()
        self._metrics = Metrics(packets=partial(packets, machine=machine))
        self._services = ServiceHealth(self._health)
        self._monitor = Monitor(self._health, self._metrics, self._answer)
        self.take = self._monitor.take
        self.turned_away = self._metrics.turned_away
        stack.callback(self._services.close)

    def is_healthy(self) -> bool:
        """Return whether no change waits too long for its rules."""
        return self._health.healthy

    def serve(self, healthz: tuple[str, int] | None, metrics: tuple[str, int] | None) -> None:
        """Answer for this node at two addresses; one that is taken is warned of."""
        from svcnet.servers.monitoring import health_pages, metrics_page

        if healthz is not None:
            self._serve(healthz, health_pages(self._health, self._metrics), "health")
        if metrics is not None:
            self._serve(metrics, metrics_page(self._metrics), "metrics")

    def take_inputs(self, inputs: Inputs, sync_period: float, *, of_server: bool) -> None:
        """Take that all objects are known, and how it stands with the node.

        Manifests without any Node say nothing about nodes; a server without this one does.
        """
        from svcnet.compiler import node_name

        self._health.timeout = 2 * sync_period
        self._health.note_list()
        node = inputs.state.nodes.get(node_name(inputs.state, inputs.config, inputs.node))
        is_told = of_server or bool(inputs.state.nodes)
        is_known = node is not None and not node.being_deleted
        self._health.node(eligible=is_known or not is_told)

    def _serve(self, where: tuple[str, int], respond: Responder, what: str) -> None:
        from svcnet.servers.monitoring import HTTPServer

        try:
            server = HTTPServer(where, respond)
        except ApplyError as error:
            self._log.warning(f"{what} is served nowhere: {error}")
            return
        self._stack.callback(server.close)

    def _answer(self, checks: tuple[HealthCheck, ...], addresses: Addresses) -> None:
        if self._answers:
            self._loop.call_soon_threadsafe(self._follow, checks, addresses)

    def _follow(self, checks: tuple[HealthCheck, ...], addresses: Addresses) -> None:
        for diagnostic in self._strict.judge(self._services.follow(checks, addresses)):
            self._log.warning(str(diagnostic))


def bind_addresses(
    config: Path | None, mode: str | None, healthz: str | None, metrics: str | None
) -> tuple[BindAddress, BindAddress]:
    """Return where health and metrics are served in a mode; None stands for nowhere.

    `healthz` and `metrics` are what options say: None leaves it to the configuration, and the empty
    string is nowhere. With a configuration that is wrong that is nowhere, too: to read the input
    will tell.
    """
    from svcnet.models import KubeProxyConfiguration
    from svcnet.servers.monitoring import HEALTHZ_BIND_ADDRESS, METRICS_BIND_ADDRESS
    from svcnet.sources import load_config

    try:
        settings = load_config(config, mode or "") if config else KubeProxyConfiguration()
    except SvcnetError:
        return None, None
    return (
        _bind(healthz, settings.healthz_bind_address, HEALTHZ_BIND_ADDRESS),
        _bind(metrics, settings.metrics_bind_address, METRICS_BIND_ADDRESS),
    )


def _bind(asked: str | None, configured: BindAddress, usual: tuple[str, int]) -> BindAddress:
    from svcnet.sources.addresses import address_and_port

    if asked is None:
        return configured or usual
    return address_and_port(asked, usual[1]) if asked else None
