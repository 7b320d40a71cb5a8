"""What answers for a Service: its cluster IPs, or the addresses of its endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from svcnet.addresses import canonical_address
from svcnet.discovery.dns.names import dash_address
from svcnet.discovery.dns.options import DNSOptions
from svcnet.models import ClusterState, Endpoint, NamespacedName, Service

MAX_LABEL = 63

Port = tuple[str, int, str]
"""The name, in lower case, the number and the protocol of a port."""


class Candidate(NamedTuple):
    """An address and port that answers; port 0 has no SRV record. ``zone`` is of the node."""

    address: str
    target: str
    port: int
    port_name: str
    protocol: str
    zone: str = ""


def virtual_candidates(service: Service, name: str) -> Iterator[Candidate]:
    """Yield the cluster IPs of a Service, each with every port."""
    for address in service.cluster_ips:
        for port in service.ports:
            yield Candidate(
                canonical_address(address),
                name,
                port.port,
                port.name.lower(),
                port.protocol.lower(),
            )


def endpoint_candidates(
    state: ClusterState, service: Service, name: str, options: DNSOptions
) -> Iterator[Candidate]:
    """Yield the ready endpoints of a Service, whose absolute name is `name`, with their ports."""
    for endpoint, ports in ready_endpoints(state, NamespacedName(service.namespace, service.name)):
        for address in endpoint.addresses:
            target = f"{endpoint_label(endpoint, address, options)}.{name}"
            for port_name, port, protocol in ports:
                yield Candidate(
                    canonical_address(address),
                    target,
                    port,
                    port_name,
                    protocol,
                    endpoint.zone.lower(),
                )


def ready_endpoints(
    state: ClusterState, key: NamespacedName
) -> Iterator[tuple[Endpoint, tuple[Port, ...]]]:
    """Yield the ready endpoints of a Service, each with its ports.

    publishNotReadyAddresses is not read: for it, the controller has set ``ready``.
    """
    for item in state.slices_of(key):
        if item.address_type == "FQDN":
            continue
        ports = tuple((port.name.lower(), port.port, port.protocol.lower()) for port in item.ports)
        for endpoint in item.endpoints:
            if endpoint.ready:
                yield endpoint, ports or (("", 0, ""),)


def is_hidden(state: ClusterState, service: Service, options: DNSOptions) -> bool:
    """Return whether ``ignore empty_service`` makes a Service unknown.

    It does where no ready endpoint is known, and under ``noendpoints`` none ever is.
    """
    if not options.ignore_empty_service or service.is_headless:
        return False
    ready = ready_endpoints(state, NamespacedName(service.namespace, service.name))
    return options.noendpoints or next(ready, None) is None


def endpoint_label(endpoint: Endpoint, address: str, options: DNSOptions) -> str:
    """Return the first label of an endpoint's own name."""
    if endpoint.hostname:
        return endpoint.hostname.lower()
    target = endpoint.target_ref
    if options.endpoint_pod_names and target and len(target.name) <= MAX_LABEL:
        return target.name.lower()
    label = dash_address(address.lower())
    # A host's name may not end in a dash, so CoreDNS gives such an IPv6 address a final 0.
    return f"{label}0" if label.endswith("-") else label
