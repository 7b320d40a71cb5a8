"""What is counted and measured, for Prometheus.

Names, types and buckets of ``kubeproxy_`` metrics: pkg/proxy/metrics/metrics.go of Kubernetes
v1.36. Those of ``svcnet_`` have no equal there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import ClassVar

from attrs import frozen

from svcnet.errors import MissingExtra
from svcnet.renderers.monitoring import Summary
from svcnet.servers.monitoring.http import HTTPResponse, Responder, plain

try:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
        Metric,
        ProcessCollector,
        generate_latest,
    )
    from prometheus_client.core import CounterMetricFamily
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise MissingExtra.of(error) from None

METRICS_BIND_ADDRESS = ("127.0.0.1", 10249)
"""Where ``/metrics`` is unless told otherwise; the name is that of kube-proxy's configuration."""

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"

SYNC_BUCKETS = tuple(0.001 * 2**step for step in range(15))
PROGRAMMING_BUCKETS = (
    # kube-proxy has the bucket for 0, too.
    *(0.0, 0.25, 0.5),
    *map(float, (*range(1, 60), *range(60, 120, 5), *range(120, 301, 30))),
)


_SYNC = "kubeproxy_sync_proxy_rules"
"""What the names of kube-proxy's metrics of syncs begin with."""


@frozen
class _Maker:
    """Makes metrics in a registry, in whose order they are served."""

    registry: CollectorRegistry

    def histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)


