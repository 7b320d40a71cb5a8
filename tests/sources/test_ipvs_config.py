"""The ``ipvs`` section of a KubeProxyConfiguration, and what becomes of it on a node."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcnet.compiler import node_view
from svcnet.errors import InputError
from svcnet.graph import IPVSSettings
from svcnet.models import ClusterState, IPFamily, IPVSConfiguration
from svcnet.sources import load_config
from svcnet.testing import make_node

HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n"


def config_file(folder: Path, section: str) -> Path:
    """Write a configuration whose ``ipvs`` section begins in line 5."""
    file = folder / "config.yaml"
    file.write_text(f"{HEAD}ipvs:\n{section}")
    return file


def test_everything_read(tmp_path: Path) -> None:
    """Every field arrives, durations in seconds and CIDRs without host bits."""
    section = (
        "  scheduler: wlc\n  strictARP: true\n  excludeCIDRs: [10.9.8.7/16, 'FD00::/8']\n"
        "  tcpTimeout: 15m\n  tcpFinTimeout: 1m30s\n  udpTimeout: 1500ms\n"
        "  syncPeriod: 1m\n  minSyncPeriod: 2s\n"
    )
    found = load_config(config_file(tmp_path, section))
    assert found.mode == "ipvs"
    assert found.ipvs == IPVSConfiguration(
        scheduler="wlc",
        strict_arp=True,
        exclude_cidrs=("10.9.0.0/16", "fd00::/8"),
        tcp_timeout=900.0,
        tcp_fin_timeout=90.0,
        udp_timeout=1.5,
        sync_period=60.0,
        min_sync_period=2.0,
    )


@pytest.mark.parametrize(("family", "cidr"), [("IPv4", "10.9.0.0/16"), ("IPv6", "fd00::/8")])
def test_settings_of_a_node(tmp_path: Path, family: IPFamily, cidr: str) -> None:
    """A node's settings have the CIDRs of their family, and the kernel's whole seconds."""
    section = (
        "  scheduler: sh\n  excludeCIDRs: [10.9.0.0/16, 'fd00::/8']\n  udpTimeout: 1500ms\n"
        "  tcpTimeout: 0s\n"
    )
    config = load_config(config_file(tmp_path, section))
    view = node_view(ClusterState.of([make_node()]), config, family=family)
    assert view.settings.ipvs == IPVSSettings("sh", False, (cidr,), (0, 0, 2))


@pytest.mark.parametrize("section", ["  scheduler: ''\n", "  {}\n", "  scheduler: null\n"])
def test_defaults(tmp_path: Path, section: str) -> None:
    """What is left out, or empty, is kube-proxy's default."""
    assert load_config(config_file(tmp_path, section)).ipvs == IPVSConfiguration()


@pytest.mark.parametrize(
    ("section", "line", "field", "message"),
    [
        ("scheduler: round-robin", 5, "ipvs.scheduler", "must be an IPVS scheduler: rr, wrr"),
        ("scheduler: [rr]", 5, "ipvs.scheduler", "must be a string"),
        ("strictARP: 'yes'", 5, "ipvs.strictARP", "true or false"),
        ("excludeCIDRs:\n  - 10.0.0.0/8\n  - 10.0.0.0/33", 7, "ipvs.excludeCIDRs[1]", "a CIDR"),
        ("excludeCIDRs: [10.0.0.1]", 5, "ipvs.excludeCIDRs[0]", "a CIDR"),
        ("excludeCIDRs: 10.0.0.0/8", 5, "ipvs.excludeCIDRs", "must be a list"),
        ("tcpTimeout: 900", 5, "ipvs.tcpTimeout", "a duration such as 30s"),
        ("tcpFinTimeout: -1s", 5, "ipvs.tcpFinTimeout", "a duration"),
        ("udpTimeout: 5 minutes", 5, "ipvs.udpTimeout", "a duration"),
    ],
)
def test_errors(tmp_path: Path, section: str, line: int, field: str, message: str) -> None:
    """One thing wrong is one error, with file, line, object and field."""
    file = config_file(tmp_path, f"  {section}\n")
    with pytest.raises(InputError) as caught:
        load_config(file)
    (found,) = caught.value.diagnostics
    assert (found.file, found.line, found.field) == (str(file), line, field)
    assert found.object == "KubeProxyConfiguration"
    assert message in found.message
    assert caught.value.exit_code == 2
