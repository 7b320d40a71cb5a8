"""Large clusters for benchmarks: each TCP Service has one slice, of ten endpoints or as told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

NAMESPACE = "bench"
ENDPOINTS = 10


def manifests(services: int, endpoints: int = ENDPOINTS) -> Iterator[dict[str, Any]]:
    """Yield a Node, then a Service and its EndpointSlice `services` times."""
    yield {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "node-a"},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.10"}]},
    }
    for number in range(services):
        yield service(number)
        yield endpoint_slice(number, endpoints)


def service(number: int) -> dict[str, Any]:
    """Return Service number `number`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"svc-{number:05d}", "namespace": NAMESPACE},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address("10", 96, number),
            "selector": {"app": f"svc-{number:05d}"},
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}],
        },
    }


def endpoint_slice(number: int, endpoints: int = ENDPOINTS) -> dict[str, Any]:
    """Return the slice of Service number `number`; its first endpoint is on node-a."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"svc-{number:05d}-abcde",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": f"svc-{number:05d}"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": [
            {
                "addresses": [address("10", 128, number * ENDPOINTS + n)],
                "nodeName": "node-a" if n == 0 else f"node-{n}",
                "conditions": {"ready": True, "serving": True, "terminating": False},
            }
            for n in range(endpoints)
        ],
    }


def address(first: str, second: int, number: int) -> str:
    """Return the address `number` places after ``first.second.0.0``."""
    return f"{first}.{second + number // 65536}.{number // 256 % 256}.{number % 256}"


def as_json(services: int, endpoints: int = ENDPOINTS) -> bytes:
    """Return the cluster as ``kubectl get … -o json`` prints it."""
    items = list(manifests(services, endpoints))
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1).encode()


def as_dump(services: int) -> bytes:
    """Return the cluster as ``kubectl get … -o yaml --show-managed-fields`` prints it."""
    import yaml

    items = [_stored(number, item) for number, item in enumerate(manifests(services))]
    return yaml.dump(
        {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}},
        Dumper=yaml.CSafeDumper,
    ).encode()


def _stored(number: int, item: dict[str, Any]) -> dict[str, Any]:
    """Return an object with what an API server adds to it."""
    fields: dict[str, Any] = {
        "f:spec": {"f:ports": {".": {}, 'k:{"port":80,"protocol":"TCP"}': {".": {}}}}
    }
    managed = {
        "apiVersion": item["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        "manager": "kubectl-create",
        "operation": "Update",
        "time": "2026-01-02T03:04:05Z",
    }
    added = {
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "managedFields": [managed],
        "resourceVersion": str(number),
        "uid": f"{number:08x}-0000-4000-8000-{number:012x}",
    }
    return {**item, "metadata": {**item["metadata"], **added}}


def as_yaml(services: int) -> bytes:
    """Return the cluster as a multi-document YAML stream."""
    import yaml

    return yaml.dump_all(
        manifests(services), Dumper=yaml.CSafeDumper, sort_keys=False, explicit_start=True
    ).encode()
