"""Workloads of any values: Pods that svcnet knows, or a refusal in plain words.

What is made of one workload does not depend on what else there is.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import svcnet
from svcnet.discovery.repository import Assumptions
from svcnet.errors import InputError, UsageError
from svcnet.sources import LoadResult
from tests.fuzz import examples
from tests.fuzz.documents import as_yaml, damaged, pairs_of
from tests.fuzz.outcomes import refused, serve, told

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "hostNetwork": False,
        "hostname": "web",
        "subdomain": "web",
        "nodeSelector": {"disk": "fast"},
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "disk", "operator": "In", "values": ["fast"]},
                                {"key": "cpus", "operator": "Gt", "values": ["3"]},
                            ],
                            "matchFields": [
                                {"key": "metadata.name", "operator": "NotIn", "values": ["b"]}
                            ],
                        }
                    ]
                }
            }
        },
        "tolerations": [{"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}],
        "containers": [{"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}],
    },
}
SELECTOR = {
    "matchLabels": {"app": "web"},
    "matchExpressions": [{"key": "app", "operator": "Exists"}],
}
JOB = {"parallelism": 2, "completions": 3, "completionMode": "Indexed", "template": TEMPLATE}
SPECS: dict[str, tuple[str, dict[str, Any]]] = {
    "Deployment": ("apps/v1", {"replicas": 2, "selector": SELECTOR, "template": TEMPLATE}),
    "ReplicaSet": ("apps/v1", {"replicas": 2, "selector": SELECTOR, "template": TEMPLATE}),
    "DaemonSet": ("apps/v1", {"selector": SELECTOR, "template": TEMPLATE}),
    "StatefulSet": (
        "apps/v1",
        {
            "replicas": 2,
            "serviceName": "web",
            "ordinals": {"start": 3},
            "selector": SELECTOR,
            "template": TEMPLATE,
        },
    ),
    "ReplicationController": (
        "v1",
        {"replicas": 2, "selector": {"app": "web"}, "template": TEMPLATE},
    ),
    "Job": ("batch/v1", JOB),
    "CronJob": ("batch/v1", {"schedule": "0 * * * *", "jobTemplate": {"spec": JOB}}),
}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]},
}


def document(kind: str, name: str = "web") -> dict[str, Any]:
    version, spec = SPECS[kind]
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def read(text: str, **asked: Any) -> LoadResult | None:
    try:
        return svcnet.load(text.encode(), assume=Assumptions(**asked))
    except InputError as error:
        refused(error, "<argument>")
    except UsageError as error:
        if "too few addresses" not in str(error) and "node ports" not in str(error):
            raise
    return None


workloads = (
    st.sets(st.sampled_from(list(SPECS)), min_size=1)
    .flatmap(lambda kinds: damaged([pairs_of(document(kind)) for kind in sorted(kinds)]))
    .map(lambda found: found if type(found) is list else [found])
)
requests = st.fixed_dictionaries(
    {
        "when": st.sampled_from(["auto", "always"]),
        "ready": st.sampled_from(["all", "none"]),
        "nodes": st.integers(0, 3),
        "pod_cidrs": st.sampled_from([(), ("10.1.0.0/24",), ("10.1.0.0/24", "fd00:1::/64")]),
    }
)


@settings(max_examples=examples(60))
@given(workloads, requests)
def test_workloads_of_any_values(documents: list[Any], asked: dict[str, Any]) -> None:
    """They are refused with a place, or each Pod has a name and, if it runs, an address."""
    text = "---\n".join(map(as_yaml, [*documents, pairs_of(SERVICE)]))
    loaded = read(text, **asked)
    if loaded is not None:
        told(loaded.warnings)
        serve(loaded.state)
        addresses = [ip for pod in loaded.state.pods.values() for ip in pod.pod_ips]
        hosted = any(each.template.host_network for each in loaded.state.workloads.values())
        assert hosted or len(set(addresses)) == len(addresses)
        for pod in loaded.state.pods.values():
            assert pod.name
            assert bool(pod.pod_ips) == (pod.phase == "Running")


names = st.sets(st.text("abcdefghij", min_size=3, max_size=6), min_size=2, max_size=8)


@settings(max_examples=examples(40))
@given(st.sampled_from(list(SPECS)), names)
def test_one_workload_says_nothing_of_another(kind: str, every: set[str]) -> None:
    """Its Pods are the same beside others, and so are its Service's addresses and ports."""
    *others, first = sorted(every)
    objects = [[document(kind, name), {**SERVICE, "metadata": {"name": name}}] for name in every]
    whole = read("---\n".join(as_yaml(pairs_of(one)) for pair in objects for one in pair))
    alone = read(
        "---\n".join(
            as_yaml(pairs_of(one))
            for pair in objects
            for one in pair
            if one["metadata"]["name"] == first
        )
    )
    assert whole is not None
    assert alone is not None
    assert others
    moved = [key for key, pod in alone.state.pods.items() if whole.state.pods[key] != pod]
    moved += [key for key, it in alone.state.services.items() if whole.state.services[key] != it]
    # Two that meet are told apart by a move of one of them; more do not meet among so few.
    assert len(moved) <= 1
