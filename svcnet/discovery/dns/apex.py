"""What a zone has by itself: SOA, NS, the name server, and the version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from svcnet.discovery.dns.candidates import is_hidden
from svcnet.discovery.dns.names import is_reverse
from svcnet.discovery.dns.options import DNSOptions
from svcnet.discovery.dns.zones import Entry, Record, addresses_of
from svcnet.models import ClusterState, NamespacedName

SPECIFICATION = "1.1.0"
TXT_TTL = 28800
MAX_SOA_TTL = 300
REFRESH, RETRY, EXPIRE = 7200, 1800, 86400
NAMESERVER = NamespacedName("kube-system", "kube-dns")
LOCAL = ("127.0.0.1",)


def apex(state: ClusterState, zone: str, options: DNSOptions) -> Iterator[tuple[str, Entry]]:
    """Yield the zone's own entries: its apex, and ``ns.dns`` below it.

    The name server is the cluster's DNS Service, where the state has it and it has a name.
    """
    own = _nameserver_addresses(state, options)
    local = f"ns.dns.{zone}"
    server, ttl = local, options.ttl
    if own:
        domain = options.forward_zones[0] if is_reverse(zone) else zone
        server = f"{NAMESERVER.name}.{NAMESERVER.namespace}.svc.{domain}"
    timers = f"{options.serial} {REFRESH} {RETRY} {EXPIRE} {ttl}"
    soa = Record(zone, min(ttl, MAX_SOA_TTL), "SOA", f"{local} hostmaster.{zone} {timers}")
    records = {"SOA": (soa,), "NS": (Record(zone, ttl, "NS", server),)}
    yield zone, Entry("the zone's apex", "", records)
    yield local, Entry("the zone's name server", "", addresses_of(local, own or LOCAL, ttl))


def _nameserver_addresses(state: ClusterState, options: DNSOptions) -> tuple[str, ...]:
    service = state.services.get(NAMESERVER)
    if service is None or service.is_headless:
        return ()
    return () if is_hidden(state, service, options) else service.cluster_ips


def apex_entries(
    zone: str, namespaces: Iterable[str], options: DNSOptions
) -> Iterator[tuple[str, Entry]]:
    """Yield the version, and the names that exist because others are below them."""
    name = f"dns-version.{zone}"
    version = Record(name, TXT_TTL, "TXT", f'"{SPECIFICATION}"')
    yield name, Entry("the version of the specification", "", {"TXT": (version,)})
    kinds = ("svc", "pod")
    for kind in kinds:
        yield f"{kind}.{zone}", Entry("names are below this one")
    for kind in kinds if options.pods != "disabled" else kinds[:1]:
        for namespace in namespaces:
            yield f"{namespace}.{kind}.{zone}", Entry("a namespace; names are below it")
