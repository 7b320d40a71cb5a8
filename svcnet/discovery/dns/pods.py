"""Names of Pods' addresses: ``1-2-3-4.<namespace>.pod.<zone>``."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.addresses import canonical_address
from svcnet.discovery.dns.names import address_of_label, dash_address
from svcnet.discovery.dns.options import DNSOptions
from svcnet.discovery.dns.zones import Entry, Zones, addresses_of
from svcnet.models import ClusterState

GONE = ("Succeeded", "Failed", "Unknown")


def pod_entries(state: ClusterState, zone: str, options: DNSOptions) -> Iterator[tuple[str, Entry]]:
    """Yield the names that ``pods verified`` answers: of Pods' primary addresses.

    Source: the list options and ``ToPod`` of CoreDNS's plugin ``kubernetes``.
    """
    for key in sorted(state.pods):
        pod = state.pods[key]
        if pod.deleting or pod.phase in GONE or not pod.pod_ips:
            continue
        address = canonical_address(pod.pod_ips[0])
        name = f"{dash_address(address)}.{key.namespace}.pod.{zone}"
        rule = f"pods verified: the address of Pod {key}"
        yield name, Entry(rule, "", addresses_of(name, (address,), options.ttl))


def insecure(zones: Zones, name: str, zone: str) -> Entry | None:
    """Return what such a name means under ``pods insecure``: the address that it spells."""
    if zones.options.pods != "insecure":
        return None
    below = f".pod.{zone}"
    if not name.endswith(below):
        return None
    label, dot, namespace = name.removesuffix(below).partition(".")
    address = address_of_label(label)
    if not dot or address is None or namespace not in zones.namespaces:
        return None
    found = addresses_of(name, (address,), zones.options.ttl)
    return Entry("pods insecure: the name says the address", "", found)
