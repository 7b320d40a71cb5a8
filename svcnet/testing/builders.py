"""Short ways to objects of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from svcnet.family import family_of
from svcnet.labels import ZONE_LABEL
from svcnet.models import (
    Container,
    ContainerPort,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Node,
    Pod,
    Service,
    ServicePort,
)


def make_service(
    name: str = "web", cluster_ip: str = "10.96.0.10", *, port: int = 80, **fields: Any
) -> Service:
    """Return a Service in namespace ``shop`` with one port ``http``; `fields` replace any."""
    defaults: dict[str, Any] = {
        "namespace": "shop",
        "ports": (ServicePort(port, "http", target_port=8080),),
        "cluster_ips": (cluster_ip,),
        "ip_families": (family_of(cluster_ip),),
    }
    return Service(name=name, **(defaults | fields))


def make_slice(
    service: str = "web",
    *endpoints: str | Endpoint,
    name: str = "",
    ports: tuple[EndpointPort, ...] = (EndpointPort(8080, "http"),),
    namespace: str = "shop",
    labels: Mapping[str, str] | None = None,
) -> EndpointSlice:
    """Return a slice of `service`; an endpoint may be text, ``address`` or ``address@node``."""
    made = tuple(_endpoint(item) if isinstance(item, str) else item for item in endpoints)
    return EndpointSlice(
        namespace=namespace,
        name=name or f"{service}-1",
        service_name=service,
        address_type=family_of(made[0].addresses[0]) if made else "IPv4",
        ports=ports,
        endpoints=made,
        labels=labels or {},
    )


def _endpoint(text: str) -> Endpoint:
    address, _, node = text.partition("@")
    return Endpoint((address,), node_name=node)


def make_pod(name: str = "web-1", *addresses: str, **fields: Any) -> Pod:
    """Return a ready Pod in ``shop``, labelled ``app: web``, whose port ``http`` is 8080.

    It has the address 10.244.1.5 unless `addresses` are given; `fields` replace any.
    """
    defaults: dict[str, Any] = {
        "namespace": "shop",
        "uid": f"uid-of-{name}",
        "labels": {"app": "web"},
        "node_name": "node-a",
        "phase": "Running",
        "pod_ips": addresses or ("10.244.1.5",),
        "ready": True,
        "containers": (Container("app", (ContainerPort(8080, "http"),)),),
    }
    return Pod(name=name, **(defaults | fields))


def make_node(name: str = "node-a", *addresses: str, zone: str = "", **fields: Any) -> Node:
    """Return a Node, with the address 192.0.2.10 unless `addresses` are given."""
    labels = {ZONE_LABEL: zone} if zone else {}
    return Node(name=name, addresses=addresses or ("192.0.2.10",), labels=labels, **fields)
