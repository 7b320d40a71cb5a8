"""What svcnet prints of userspace mode is accepted by the tools that it is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.executors.iptables.commands import VARIANTS
from svcnet.family import IP_FAMILIES
from svcnet.graph import diff
from svcnet.models import (
    ClusterState,
    IPFamily,
    KubeProxyConfiguration,
    LoadBalancerIngress,
    ServicePort,
)
from svcnet.renderers.userspace import (
    ProxyTable,
    delta,
    full,
    haproxy_config,
    portal_rules,
    step_text,
    text,
)
from svcnet.testing import make_node, make_service, make_slice
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.test_conformance import CASES, compile_case

pytestmark = pytest.mark.kernel

CHOSEN = (
    "config-detect-bridge",
    "config-detect-prefix",
    "dual-lb-everything",
    "etp-local-nodeport-two-local",
    "externalips-etp-local",
    "kitchen-sink",
    "nodeport-addresses-two",
)


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with own_namespace():
        yield


def command(family: IPFamily, variant: str) -> str:
    return f"ip{'6' if family == 'IPv6' else ''}tables-{variant}"


def saved(family: IPFamily, variant: str) -> list[str]:
    """Return the rules and jumps that are there, as the tool prints them, chain by chain."""
    lines = run(f"{command(family, variant)}-save").splitlines()
    return [line for line in lines if line.startswith("-A ")]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", IP_FAMILIES)
@pytest.mark.parametrize("name", CHOSEN)
def test_text_is_accepted(name: str, family: IPFamily, variant: str) -> None:
    """iptables-restore takes the whole output, also twice, and has every rule in its order."""
    table = full(compile_case(CASES / name, family))
    rules = portal_rules(table)
    for _ in range(2):
        run(f"{command(family, variant)}-restore", "--noflush", stdin=text(table, jumps=True))
    found = saved(family, variant)
    assert len(found) == len(rules.rules) + len(rules.jumps)
    for chain in {rule.chain for rule in rules.rules}:
        wanted = [rule.text.rpartition(" -j ")[2] for rule in rules.rules if rule.chain == chain]
        there = [line for line in found if line.startswith(f"-A {chain} ")]
        assert [line.rpartition(" -j ")[2] for line in there] == wanted


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_is_accepted(variant: str) -> None:
    """Loading a step leaves what a full text of the new state does, down to the order."""
    old = compile_case(CASES / "kitchen-sink", "IPv4")
    for new in (
        compile_case(CASES / "etp-local-nodeport-two-local", "IPv4"),
        compile_case(CASES / "nodeport-addresses-two", "IPv4"),
    ):
        restore = (f"{command('IPv4', variant)}-restore", "--noflush")
        run(*restore, stdin=text(full(new), jumps=True))
        wanted = saved("IPv4", variant)
        run(*restore, stdin=text(full(old), jumps=True))
        run(*restore, stdin=step_text(delta(diff(old, new))))
        assert saved("IPv4", variant) == wanted


def table_of(family: IPFamily, endpoints: int) -> ProxyTable:
    """Return a table with everything that a configuration of HAProxy can have."""
    v6 = family == "IPv6"
    ranges = [
        f"2001:db8:{n:x}:ffff:ffff:ffff:ffff:fff0/126" if v6 else f"198.{n >> 8}.{n & 255}.0/26"
        for n in range(2500)
    ]
    pods = [f"fd00:244::{n + 1:x}" if v6 else f"10.244.{n}.5@node-a" for n in range(endpoints)]
    service = make_service(
        cluster_ip="fd00:96::10" if v6 else "10.96.0.10",
        type="LoadBalancer",
        ports=(
            ServicePort(80, "http", "TCP", 8080, 30080),
            ServicePort(53, "dns", "UDP", 5353),
        ),
        load_balancer_ingress=(LoadBalancerIngress("2001:db8::20" if v6 else "203.0.113.20"),),
        load_balancer_source_ranges=tuple(ranges),
        external_traffic_policy="Local",
        session_affinity="ClientIP",
        annotations={"svcnet.io/proxy-protocol": "v2"},
    )
    state = ClusterState.of(
        [
            make_node("node-a", "2001:db8::10" if v6 else "192.0.2.10"),
            service,
            make_slice("web", *pods),
            make_service("plain", "fd00:96::11" if v6 else "10.96.0.11"),
            make_slice("plain", *pods),
        ]
    )
    view = node_view(state, KubeProxyConfiguration(), node="node-a")
    return full(compile_state(state, view))


@pytest.mark.parametrize("endpoints", [0, 3])
@pytest.mark.parametrize("family", IP_FAMILIES)
def test_haproxy_accepts_the_configuration(
    family: IPFamily, endpoints: int, tmp_path: Path
) -> None:
    """``haproxy -c`` takes every kind of section, without a warning."""
    config, unsupported = haproxy_config(table_of(family, endpoints))
    assert len(unsupported) == 1
    file = tmp_path / "haproxy.cfg"
    file.write_text(config)
    run("haproxy", "-c", "-dW", "-f", str(file))


@pytest.mark.parametrize("name", CHOSEN)
def test_haproxy_accepts_the_cases(name: str, tmp_path: Path) -> None:
    """``haproxy -c`` takes what comes of the reference cases, without a warning."""
    config, _ = haproxy_config(full(compile_case(CASES / name, "IPv4")))
    file = tmp_path / "haproxy.cfg"
    file.write_text(config)
    run("haproxy", "-c", "-dW", "-f", str(file))
