"""Inputs of the shapes that people keep: each gives an answer, or one clear line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main

INPUTS = Path(__file__).parents[1] / "data/inputs"
ANSWERS = {
    "argo.yaml": "default/server|http:8080/TCP,https:8080/TCP|1 CustomResourceDefinition",
    "bookinfo.yaml": "Pod reviews-v1-|Pod reviews-v2-|1 VirtualService",
    "boutique.yaml": "grpc:8080/TCP|default/frontend-external|1 load-balancer address",
    "cassandra.yaml": "Pod cassandra-2|9042/TCP",
    "cert-manager.yaml": "https:10250/TCP,metrics:9402/TCP",
    "cluster-info": "10.244.0.5|node-a|passed over: 1 Deployment",
    "dual-stack.yaml": "fd00:10:244:|10.244.|in 10.96.0.0/12 and fd00:10:96::/112",
    "get-all.yaml": "10.244.0.5|passed over: 1 Deployment, 1 ReplicaSet [S112",
    "guestbook.yaml": "3 Pods of 1 ReplicationController|3000/TCP",
    "helm-output.yaml": "2 Pods of 1 Deployment and addresses of 1 Pod|http:80/TCP",
    "ingress-controller.yaml": "http:80/TCP,https:443/TCP|1 health-check port|https-webhook:8443",
    "ingress-daemonset.yaml": "1 Pod of 1 DaemonSet|web:8000/TCP,admin:8080/TCP",
    "jobs.yaml": "Pod workers-3-|Pod report-29|5 Pods of 1 CronJob and 1 Job",
    "jsonnet.json": "grafana-ui:10330/TCP",
    "kafka.yaml": "kafka/outside-0|kafka/outside-1|9094/TCP  Pod kafka-1",
    "kompose.yaml": "80:8080/TCP",
    "metallb.yaml": "2 Pods of 1 ReplicaSet|1 load-balancer address|1 IPAddressPool",
    "mixed.yaml": "no Pods are made up for 1 Deployment that has none|--assume always",
    "outside.yaml": "2 Pods of 1 Deployment|default/web",
    "prometheus": "https:9100/TCP|1 Prometheus, 1 file without an object|finds no Pod [S801",
    "rook.yaml": "finds no Pod [S801|1 CephCluster",
    "root": "6 files without an object|8080/TCP",
    "shop": "is taken by no API server any more; it is read as apps/v1|8079/TCP|docker-compose.yml",
    "strimzi.yaml": "has workloads, and no Service that would lead to their Pods|1 Kafka",
    "zookeeper.yaml": "server:2888/TCP,leader-election:3888/TCP|Pod zk-2",
    # What has nothing to answer from says so.
    "flux.yaml": "has no object that svcnet reads|1 HelmRelease, 1 Kustomization",
    "knative.yaml": "has no object that svcnet reads|passed over: 1 Service",
    "kubeadm.yaml": "is kube-proxy's configuration, which --config reads",
    "skaffold.yaml": "has no object that svcnet reads|1 Config",
    "static-pods": "SERVICE",
}
REFUSALS = {
    "chart": "chart: error: is a Helm chart, whose templates are no manifests; helm template",
    "cluster-info.stdout": "is what kubectl cluster-info dump prints, with logs in it",
    "compose.yaml": "is a Compose file; kompose convert",
    "openshift-template.yaml": "is a template of OpenShift; oc process --local",
    "overlay": "overlay/prod: error: is to be built by kustomize",
}


def svcnet(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_each_input_is_in_one_of_the_tables() -> None:
    assert {path.name for path in INPUTS.iterdir()} == {*ANSWERS, *REFUSALS}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_input_gives_an_answer(name: str) -> None:
    """Endpoints are those of the manifests, and what was made up or passed over is told."""
    result = svcnet("endpoints", INPUTS / name, "-o", "table")
    assert result.exit_code == 0, result.stderr
    for text in ANSWERS[name].split("|"):
        assert text in result.stdout + result.stderr
    for verb in ("render", "dns zone"):
        again = svcnet(*verb.split(), INPUTS / name)
        assert again.exit_code == 0, again.stderr
        assert again.stdout == svcnet(*verb.split(), INPUTS / name).stdout


@pytest.mark.parametrize("name", REFUSALS)
def test_an_input_is_refused_in_a_line(name: str) -> None:
    result = svcnet("render", INPUTS / name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert REFUSALS[name] in result.stderr
    assert len(result.stderr.splitlines()) <= 2


def test_a_load_balancer_has_the_address_that_it_asks_for() -> None:
    rules = svcnet("render", INPUTS / "metallb.yaml").stdout
    assert "-d 192.0.2.20 --dport 80" in rules
    assert "KUBE-NODEPORTS -m comment --comment default/web" not in rules


def test_workloads_of_a_mixed_input_on_request() -> None:
    """A workload that has no Pods makes them; all that is of the cluster stays."""
    result = svcnet("endpoints", INPUTS / "mixed.yaml", "-o", "table", "--assume", "always")
    assert "made up: 1 Pod of 1 Deployment" in result.stderr
    assert "Pod web-" in result.stdout


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_an_overlay_is_built() -> None:
    """The base that it refers to is a part of it, and its patch no object of its own."""
    result = svcnet("endpoints", INPUTS / "overlay", "-o", "table", "--build")
    assert result.exit_code == 0, result.stderr
    assert "made up: 3 Pods of 1 Deployment" in result.stderr
    assert "prod/web" in result.stdout