class Metrics:
    """The metrics of one control loop. Its methods may be called from any thread.

    All durations and times are seconds, times since 1970. ``wall`` is the clock. ``packets``
    tells of counters of the kernel that metrics are named after, None where there is no such one.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        packets: Callable[[str], int | None] = lambda _: None,
    ) -> None:
        self._wall = wall
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_KernelCounters(packets))
        make = _Maker(self._registry)
        self._make_syncs(make)
        self._make_changes(make)
        self._make_failures(make)
        self._make_flows(make)
        self._make_own(make)
        self._healthz = make.counter("kubeproxy_proxy_healthz", "Answers of /healthz", "code")
        self._livez = make.counter("kubeproxy_proxy_livez", "Answers of /livez", "code")

    def _make_syncs(self, make: _Maker) -> None:
        self._sync = make.histogram(
            f"{_SYNC}_duration_seconds", "Time of a sync", SYNC_BUCKETS, "ip_family"
        )
        self._full = make.histogram(
            "kubeproxy_sync_full_proxy_rules_duration_seconds",
            "Time of a sync that went over everything",
            SYNC_BUCKETS,
            "ip_family",
        )
        self._partial = make.histogram(
            "kubeproxy_sync_partial_proxy_rules_duration_seconds",
            "Time of a sync of what had changed",
            SYNC_BUCKETS,
            "ip_family",
        )
        self._stage = make.histogram(
            "svcnet_sync_stage_duration_seconds", "Time of a stage of a sync", SYNC_BUCKETS, "stage"
        )
        self._programming = make.histogram(
            "kubeproxy_network_programming_duration_seconds",
            "Time from a change of endpoints until the rules had it",
            PROGRAMMING_BUCKETS,
            "ip_family",
        )
        self._synced_at = make.gauge(
            f"{_SYNC}_last_timestamp_seconds", "When a sync was last done successfully", "ip_family"
        )
        self._queued_at = make.gauge(
            f"{_SYNC}_last_queued_timestamp_seconds", "When a sync was last asked for", "ip_family"
        )

    def _make_changes(self, make: _Maker) -> None:
        self._changes = {
            kind: (
                make.counter(f"{_SYNC}_{kind}_changes", f"Changes of {kind}s that came"),
                make.gauge(f"{_SYNC}_{kind}_changes_pending", f"Changes of {kind}s that wait"),
            )
            for kind in ("service", "endpoint")
        }
        self._no_local = make.gauge(
            f"{_SYNC}_no_local_endpoints_total",
            "Services of policy Local whose endpoints are all on other nodes",
            "traffic_policy",
            "ip_family",
        )
        self._rules = make.gauge(
            f"{_SYNC}_iptables_total", "Rules that are svcnet's", "table", "ip_family"
        )
        self._rules_written = make.gauge(
            f"{_SYNC}_iptables_last", "Rules that the last sync wrote", "table", "ip_family"
        )

    def _make_failures(self, make: _Maker) -> None:
        self._restore_failures = make.counter(
            f"{_SYNC}_iptables_restore_failures",
            "Runs of iptables-restore that failed",
            "ip_family",
        )
        self._partial_restore_failures = make.counter(
            f"{_SYNC}_iptables_partial_restore_failures",
            "Those of them that were to write what had changed",
            "ip_family",
        )
        self._nft_failures = make.counter(
            f"{_SYNC}_nftables_sync_failures", "Runs of nft that failed", "ip_family"
        )
        self._nft_cleanup_failures = make.counter(
            f"{_SYNC}_nftables_cleanup_failures",
            "Those that were to remove what is used no more",
            "ip_family",
        )

    def _make_flows(self, make: _Maker) -> None:
        self._flows = make.histogram(
            "kubeproxy_conntrack_reconciler_sync_duration_seconds",
            "Time of a look through the connection table",
            SYNC_BUCKETS,
            "ip_family",
        )
        self._flows_deleted = make.counter(
            "kubeproxy_conntrack_reconciler_deleted_entries",
            "Entries of the connection table that were deleted",
            "ip_family",
        )

    def _make_own(self, make: _Maker) -> None:
        self._failures = make.counter(
            "svcnet_sync_failures", "Syncs that failed, by stage", "stage"
        )
        self._drift = make.counter(
            "svcnet_drift", "What was found on the machine other than svcnet left it", "kind"
        )
        self._services = make.gauge("svcnet_services", "Services that have rules here", "ip_family")
        self._service_ports = make.gauge("svcnet_service_ports", "Their ports", "ip_family")
        self._endpoints = make.gauge(
            "svcnet_endpoints", "The endpoints of these ports, ready or not", "ip_family"
        )
        self._turned_away = make.counter(
            "svcnet_userspace_turned_away",
            "Connections and flows that a full proxy refused, let wait or ended",
        )

    def count_queue(self, families: Iterable[str]) -> None:
        """A sync was asked for, of some IP families."""
        for family in families:
            self._queued_at.labels(family).set(self._wall())

    def count_changes(self, *, services: int = 0, endpoints: int = 0) -> None:
        """So many changes came, which wait for the next sync."""
        for kind, number in (("service", services), ("endpoint", endpoints)):
            total, pending = self._changes[kind]
            if number:
                total.inc(number)
                pending.inc(number)

    def clear_changes(self) -> None:
        """A sync took all changes that waited."""
        for _, pending in self._changes.values():
            pending.set(0)

    def count_sync(
        self, family: str, duration: float, stages: Mapping[str, float], *, full: bool
    ) -> None:
        """A sync was done. `stages` are its parts' durations; `full` if it left nothing out."""
        self._sync.labels(family).observe(duration)
        (self._full if full else self._partial).labels(family).observe(duration)
        for stage, seconds in stages.items():
            self._stage.labels(stage).observe(seconds)
        self._synced_at.labels(family).set(self._wall())

    def count_cleanup(self, family: str, duration: float, deleted: int) -> None:
        """The connection table was looked through, and so many entries deleted."""
        self._flows.labels(family).observe(duration)
        self._flows_deleted.labels(family).inc(deleted)

    def observe_latency(self, family: str, trigger: float) -> None:
        """The rules have a change of endpoints that happened at `trigger`.

        That is what the annotation ``endpoints.kubernetes.io/last-change-trigger-time`` of
        an EndpointSlice says. By another machine's clock it may not have happened yet: that
        counts as no time at all.
        """
        self._programming.labels(family).observe(max(0.0, self._wall() - trigger))

    def count_failure(self, family: str, stage: str, *, full: bool) -> None:
        """A sync failed in a stage; some have counters of kube-proxy's."""
        self._failures.labels(stage).inc()
        match stage:
            case "iptables-restore":
                self._restore_failures.labels(family).inc()
                if not full:
                    self._partial_restore_failures.labels(family).inc()
            case "nft":
                self._nft_failures.labels(family).inc()
            case "nft-cleanup":
                self._nft_cleanup_failures.labels(family).inc()

    def drift(self, kind: str, number: int = 1) -> None:
        """So much was found on the machine other than svcnet had left it."""
        self._drift.labels(kind).inc(number)

    def serves(self, summaries: Collection[Summary]) -> None:
        """What the rules now serve, by the summary of each IP family."""
        for summary in summaries:
            family = summary.settings.family
            self._services.labels(family).set(len(summary.services))
            self._service_ports.labels(family).set(summary.service_ports)
            self._endpoints.labels(family).set(summary.endpoints)
            self._no_local.labels("internal", family).set(len(summary.internal))
            self._no_local.labels("external", family).set(len(summary.external))

    def rules(self, family: str, total: Mapping[str, int], written: Mapping[str, int]) -> None:
        """How many iptables rules there are, and the last sync wrote, by table."""
        for table, number in total.items():
            self._rules.labels(table, family).set(number)
        for table, number in written.items():
            self._rules_written.labels(table, family).set(number)

    def turned_away(self, number: int) -> None:
        """The proxy had no room for so many connections and flows."""
        self._turned_away.inc(number)

    def healthz(self, status: int) -> None:
        """An answer of ``/healthz``."""
        self._healthz.labels(str(int(status))).inc()

    def livez(self, status: int) -> None:
        """An answer of ``/livez``."""
        self._livez.labels(str(int(status))).inc()

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus, version 0.0.4."""
        return generate_latest(_PlainRegistry(self._registry))


def metrics_page(metrics: Metrics) -> Responder:
    """Return what answers ``/metrics``."""

    def respond(path: str) -> HTTPResponse:
        if path != "/metrics":
            return plain(HTTPStatus.NOT_FOUND)
        return HTTPResponse(HTTPStatus.OK, metrics.text(), TEXT_FORMAT, ())

    return respond


class _KernelCounters(Collector):
    """What rules of iptables have counted in the kernel's counters, where these are there."""

    _TEXTS: ClassVar[Mapping[str, tuple[str, str]]] = MappingProxyType(
        {
            "ct_state_invalid_dropped_pkts": (
                "kubeproxy_iptables_ct_state_invalid_dropped_packets",
                "Packets dropped because connection tracking knew nothing of them",
            ),
            "localhost_nps_accepted_pkts": (
                "kubeproxy_iptables_localhost_nodeports_accepted_packets",
                "Packets to node ports on addresses of loopback",
            ),
        }
    )

    def __init__(self, packets: Callable[[str], int | None]) -> None:
        self._packets = packets

    def collect(self) -> Iterator[Metric]:
        for counter, (name, text) in self._TEXTS.items():
            number = self._packets(counter)
            if number is not None:
                yield CounterMetricFamily(name, text, value=number)


class _PlainRegistry(Collector):
    """A registry without the library's series of when each series began; kube-proxy has none.

    The library can be told to leave them out, but only for the whole process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            created = f"{metric.name}_created"
            metric.samples = [sample for sample in metric.samples if sample.name != created]
            yield metric
