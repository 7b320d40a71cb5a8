"""Fields without effect: one warning for all, and none for what kubeadm writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcnet import checks
from svcnet.sources import open_config
from svcnet.sources.config import gates as feature_gates
from svcnet.sources.config.effects import FIELDS
from svcnet.sources.schema import fieldsets

HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
KUBEADM = f"""\
{HEAD}bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection:
  acceptContentTypes: ""
  burst: 0
  contentType: ""
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
  qps: 0
clusterCIDR: 10.244.0.0/16
configSyncPeriod: 0s
conntrack:
  maxPerCore: null
  min: null
  tcpBeLiberal: false
  tcpCloseWaitTimeout: null
  tcpEstablishedTimeout: null
  udpStreamTimeout: 0s
  udpTimeout: 0s
detectLocal:
  bridgeInterface: ""
  interfaceNamePrefix: ""
detectLocalMode: ""
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: ""
iptables:
  localhostNodePorts: null
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
ipvs:
  excludeCIDRs: null
  minSyncPeriod: 0s
  scheduler: ""
  strictARP: false
  syncPeriod: 0s
  tcpFinTimeout: 0s
  tcpTimeout: 0s
  udpTimeout: 0s
logging:
  flushFrequency: 0
  options:
    json:
      infoBufferSize: "0"
    text:
      infoBufferSize: "0"
  verbosity: 0
metricsBindAddress: ""
mode: ""
nftables:
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
nodePortAddresses: null
oomScoreAdj: null
portRange: ""
showHiddenMetricsForVersion: ""
winkernel:
  enableDSR: false
  forwardHealthCheckVip: false
  networkName: ""
  rootHnsEndpointName: ""
  sourceVip: ""
"""
DEFAULTS = f"""\
{HEAD}configSyncPeriod: 15m0s
clientConnection: {{burst: 10, contentType: application/vnd.kubernetes.protobuf, qps: 5}}
conntrack: {{maxPerCore: 32768, min: 131072, tcpCloseWaitTimeout: 1h0m0s}}
ipvs: {{syncPeriod: 30s}}
logging: {{flushFrequency: 5000000000, format: text, verbosity: 0}}
nftables: {{masqueradeBit: 14, minSyncPeriod: 1s, syncPeriod: 30s}}
oomScoreAdj: -999
"""


def told(folder: Path, text: str, mode: str = "") -> list[tuple[int, str, str]]:
    path = folder / "config.yaml"
    path.write_text(text)
    found = open_config(path, mode).warnings
    assert all(warning.check is checks.NO_EFFECT for warning in found)
    return [(warning.line, warning.field, warning.message) for warning in found]


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "userspace"])
@pytest.mark.parametrize("text", [KUBEADM, DEFAULTS])
def test_defaults_are_quiet(tmp_path: Path, text: str, mode: str) -> None:
    """Of what kubeadm writes, and of kube-proxy's own defaults, nothing is told."""
    assert not told(tmp_path, text, mode)


@pytest.mark.parametrize(
    ("text", "mode", "field", "message"),
    [
        ("oomScoreAdj: -5", "", "oomScoreAdj", "has no effect in mode iptables"),
        ("winkernel: {sourceVip: a}", "ipvs", "winkernel.sourceVip", "has no effect in mode ipvs"),
        (
            "nftables: {masqueradeAll: true}\nlogging: {verbosity: 4}",
            "",
            "nftables.masqueradeAll",
            "has no effect in mode iptables, nor has logging.verbosity",
        ),
        (
            "portRange: 1-5\nconntrack: {min: 7}\nclientConnection: {kubeconfig: /a}",
            "",
            "portRange",
            "has no effect in mode iptables, nor have conntrack.min, clientConnection.kubeconfig",
        ),
        (
            "iptables: {localhostNodePorts: false}",
            "ipvs",
            "iptables.localhostNodePorts",
            "has no effect in mode ipvs",
        ),
        (
            "featureGates: {AllowServiceExternalIPs: false, ContextualLogging: false}",
            "",
            "featureGates.ContextualLogging",
            "has no effect in mode iptables",
        ),
        (
            "detectLocalMode: NodeCIDR\nclusterCIDR: 10.0.0.0/8",
            "",
            "clusterCIDR",
            "has no effect in mode iptables",
        ),
        ("ipvs: {scheduler: lc}", "userspace", "ipvs.scheduler", "has no effect in mode userspace"),
    ],
)
def test_all_that_is_in_vain_is_one_warning(
    tmp_path: Path, text: str, mode: str, field: str, message: str
) -> None:
    """It stands at the first of these fields, and names the others."""
    [(line, *found)] = told(tmp_path, f"{HEAD}{text}\n", mode)
    assert found == [field, message]
    assert field.rpartition(".")[2] in f"{HEAD}{text}".split("\n")[line - 1]


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("ipvs: {scheduler: lc, minSyncPeriod: 2s, strictARP: true}", "ipvs"),
        ("iptables: {masqueradeAll: true, masqueradeBit: 3, localhostNodePorts: false}", ""),
        ("portRange: 40000-41000", "userspace"),
        ("conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpBeLiberal: true}", ""),
        ("featureGates: {AllowServiceExternalIPs: false}", ""),
    ],
)
def test_what_has_an_effect_is_quiet(tmp_path: Path, text: str, mode: str) -> None:
    """Nothing is told of fields that count, nor of those that leave the kernel as it is."""
    assert not told(tmp_path, f"{HEAD}{text}\n", mode)


