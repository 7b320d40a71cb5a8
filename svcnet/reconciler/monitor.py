"""From what a loop tells to health, metrics and health-check node ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from svcnet.family import IPFamily
from svcnet.graph import GraphDiff, RuleGraph
from svcnet.reconciler.events import BeginEvent, Event, QueueEvent, RefusalEvent, SyncEvent
from svcnet.renderers.monitoring import (
    HealthCheck,
    Summary,
    advance,
    full,
    health_check_addresses,
    health_checks,
)
from svcnet.servers.monitoring import Health, Metrics

Addresses: TypeAlias = Mapping[IPFamily, tuple[str, ...]]


class Monitor:
    """Keeps health and metrics as the events of a loop have them.

    `answer` is told which health-check node ports to answer on, and at which addresses; it is
    called in the loop's threads, when something of that changed.
    """

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        answer: Callable[[tuple[HealthCheck, ...], Addresses], None],
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._answer = answer
        self._followed: dict[str, tuple[RuleGraph, Summary]] = {}
        self._answered: tuple[tuple[HealthCheck, ...], Addresses] = ((), {})

    def take(self, event: Event) -> None:
        """Take one event."""
        match event:
            case QueueEvent(change, families):
                self._health.note_queue(families)
                self._metrics.count_queue(families)
                services, endpoints = len(change.services), len(change.endpoints)
                self._metrics.count_changes(services=services, endpoints=endpoints)
            case BeginEvent():
                self._metrics.clear_changes()
            case SyncEvent():
                self._take_sync(event)
            case RefusalEvent():
                self._metrics.count_failure(event.family, event.stage, full=event.full)

    def _take_sync(self, event: SyncEvent) -> None:
        metrics, family = self._metrics, event.family
        self._health.note_sync(family)
        full = event.change is None or event.done.kind == "full"
        metrics.count_sync(family, event.seconds, event.stages, full=full)
        if event.done.failed:
            metrics.count_failure(family, event.done.failed, full=False)
        if event.deleted_flows is not None:
            metrics.count_cleanup(family, event.stages["conntrack"], event.deleted_flows)
        for happened in event.happened:
            metrics.observe_latency(family, happened)
        for kind, number in event.done.differed.items():
            metrics.drift(kind, number)
        if event.done.rules is not None:
            metrics.rules(family, event.done.rules.total, event.done.rules.written)
        self._summarize(family, event.graph, event.change)

    def _summarize(self, family: IPFamily, graph: RuleGraph, change: GraphDiff | None) -> None:
        """Bring the summary of a family to `graph`, and tell what it says."""
        followed = self._followed.get(family)
        if followed is not None and followed[0] is graph:
            return
        if followed is not None and change is not None and change.old is followed[0]:
            summary = advance(followed[1], change)
        else:
            summary = full(graph)
        self._followed[family] = graph, summary
        summaries = [summary for _, summary in self._followed.values()]
        self._metrics.serves(summaries)
        answered = health_checks(summaries), health_check_addresses(summaries)
        if answered != self._answered:
            self._answered = answered
            self._answer(*answered)
