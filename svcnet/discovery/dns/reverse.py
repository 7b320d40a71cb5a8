"""Addresses to names."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.discovery.dns.candidates import endpoint_label, ready_endpoints
from svcnet.discovery.dns.names import is_reverse, reverse_name, within
from svcnet.discovery.dns.options import DNSOptions
from svcnet.discovery.dns.zones import Entry, Record
from svcnet.models import ClusterState

Found = dict[str, tuple[dict[str, None], str]]
"""By the reverse name of an address: names that it leads to, and the Service it is of."""


def pointers(state: ClusterState, options: DNSOptions) -> Iterator[tuple[str, Entry]]:
    """Yield PTR records, those of cluster IPs last: such an address has no other name."""
    zones = [zone for zone in options.zones if is_reverse(zone)]
    if not zones:
        return
    for rule, found in (
        ("an endpoint's address", _of_endpoints(state, options)),
        ("a cluster IP", _of_cluster_ips(state, options)),
    ):
        for name, (targets, label) in found.items():
            if any(within(name, zone) for zone in zones):
                records = tuple(Record(name, options.ttl, "PTR", to) for to in targets)
                yield name, Entry(rule, label, {"PTR": records})


def _of_cluster_ips(state: ClusterState, options: DNSOptions) -> Found:
    found: Found = {}
    for key in sorted(state.services):
        service = state.services[key]
        if service.is_headless:
            continue
        for address in service.cluster_ips:
            target = f"{key.name}.{key.namespace}.svc.{options.forward_zones[0]}"
            found.setdefault(reverse_name(address), ({target: None}, str(key)))
    return found


def _of_endpoints(state: ClusterState, options: DNSOptions) -> Found:
    found: Found = {}
    for key in () if options.noendpoints else sorted(state.services):
        if state.services[key].type == "ExternalName":
            continue
        domain = f"{key.name}.{key.namespace}.svc.{options.forward_zones[0]}"
        for endpoint, _ in ready_endpoints(state, key):
            for address in endpoint.addresses:
                target = f"{endpoint_label(endpoint, address, options)}.{domain}"
                targets, _ = found.setdefault(reverse_name(address), ({}, str(key)))
                targets[target] = None
    return found