@pytest.mark.parametrize("name", sorted(feature_gates.GONE))
def test_gates_that_are_gone(tmp_path: Path, name: str) -> None:
    """A gate that earlier versions had is taken, and a warning says that it is always on."""
    path = tmp_path / "config.yaml"
    path.write_text(f"{HEAD}featureGates: {{{name}: false}}\n")
    [warning] = open_config(path).warnings
    assert (warning.check, warning.field) == (checks.UNKNOWN_FIELD, f"featureGates.{name}")
    assert warning.message == "is a gate no more in Kubernetes v1.36: it is always on"


def test_of_very_many_the_first_are_named(tmp_path: Path) -> None:
    """The line stays one that somebody reads."""
    on = {name for name, is_on in feature_gates.DEFAULTS.items() if is_on}
    names = sorted(on - feature_gates.OWN)[:100]
    gates = "".join(f"  {name}: true\n" for name in names)
    [(_, field, message)] = told(tmp_path, f"{HEAD}featureGates:\n{gates}")
    assert field == f"featureGates.{names[0]}"
    assert message.endswith(f"featureGates.{names[20]}, 79 more")


@pytest.mark.parametrize(
    ("gate", "hint"),
    [("Unheard", ""), ("NFTablesProxymode", "NFTablesProxyMode"), ("AllBetas", "AllBeta")],
)
def test_a_gate_that_there_is_not_is_told(tmp_path: Path, gate: str, hint: str) -> None:
    """kube-proxy logs it and goes on; the nearest name is told with its line."""
    path = tmp_path / "config.yaml"
    path.write_text(f"{HEAD}featureGates: {{{gate}: true}}\n")
    [found] = open_config(path).warnings
    assert (found.check, found.line) == (checks.UNKNOWN_FIELD, HEAD.count("\n") + 1)
    assert found.field == f"featureGates.{gate}"
    told = "is no feature gate of kube-proxy, so it has no effect"
    assert found.message == told + (f"; did you mean {hint}?" if hint else "")


def test_the_fields_are_those_of_kube_proxy() -> None:
    """No field that kube-proxy knows is left out, and none is made up."""
    types = fieldsets()
    own = types["KubeProxyConfiguration"]
    sections = {**{name: of for name, (of, _) in own.below.items()}, "featureGates": ""}
    assert set(FIELDS) == {"", *sections}
    assert set(FIELDS[""]) == own.names - set(sections)
    for name, of in sections.items():
        if of:
            assert set(FIELDS[name]) == types[of].names - {"options"}


@pytest.mark.parametrize(
    ("text", "field", "line", "meant"),
    [
        ("mod: ipvs", "mod", 3, "mode"),
        ("iptables:\n  masqueradeall: true", "iptables.masqueradeall", 4, "masqueradeAll"),
        (
            "logging:\n  vmodule:\n  - {filepattern: a, filePattern: a}",
            "filepattern",
            5,
            "filePattern",
        ),
        ("ipvs: {scheduler: rr, strictArp: true}", "ipvs.strictArp", 3, "strictARP"),
        ("conntrack: {maxPerCPU: 5}", "conntrack.maxPerCPU", 3, ""),
    ],
)
def test_a_field_that_kube_proxy_does_not_know(
    tmp_path: Path, text: str, field: str, line: int, meant: str
) -> None:
    """It is a warning with its line, and the name that was meant."""
    path = tmp_path / "config.yaml"
    path.write_text(f"{HEAD}{text}\n")
    found = [one for one in open_config(path).warnings if one.check is checks.UNKNOWN_FIELD]
    [warning] = found
    assert (warning.field.endswith(field), warning.line) == (True, line)
    assert warning.message.endswith(f"did you mean {meant}?" if meant else "no effect")
