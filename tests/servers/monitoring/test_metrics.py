"""Metrics: kube-proxy's names, types and buckets, and what the loop's calls do to them."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from attrs import evolve
from prometheus_client.parser import text_string_to_metric_families

from svcnet.compiler import compile_state, node_view
from svcnet.models import ClusterState, Host, KubeProxyConfiguration
from svcnet.modes.stages import IPTABLES_RESTORE, NFT, NFT_CLEANUP
from svcnet.renderers.monitoring import full
from svcnet.servers.monitoring import Metrics
from svcnet.testing import make_node, make_service, make_slice

SERVICE = make_service(internal_traffic_policy="Local")
STATE = ClusterState.of([make_node(), SERVICE, make_slice("web", "10.244.2.1", "10.244.2.2")])
CONFIG = KubeProxyConfiguration(hostname_override="node-a")
SUMMARY = full(compile_state(STATE, node_view(STATE, CONFIG, Host(), family="IPv4")))

NOW = 1_795_521_600.0
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "health-and-metrics.md"

# What kube-proxy v1.36 has, as far as it means the same here: name, type, labels.
KUBE_PROXY = {
    "kubeproxy_conntrack_reconciler_deleted_entries": ("counter", {"ip_family"}),
    "kubeproxy_conntrack_reconciler_sync_duration_seconds": ("histogram", {"ip_family"}),
    "kubeproxy_iptables_ct_state_invalid_dropped_packets": ("counter", set()),
    "kubeproxy_iptables_localhost_nodeports_accepted_packets": ("counter", set()),
    "kubeproxy_network_programming_duration_seconds": ("histogram", {"ip_family"}),
    "kubeproxy_proxy_healthz": ("counter", {"code"}),
    "kubeproxy_proxy_livez": ("counter", {"code"}),
    "kubeproxy_sync_full_proxy_rules_duration_seconds": ("histogram", {"ip_family"}),
    "kubeproxy_sync_partial_proxy_rules_duration_seconds": ("histogram", {"ip_family"}),
    "kubeproxy_sync_proxy_rules_duration_seconds": ("histogram", {"ip_family"}),
    "kubeproxy_sync_proxy_rules_endpoint_changes": ("counter", set()),
    "kubeproxy_sync_proxy_rules_endpoint_changes_pending": ("gauge", set()),
    "kubeproxy_sync_proxy_rules_iptables_last": ("gauge", {"ip_family", "table"}),
    "kubeproxy_sync_proxy_rules_iptables_partial_restore_failures": ("counter", {"ip_family"}),
    "kubeproxy_sync_proxy_rules_iptables_restore_failures": ("counter", {"ip_family"}),
    "kubeproxy_sync_proxy_rules_iptables_total": ("gauge", {"ip_family", "table"}),
    "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds": ("gauge", {"ip_family"}),
    "kubeproxy_sync_proxy_rules_last_timestamp_seconds": ("gauge", {"ip_family"}),
    "kubeproxy_sync_proxy_rules_nftables_cleanup_failures": ("counter", {"ip_family"}),
    "kubeproxy_sync_proxy_rules_nftables_sync_failures": ("counter", {"ip_family"}),
    "kubeproxy_sync_proxy_rules_no_local_endpoints_total": (
        "gauge",
        {"ip_family", "traffic_policy"},
    ),
    "kubeproxy_sync_proxy_rules_service_changes": ("counter", set()),
    "kubeproxy_sync_proxy_rules_service_changes_pending": ("gauge", set()),
}


@pytest.fixture(name="metrics")
def some_metrics() -> Metrics:
    return Metrics(wall=lambda: NOW, packets=len)


def used(metrics: Metrics) -> Metrics:
    """Return metrics of which each has a value."""
    metrics.count_queue(["IPv4"])
    metrics.count_changes(services=1, endpoints=1)
    metrics.count_sync("IPv4", 0.5, {"render": 0.1}, full=True)
    metrics.count_sync("IPv4", 0.5, {"render": 0.1}, full=False)
    metrics.observe_latency("IPv4", NOW - 1)
    metrics.count_failure("IPv4", IPTABLES_RESTORE, full=False)
    metrics.count_failure("IPv4", NFT, full=True)
    metrics.count_failure("IPv4", NFT_CLEANUP, full=True)
    metrics.count_cleanup("IPv4", 0.25, 3)
    metrics.drift("chain")
    metrics.serves([SUMMARY])
    metrics.rules("IPv4", {"nat": 10}, {"nat": 1})
    metrics.healthz(200)
    metrics.livez(200)
    return metrics


def values(metrics: Metrics) -> dict[str, float]:
    """Return every series and its value, by its text."""
    found = {}
    for line in metrics.text().decode().splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def test_names_types_and_labels_are_kube_proxys(metrics: Metrics) -> None:
    """A dashboard for kube-proxy finds what it asks for."""
    found = {}
    for family in text_string_to_metric_families(used(metrics).text().decode()):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if family.name.startswith("kubeproxy_"):
            found[family.name] = (family.type, labels)
    assert found == KUBE_PROXY


def buckets(metrics: Metrics, name: str) -> list[float]:
    pattern = re.compile(rf'^{name}_bucket{{ip_family="IPv4",le="([0-9.]+)"}}')
    return [
        float(match[1])
        for line in metrics.text().decode().splitlines()
        if (match := pattern.match(line))
    ]


@pytest.mark.parametrize("part", ["sync", "sync_full", "sync_partial"])
def test_buckets_of_syncs(metrics: Metrics, part: str) -> None:
    """From a millisecond to 16.384 seconds, each twice the one before."""
    found = buckets(used(metrics), f"kubeproxy_{part}_proxy_rules_duration_seconds")
    assert found == [0.001 * 2**step for step in range(15)]


def test_buckets_of_programming(metrics: Metrics) -> None:
    """Seconds up to a minute, then steps of 5 and of 30 seconds, up to five minutes."""
    found = buckets(used(metrics), "kubeproxy_network_programming_duration_seconds")
    assert found[:5] == [0, 0.25, 0.5, 1, 2]
    assert found[61:63] == [59, 60]
    assert found[62:74] == [60, 65, 70, 75, 80, 85, 90, 95, 100, 105, 110, 115]
    assert found[74:] == [120, 150, 180, 210, 240, 270, 300]


def test_a_sync(metrics: Metrics) -> None:
    """A sync counts in all, in full or partial, by stage, and has a time."""
    metrics.count_sync("IPv4", 0.25, {"compile": 0.125, "apply": 0.0625}, full=True)
    metrics.count_sync("IPv4", 0.5, {"compile": 0.25}, full=False)
    found = values(metrics)
    assert found['kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"}'] == 2
    assert found['kubeproxy_sync_proxy_rules_duration_seconds_sum{ip_family="IPv4"}'] == 0.75
    assert found['kubeproxy_sync_full_proxy_rules_duration_seconds_sum{ip_family="IPv4"}'] == 0.25
    assert found['kubeproxy_sync_partial_proxy_rules_duration_seconds_sum{ip_family="IPv4"}'] == 0.5
    assert found['svcnet_sync_stage_duration_seconds_sum{stage="compile"}'] == 0.375
    assert found['svcnet_sync_stage_duration_seconds_count{stage="apply"}'] == 1
    assert found['kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"}'] == NOW


def test_programming(metrics: Metrics) -> None:
    """The time since the trigger counts; one in the future, by another clock, counts as 0."""
    metrics.observe_latency("IPv4", NOW - 3)
    metrics.observe_latency("IPv4", NOW + 100)
    found = values(metrics)
    assert found['kubeproxy_network_programming_duration_seconds_sum{ip_family="IPv4"}'] == 3
    assert found['kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"}'] == 2


def test_failures(metrics: Metrics) -> None:
    """All failures count by stage; of iptables-restore those of partial syncs by themselves."""
    metrics.count_failure("IPv4", "observe", full=True)
    metrics.count_failure("IPv4", IPTABLES_RESTORE, full=True)
    metrics.count_failure("IPv4", IPTABLES_RESTORE, full=False)
    found = values(metrics)
    name = "kubeproxy_sync_proxy_rules_iptables"
    assert found['svcnet_sync_failures_total{stage="observe"}'] == 1
    assert found['svcnet_sync_failures_total{stage="iptables-restore"}'] == 2
    assert found[f'{name}_restore_failures_total{{ip_family="IPv4"}}'] == 2
    assert found[f'{name}_partial_restore_failures_total{{ip_family="IPv4"}}'] == 1


def test_changes_wait_until_a_sync_takes_them(metrics: Metrics) -> None:
    """Pending changes are those since the last sync began; the totals go on."""
    metrics.count_queue(["IPv4"])
    metrics.count_changes(services=1, endpoints=2)
    metrics.count_changes(endpoints=3)
    name = "kubeproxy_sync_proxy_rules"
    assert values(metrics)[f"{name}_endpoint_changes_pending"] == 5
    metrics.clear_changes()
    found = values(metrics)
    assert found[f"{name}_endpoint_changes_pending"] == 0
    assert found[f"{name}_endpoint_changes_total"] == 5
    assert found[f"{name}_service_changes_total"] == 1
    assert found[f'{name}_last_queued_timestamp_seconds{{ip_family="IPv4"}}'] == NOW


def test_what_is_there(metrics: Metrics) -> None:
    """Counts and rules are gauges: the last ones stand."""
    metrics.serves([evolve(SUMMARY, service_ports=9, endpoints=9)])
    metrics.serves([SUMMARY])
    metrics.rules("IPv4", {"nat": 70, "filter": 20}, {"nat": 7, "filter": 2})
    metrics.drift("chain", 3)
    found = values(metrics)
    name = "kubeproxy_sync_proxy_rules"
    assert found['svcnet_services{ip_family="IPv4"}'] == 1
    assert found['svcnet_service_ports{ip_family="IPv4"}'] == 1
    assert found['svcnet_endpoints{ip_family="IPv4"}'] == 2
    assert (
        found[f'{name}_no_local_endpoints_total{{ip_family="IPv4",traffic_policy="internal"}}'] == 1
    )
    assert (
        found[f'{name}_no_local_endpoints_total{{ip_family="IPv4",traffic_policy="external"}}'] == 0
    )
    assert found[f'{name}_iptables_total{{ip_family="IPv4",table="nat"}}'] == 70
    assert found[f'{name}_iptables_last{{ip_family="IPv4",table="filter"}}'] == 2
    assert found['svcnet_drift_total{kind="chain"}'] == 3


def test_each_family_has_its_own(metrics: Metrics) -> None:
    """What one family does is not in the other's numbers."""
    metrics.count_sync("IPv6", 0.5, {}, full=True)
    metrics.rules("IPv6", {"nat": 5}, {})
    metrics.count_cleanup("IPv6", 0.5, 2)
    metrics.count_cleanup("IPv6", 0.25, 1)
    found = values(metrics)
    name = "kubeproxy_conntrack_reconciler"
    assert found[f'{name}_sync_duration_seconds_sum{{ip_family="IPv6"}}'] == 0.75
    assert found[f'{name}_deleted_entries_total{{ip_family="IPv6"}}'] == 3
    assert not any('"IPv4"' in series for series in found)


