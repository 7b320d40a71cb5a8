"""What a configuration and the Nodes of the input say of each other, as a user is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main

CONFIG = "config.yaml:3: warning: KubeProxyConfiguration: "
SERVICE_WEB = "objects.yaml:8: warning: Service default/web: "
HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.10
  ports: [{port: 80, nodePort: 30080}]
  type: NodePort
"""
SLICE = """\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-a, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5], nodeName: w1}]
"""
NODE = """\
---
apiVersion: v1
kind: Node
metadata: {name: NAME}
spec: {podCIDRs: [CIDRS]}
status: {addresses: [{type: InternalIP, address: 192.0.2.10}]}
"""


def node(name: str = "w1", cidrs: str = "10.244.1.0/24") -> str:
    return NODE.replace("NAME", name).replace("CIDRS", cidrs)


def render(folder: Path, objects: str, config: str, *options: str) -> Result:
    (folder / "objects.yaml").write_text(objects)
    (folder / "config.yaml").write_text(HEAD + config)
    files = [str(folder / "objects.yaml"), "--config", str(folder / "config.yaml")]
    return CliRunner().invoke(main, ["render", *files, *options])


def local(policy: str) -> str:
    return f"{SERVICE}  {policy}: Local\n{SLICE}"


TOLD = {
    "a node that is not there": (
        SERVICE + SLICE + node("w1") + node("w2", "10.244.2.0/24"),
        "hostnameOverride: W1.Corp\n",
        (
            CONFIG + "hostnameOverride: the input has no Node "
            "'w1.corp', only w1, w2: this node's addresses and zone are not known, and "
            "endpoints are local by that name alone [S614 absent-node]"
        ),
    ),
    "a node without podCIDRs": (
        SERVICE + SLICE + node("w1", ""),
        "detectLocalMode: NodeCIDR\nmode: iptables\n",
        (
            CONFIG + "detectLocalMode: Node w1 has no podCIDR: "
            "traffic of its pods is like any other, and none is masqueraded [S615 no-pod-cidr]"
        ),
    ),
    "a node with podCIDRs of another family": (
        SERVICE + SLICE + node("w1", "'fd00::/64'"),
        "detectLocalMode: NodeCIDR\n",
        (
            CONFIG + "detectLocalMode: Node w1 has no podCIDR "
            "of IPv4: traffic of its pods is like any other, and none is masqueraded "
            "[S615 no-pod-cidr]"
        ),
    ),
    "no node for NodeCIDR": (
        SERVICE + SLICE,
        "detectLocalMode: NodeCIDR\n",
        (
            CONFIG + "detectLocalMode: the input has no Node: "
            "traffic of its pods is like any other, and none is masqueraded [S615 no-pod-cidr]"
        ),
    ),
    "no node for an external policy": (
        local("externalTrafficPolicy"),
        "",
        (
            SERVICE_WEB + "spec.externalTrafficPolicy: is Local, and "
            "the node is not known (see --node): no endpoint is local, so all traffic from "
            "outside is dropped [S616 no-local-node]"
        ),
    ),
    "no node for an internal policy": (
        local("internalTrafficPolicy")
        + "---\n"
        + SERVICE.replace("web", "db").replace(".10\n", ".11\n").replace("30080", "30081")
        + "  externalTrafficPolicy: Local\n"
        + SLICE.replace("web", "db"),
        "",
        (
            SERVICE_WEB + "spec.internalTrafficPolicy: is Local, and "
            "the node is not known (see --node): no endpoint is local, so all traffic to its "
            "cluster IP is dropped; 1 more Service is like this [S616 no-local-node]"
        ),
    ),
    "a field without effect": (
        SERVICE + SLICE + node(),
        "oomScoreAdj: -5\n",
        (CONFIG + "oomScoreAdj: has no effect in mode iptables [S611 no-effect]"),
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_what_is_surely_not_meant_is_one_warning(tmp_path: Path, case: str) -> None:
    """It has a line and says what follows, and with --strict it is an error without output."""
    objects, config, line = TOLD[case]
    done = render(tmp_path, objects, config)
    assert done.exit_code == 0
    assert done.stderr == f"{tmp_path}/{line}\n"
    assert "*nat" in done.stdout
    done = render(tmp_path, objects, config, "--strict")
    assert done.exit_code == 2
    assert done.stderr == f"{tmp_path}/{line.replace('warning', 'error')}\n"
    assert not done.stdout


@pytest.mark.parametrize(
    ("objects", "config", "options"),
    [
        (SERVICE + SLICE + node(), "hostnameOverride: W1\ndetectLocalMode: NodeCIDR\n", ()),
        (SERVICE + SLICE, "hostnameOverride: w1.corp\n", ()),
        (
            SERVICE + SLICE + node("w2", "10.244.2.0/24") + node(),
            "hostnameOverride: W1.Corp\n",
            ("--node", "w1"),
        ),
        (local("externalTrafficPolicy"), "hostnameOverride: w1\n", ()),
        (local("externalTrafficPolicy"), "", ("--node", "w1")),
        (local("internalTrafficPolicy") + node(), "", ()),
    ],
)
def test_what_may_be_meant_is_quiet(
    tmp_path: Path, objects: str, config: str, options: tuple[str, ...]
) -> None:
    """Where the node is known, by its object or by name alone, nothing is told."""
    done = render(tmp_path, objects, config, *options)
    assert (done.exit_code, done.stderr) == (0, "")


def test_the_mode_of_the_option_says_which_section_counts(tmp_path: Path) -> None:
    """What is wrong in the section of another mode is wrong once that mode is asked for."""
    config = "ipvs: {scheduler: random, tcpTimeout: -1s}\n"
    done = render(tmp_path, SERVICE + SLICE + node(), config)
    assert done.exit_code == 0
    assert "ipvs.scheduler: has no effect in mode iptables, nor has ipvs.tcpTimeout" in done.stderr
    done = render(tmp_path, SERVICE + SLICE + node(), config, "--mode", "ipvs")
    assert done.exit_code == 2
    assert done.stderr.count(" error: ") == 2
