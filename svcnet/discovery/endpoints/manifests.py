"""Slices and Endpoints as the documents that a manifest has; svcnet reads them back as equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from svcnet.discovery.endpoints.mirror import CONTROLLER as MIRRORING
from svcnet.labels import MANAGED_BY_LABEL, WEIGHT_ANNOTATION
from svcnet.models import (
    Endpoint,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    TargetRef,
)

Document = dict[str, Any]


def slice_manifest(item: EndpointSlice) -> Document:
    """Return an EndpointSlice as a document; its keys are in the order of the API's pages."""
    mirrored = item.labels.get(MANAGED_BY_LABEL) == MIRRORING
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": _metadata(item),
        "addressType": item.address_type,
        "ports": [_port(port) for port in item.ports],
        "endpoints": [_endpoint(endpoint, mirrored) for endpoint in item.endpoints],
    }


def endpoints_manifest(item: Endpoints) -> Document:
    """Return an Endpoints object as a document."""
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": _metadata(item),
        "subsets": [_subset(subset) for subset in item.subsets],
    }


def _metadata(item: EndpointSlice | Endpoints) -> Document:
    annotations = dict(item.annotations)
    if item.ipvs_weight != 1:
        annotations[WEIGHT_ANNOTATION] = str(item.ipvs_weight)
    return _present(
        name=item.name,
        namespace=item.namespace,
        labels=_sort(item.labels),
        annotations=_sort(annotations),
    )


def _sort(texts: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(texts.items()))


def _present(**fields: Any) -> Document:
    """Return the fields that have something in them."""
    return {key: value for key, value in fields.items() if value}


def _port(port: EndpointPort) -> Document:
    return _present(
        name=port.name, port=port.port, protocol=port.protocol, appProtocol=port.app_protocol
    )


def _endpoint(endpoint: Endpoint, mirrored: bool) -> Document:
    conditions = {"ready": endpoint.ready}
    # The mirroring controller knows no more than that.
    if not mirrored or not endpoint.serving or endpoint.terminating:
        conditions |= {"serving": endpoint.serving, "terminating": endpoint.terminating}
    hints = _present(
        forZones=[{"name": zone} for zone in endpoint.zone_hints],
        forNodes=[{"name": node} for node in endpoint.node_hints],
    )
    return {
        "addresses": list(endpoint.addresses),
        "conditions": conditions,
        **_present(
            hostname=endpoint.hostname,
            targetRef=_target(endpoint.target_ref),
            nodeName=endpoint.node_name,
            zone=endpoint.zone,
            hints=hints,
        ),
    }


def _target(target: TargetRef | None) -> Document:
    if target is None:
        return {}
    return _present(kind=target.kind, namespace=target.namespace, name=target.name, uid=target.uid)


def _subset(subset: EndpointSubset) -> Document:
    return _present(
        addresses=[_address(address) for address in subset.addresses],
        notReadyAddresses=[_address(address) for address in subset.not_ready_addresses],
        ports=[_port(port) for port in subset.ports],
    )


def _address(address: EndpointAddress) -> Document:
    return _present(
        ip=address.ip,
        hostname=address.hostname,
        nodeName=address.node_name,
        targetRef=_target(address.target_ref),
    )
