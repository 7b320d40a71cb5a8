"""Configurations of one field each, as kube-proxy v1.36.2 takes or refuses them.

``answers.json`` has a row each: a field, a text, and ``taken`` with the field's value, or
``refused``, as kube-proxy's own loading, defaults and validation answered.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from svcnet.errors import InputError
from svcnet.models import KubeProxyConfiguration
from svcnet.sources import open_config
from svcnet.sources.addresses import address_and_port, canonical_address, canonical_cidr
from svcnet.sources.config.effects import FIELDS
from svcnet.sources.durations import parse_duration

HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
ROWS: list[list[Any]] = json.loads((Path(__file__).parent / "answers.json").read_text())

BRIDGE = "detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: %s}"
PREFIX = "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: %s}"
DIFFERENT = {
    # svcnet has a mode that kube-proxy no longer has, and reads the field that was for it.
    "mode: userspace": "taken",
    "portRange: rubbish": "refused",
    # No Node can have such a name: kube-proxy waits for it, and ends.
    "hostnameOverride: =": "refused",
    'hostnameOverride: "a b"': "refused",
    'hostnameOverride: "  "': "refused",
    # The kernel and iptables refuse these later, and all rules with them.
    BRIDGE % "abcdefghijklmnop": "refused",
    BRIDGE % '"a b"': "refused",
    PREFIX % "abcdefghijklmno": "refused",
    PREFIX % "eth+": "refused",
    "mode: ipvs\nipvs: {scheduler: random}": "refused",
}
"""Where svcnet means to differ."""


def seconds(text: str | None) -> float:
    return parse_duration(text or "0s") / 1e9


def bound(text: str) -> tuple[str, int]:
    return address_and_port(text, 0)


def cidrs(text: str | None) -> tuple[str | None, ...]:
    return tuple(canonical_cidr(part) for part in (text or "").split(",") if part)


def ports(members: list[str] | None) -> tuple[str | None, ...]:
    return tuple(one if one == "primary" else canonical_cidr(one) for one in members or ())


def node_address(text: str) -> str | None:
    found = canonical_address(text)
    return "" if found in ("0.0.0.0", "::") else found


Check = tuple[Callable[[KubeProxyConfiguration], Any], Callable[[Any], Any]]


def same(value: Any) -> Any:
    return value


CHECKS: dict[str, Check] = {
    "mode": (lambda c: c.mode or "iptables", same),
    "hostnameOverride": (lambda c: c.hostname_override, lambda text: text.strip().lower()),
    "bindAddress": (lambda c: c.bind_address, node_address),
    "healthzBindAddress": (lambda c: c.healthz_bind_address or ("0.0.0.0", 10256), bound),
    "metricsBindAddress": (lambda c: c.metrics_bind_address or ("127.0.0.1", 10249), bound),
    "clusterCIDR": (lambda c: c.cluster_cidrs, cidrs),
    "detectLocalMode": (lambda c: c.detect_local_mode or "ClusterCIDR", same),
    "detectLocal.bridgeInterface": (lambda c: c.detect_local.bridge_interface, same),
    "detectLocal.interfaceNamePrefix": (lambda c: c.detect_local.interface_name_prefix, same),
    "nodePortAddresses": (lambda c: c.node_port_addresses, ports),
    "iptables.masqueradeBit": (lambda c: c.iptables.masquerade_bit, same),
    "iptables.masqueradeAll": (lambda c: c.iptables.masquerade_all, same),
    "iptables.localhostNodePorts": (lambda c: c.iptables.localhost_node_ports, same),
    "iptables.syncPeriod": (lambda c: c.iptables.sync_period, seconds),
    "iptables.minSyncPeriod": (lambda c: c.iptables.min_sync_period, seconds),
    "nftables.masqueradeBit": (lambda c: c.nftables.masquerade_bit, same),
    "nftables.masqueradeAll": (lambda c: c.nftables.masquerade_all, same),
    "nftables.syncPeriod": (lambda c: c.nftables.sync_period, seconds),
    "nftables.minSyncPeriod": (lambda c: c.nftables.min_sync_period, seconds),
    "ipvs.scheduler": (lambda c: c.ipvs.scheduler, lambda text: text or "rr"),
    "ipvs.strictARP": (lambda c: c.ipvs.strict_arp, same),
    "ipvs.excludeCIDRs": (lambda c: c.ipvs.exclude_cidrs, ports),
    "ipvs.tcpTimeout": (lambda c: c.ipvs.tcp_timeout or 0, seconds),
    "ipvs.tcpFinTimeout": (lambda c: c.ipvs.tcp_fin_timeout or 0, seconds),
    "ipvs.udpTimeout": (lambda c: c.ipvs.udp_timeout or 0, seconds),
    "ipvs.syncPeriod": (lambda c: c.ipvs.sync_period, seconds),
    "ipvs.minSyncPeriod": (lambda c: c.ipvs.min_sync_period, seconds),
    "conntrack.maxPerCore": (lambda c: c.conntrack.max_per_core, same),
    "conntrack.min": (lambda c: c.conntrack.min, same),
    "conntrack.tcpBeLiberal": (lambda c: c.conntrack.tcp_be_liberal, same),
    "conntrack.tcpEstablishedTimeout": (lambda c: c.conntrack.tcp_established_timeout, seconds),
    "conntrack.tcpCloseWaitTimeout": (lambda c: c.conntrack.tcp_close_wait_timeout, seconds),
    "conntrack.udpTimeout": (lambda c: c.conntrack.udp_timeout or 0, seconds),
    "conntrack.udpStreamTimeout": (lambda c: c.conntrack.udp_stream_timeout or 0, seconds),
    "featureGates": (lambda c: dict(c.feature_gates), lambda gates: gates or {}),
}
"""How svcnet and kube-proxy tell the value of a field."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers")


@pytest.mark.parametrize("field", sorted({row[0] for row in ROWS}))
def test_answers_are_those_of_kube_proxy(folder: Path, field: str) -> None:
    """What kube-proxy refuses is an error with a line, and what it takes has its value."""
    wrong = []
    for _, text, answer, *values in (row for row in ROWS if row[0] == field):
        file = folder / "config.yaml"
        file.write_text(f"{HEAD}{text}\n")
        try:
            config = open_config(file).config
        except InputError as error:
            if DIFFERENT.get(text, answer) != "refused" or not all(
                found.line for found in error.diagnostics
            ):
                wrong.append((text, str(error)))
            continue
        if DIFFERENT.get(text, answer) != "taken":
            wrong.append((text, "taken"))
        elif field in CHECKS and answer == "taken":
            ours, theirs = CHECKS[field]
            if ours(config) != theirs(values[0]):
                wrong.append((text, f"{ours(config)} and not {theirs(values[0])}"))
    assert not wrong


def test_every_field_that_has_an_effect_has_answers_of_both_kinds() -> None:
    """Of each field that svcnet reads at least three values are taken, and three refused."""
    for section, fields in FIELDS.items():
        for name, known in fields.items():
            path = f"{section}.{name}" if section else name
            if known.uses and section != "featureGates" and name not in ("apiVersion", "kind"):
                for kind in ("taken", "refused"):
                    assert sum(row[0] == path and row[2] == kind for row in ROWS) >= 3, path
