"""The verbs that answer from what people keep, without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet import load
from svcnet.cli import main
from svcnet.discovery.repository import Assumptions

SHOP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: db, ports: [{name: pg, containerPort: 5432}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: pg, port: 5432}]}
"""
OTHER = SHOP.replace("name: web", "name: api").replace("app: web", "app: api")
PODS = "made up: 5 Pods of 1 Deployment and 1 StatefulSet, in 10.244.0.0/16, ready whatever"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(SHOP)
    return tmp_path


def svcnet(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.mark.parametrize(
    ("verb", "wanted"),
    [
        ("render", "10.244."),
        ("render --mode nftables", "10.244."),
        ("endpoints --output table", "Pod db-1"),
        ("dns zone", "db-0.db.shop.svc 5 IN A 10.244."),
        ("dns lookup db-1.db.shop.svc.cluster.local", "10.244."),
        ("explain --to service/shop/web:80 --from pod/shop/db-0", "10.244."),
        ("env --pod db-0", "WEB_SERVICE_HOST"),
        ("graph", "10.244."),
        ("report", "LoadBalancer"),
    ],
)
def test_verbs_answer_from_workloads(verb: str, wanted: str, shop: Path) -> None:
    """Each has Pods, cluster IPs and ports to go by, and says in a line that these are made up."""
    result = svcnet(*verb.split(), shop)
    assert result.exit_code == 0, result.stderr
    assert wanted in result.stdout
    assert PODS in result.stderr
    assert "made up: cluster IPs of 1 Service, 1 node port and 1 load-bal" in result.stderr


def test_a_golden_file_stays_as_others_come(shop: Path) -> None:
    """One more application in the folder changes no line about those that were there."""
    before = svcnet("explain", "--all", "--service", "shop/web", shop).stdout
    (shop / "other.yaml").write_text(OTHER.partition("---\napiVersion: apps/v1")[0])
    after = svcnet("explain", "--all", "--service", "shop/web", shop).stdout
    assert before == after != ""
    assert svcnet("diff", shop / "shop.yaml", shop / "shop.yaml").exit_code == 0
    assert svcnet("verify", shop, "--rules", _rules(shop)).exit_code == 0


def _rules(shop: Path) -> Path:
    rules = shop / "rules"
    rules.write_text(svcnet("render", shop).stdout)
    return rules


def test_nothing_is_made_up_on_request(shop: Path) -> None:
    """Workloads are passed over then, and Services without an address are told of."""
    result = svcnet("render", shop, "--assume", "never")
    assert "10.244." not in result.stdout
    assert "passed over: 1 Deployment, 1 StatefulSet [S112 passed-over]" in result.stderr
    assert "[S306 no-cluster-ip]" in result.stderr
    refused = svcnet("render", shop, "--assume", "never", "--nodes", "3")
    assert (refused.exit_code, refused.stdout) == (2, "")


@pytest.mark.parametrize("verb", ["apply --dry-run", "run", "conntrack", "dns push --server ::1"])
def test_verbs_that_change_something_make_nothing_up(verb: str, shop: Path) -> None:
    """They have no such option, and workloads are no object for them."""
    refused = svcnet(*verb.split(), shop, "--assume", "always")
    assert refused.exit_code == 2
    assert "No such option" in refused.stderr or "no such option" in refused.stderr.lower()


def test_readiness_is_as_asked(shop: Path) -> None:
    """With none ready, whoever connects is refused, as while everything starts."""
    result = svcnet("explain", shop, "--to", "service/shop/web:80", "--ready", "none")
    assert "not ready whatever probes" in result.stderr
    assert "no endpoint" in result.stdout.lower()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--pod-cidr 10.0.0.0/33", "must be a CIDR"),
        ("--pod-cidr 10.0.0.0/8,10.1.0.0/16", "one CIDR of each IP family"),
        ("--pod-cidr 10.96.0.0/16", "overlap"),
        ("--pod-cidr 10.0.0.0/30", "too few addresses"),
        ("--service-cidr fd00::/120 --ip-families IPv4", "is IPv6, which --ip-families does not"),
        ("--nodes 5001", "--nodes"),
        ("--node-zones -", "--node-zones"),
    ],
)
def test_ranges_that_make_no_sense(given: str, told: str, shop: Path) -> None:
    """They are refused in a line, with nothing on standard output."""
    result = svcnet("render", shop, *given.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_nodes_in_zones(shop: Path) -> None:
    """Pods are on made-up Nodes, with their zones."""
    result = svcnet("endpoints", shop, "--output", "table", "--node-zones", "a,b", "--nodes", "4")
    assert "node-4" in result.stdout
    assert "made up: 4 Nodes in 2 zones" in result.stderr


def test_a_pod_is_where_its_workload_is_written(shop: Path) -> None:
    """What explains a packet names the line of the template that the endpoint's Pod was made of."""
    told = svcnet("explain", shop, "--to", "service/shop/web:80").stdout
    line = 1 + SHOP.splitlines().index("  template:")
    assert f"status.podIPs  ({shop}/shop.yaml:{line})" in told


def test_a_program_asks_for_the_same(shop: Path) -> None:
    """Without being asked for it, workloads are passed over and nothing is made up."""
    loaded = load(shop, assume=Assumptions(ready="none"))
    assert len(loaded.state.pods) == 5
    assert not any(pod.ready for pod in loaded.state.pods.values())
    assert loaded.locate(("Pod", "shop", "db-0", "spec.hostname")).line > 20
    bare = load(shop)
    assert (len(bare.state.pods), bare.skipped) == (0, {"Deployment": 1, "StatefulSet": 1})
