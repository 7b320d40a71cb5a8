"""How long ``svcnet check`` takes beside reading the same manifests."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from svcnet import checks
from svcnet.check import check
from svcnet.discovery.repository import Assumptions, assume
from svcnet.models import ClusterState
from svcnet.sources import load
from tests.bench import clusters

OBJECTS = 10_000
ROUNDS = 3


def repository() -> bytes:
    """Return as many Deployments as Services, as people keep them, in JSON."""
    items: list[dict[str, Any]] = []
    for number in range(OBJECTS // 2):
        metadata = {"name": f"web-{number}", "namespace": f"team-{number % 100}"}
        labels = {"app": f"web-{number}"}
        ports = [{"name": "http", "port": 80, "targetPort": "http"}]
        container = {"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
        items += [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"selector": labels, "ports": ports},
            },
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
        ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()


def complete(state: ClusterState) -> ClusterState:
    """Return a state as the verbs that read a repository make it."""
    return assume(state, Assumptions(), from_pods=True).state


def cpu_time(action: Callable[[], object]) -> float:
    begun = time.process_time()
    action()
    return time.process_time() - begun


@pytest.mark.parametrize("kept", ["repository", "dump"])
def test_check_takes_at_most_twice_the_load(benchmark: Any, kept: str) -> None:
    """10,000 objects without a mistake; both in turns, the shortest CPU time of several rounds."""
    data = repository() if kept == "repository" else clusters.as_json(OBJECTS // 2)
    loads, looks = [], []
    for _ in range(ROUNDS):
        loads.append(cpu_time(lambda: load(data, workloads=True, complete=complete)))
        looks.append(cpu_time(lambda: check(data)))
    report = benchmark.pedantic(lambda: check(data), rounds=1, iterations=1)
    assert report.objects >= OBJECTS
    # So many Services in one namespace are told, as they are in the other cluster.
    assert {each.check for each in report.findings} <= {checks.ENVIRONMENT_SIZE}
    ratio = min(looks) / min(loads)
    benchmark.extra_info |= {"load": min(loads), "check": min(looks), "ratio": ratio}
    assert ratio <= 2