def test_counters_of_the_kernel(metrics: Metrics) -> None:
    """What the kernel counts is read when metrics are; where it counts nothing, nothing is told."""
    name = "kubeproxy_iptables_ct_state_invalid_dropped_packets_total"
    assert values(metrics)[name] == len("ct_state_invalid_dropped_pkts")
    assert name not in values(Metrics())


def test_the_process_is_measured(metrics: Metrics) -> None:
    """Memory, processor time and descriptors have the names that all exporters use."""
    assert values(metrics)["process_resident_memory_bytes"] > 0
    assert values(metrics)["process_open_fds"] > 0


def test_two_have_nothing_in_common(metrics: Metrics) -> None:
    """What one loop counts does not show in another's metrics."""
    metrics.drift("chain")
    assert not any("drift_total{" in name for name in values(Metrics()))


def test_nothing_but_what_is_told(metrics: Metrics) -> None:
    """There are no series of when a series began: kube-proxy has none."""
    assert not [name for name in values(used(metrics)) if "_created" in name]


def test_from_several_threads(metrics: Metrics) -> None:
    """Calls of several threads all count, while another reads."""

    def work() -> None:
        for _ in range(1000):
            metrics.count_sync("IPv4", 0.001, {"apply": 0.001}, full=False)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        metrics.text()
    for thread in threads:
        thread.join()
    assert (
        values(metrics)['kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"}']
        == 4000
    )


def test_the_page_has_every_metric(metrics: Metrics) -> None:
    """The reference names each metric with its type, and no other."""
    there = {}
    for line in used(metrics).text().decode().splitlines():
        if line.startswith("# TYPE ") and "process_" not in line:
            _, _, name, kind = line.split()
            there[name] = kind
    page = PAGE.read_text("utf-8")
    written = dict(re.findall(r"^\| `((?:kubeproxy|svcnet)_\w+)` \| (\w+) \|", page, re.MULTILINE))
    assert written == there
