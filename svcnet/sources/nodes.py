"""Node documents to models."""

from __future__ import annotations

from svcnet.models import Node
from svcnet.sources.fields import Fields

ADDRESS_TYPES = ("InternalIP", "ExternalIP")
AUTOSCALER_TAINT = "ToBeDeletedByClusterAutoscaler"


def read_node(document: Fields, name: str) -> Node:
    """Return the Node that `document` describes; what is wrong becomes a finding."""
    spec = document.mapping("spec")
    cidrs = [cidr for _, cidr in spec.cidrs("podCIDRs")]
    if not cidrs and spec.string("podCIDR"):
        single = Fields(spec.place, spec.findings, {"podCIDR": [spec.data["podCIDR"]]}, spec.path)
        cidrs = [cidr for _, cidr in single.cidrs("podCIDR")]
    return Node(
        name=name,
        addresses=_addresses(document.mapping("status")),
        pod_cidrs=tuple(cidrs),
        labels=document.mapping("metadata").string_map("labels"),
        being_deleted=_is_being_deleted(document),
    )


def _is_being_deleted(document: Fields) -> bool:
    """Whether traffic is to go elsewhere: pkg/proxy/healthcheck/proxier_health.go, v1.30."""
    taints = document.mapping("spec").mappings("taints")
    return bool(document.mapping("metadata").string("deletionTimestamp")) or any(
        taint.string("key") == AUTOSCALER_TAINT for taint in taints
    )


def _addresses(status: Fields) -> tuple[str, ...]:
    """Return the internal addresses, then the external ones: the order kube-proxy prefers."""
    by_type: dict[str, list[str]] = {kind: [] for kind in ADDRESS_TYPES}
    for entry in status.mappings("addresses"):
        kind = entry.string("type")
        if kind in by_type:
            address = entry.address("address")
            if address:
                by_type[kind].append(address)
    return tuple(address for kind in ADDRESS_TYPES for address in by_type[kind])
