"""All records of a state, made once.

Rules: ``findServices``, ``ServicesForPod`` and ``Reverse`` of CoreDNS's plugin
``kubernetes``, and ``SRV`` of its ``plugin/backend_lookup.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from svcnet.discovery.dns.names import absolute, dashed, is_ip, reverse_name, within
from svcnet.discovery.dns.options import DNSOptions
from svcnet.discovery.dns.zones import Entry, Record, Zones
from svcnet.models import ClusterState, Endpoint, NamespacedName, Service
from svcnet.nogc import without_gc

SPECIFICATION = "1.1.0"
TXT_TTL = 28800
REFRESH, RETRY, EXPIRE = 7200, 1800, 86400
NAMESERVER = NamespacedName("kube-system", "kube-dns")
LOCAL = ("127.0.0.1",)


class _Candidate(NamedTuple):
    """An address and port that answers; port 0 has no SRV record."""

    address: str
    target: str
    port: int
    port_name: str
    protocol: str


@without_gc()
def records(state: ClusterState, options: DNSOptions | None = None) -> Zones:
    """Return every record that `state` has in the zones of `options`.

    Names of Pods are not among them: each address has one, so only a question tells which.
    """
    options = options or DNSOptions()
    names = [*state.services, *state.slices, *state.endpoints]
    namespaces = frozenset(name.namespace for name in names)
    entries: dict[str, Entry] = {}
    for zone in options.zones:
        _add_apex(entries, state, zone, options)
    for zone in options.forward_zones:
        _add_fixed(entries, zone, namespaces, options)
        for key in sorted(state.services):
            _add_service(entries, state, state.services[key], zone, options)
    _add_reverse(entries, state, options)
    return Zones(options, entries, namespaces)


def _add_apex(
    entries: dict[str, Entry], state: ClusterState, zone: str, options: DNSOptions
) -> None:
    """Add the zone's SOA and NS records, and the name server that they name."""
    server, ttl = f"ns.dns.{zone}", options.ttl
    timers = f"{options.serial} {REFRESH} {RETRY} {EXPIRE} {ttl}"
    apex = {
        "SOA": (Record(zone, ttl, "SOA", f"{server} hostmaster.{zone} {timers}"),),
        "NS": (Record(zone, ttl, "NS", server),),
    }
    entries[zone] = Entry("the zone's apex", "", apex)
    service = state.services.get(NAMESERVER)
    own = service.cluster_ips if service and not service.is_headless else ()
    addresses = _addresses(server, own or LOCAL, ttl)
    entries[server] = Entry("the zone's name server", "", addresses)


def _add_fixed(
    entries: dict[str, Entry], zone: str, namespaces: Iterable[str], options: DNSOptions
) -> None:
    """Add the version, and the names that exist because others are below them."""
    name = f"dns-version.{zone}"
    version = Record(name, TXT_TTL, "TXT", f'"{SPECIFICATION}"')
    entries[name] = Entry("the version of the specification", "", {"TXT": (version,)})
    kinds = ("svc", "pod")
    for kind in kinds:
        entries[f"{kind}.{zone}"] = Entry("names are below this one")
    for kind in kinds if options.pods != "disabled" else kinds[:1]:
        for namespace in namespaces:
            entries[f"{namespace}.{kind}.{zone}"] = Entry("a namespace; names are below it")


def _add_service(
    entries: dict[str, Entry], state: ClusterState, service: Service, zone: str, options: DNSOptions
) -> None:
    name = f"{service.name}.{service.namespace}.svc.{zone}"
    label = f"{service.namespace}/{service.name}"
    if service.type == "ExternalName":
        target = absolute(service.external_name)
        if service.external_name and not is_ip(service.external_name):
            record = Record(name, options.ttl, "CNAME", target)
            entries[name] = Entry("ExternalName: an alias", label, {"CNAME": (record,)})
        return
    if options.ignore_empty_service and not service.is_headless and not _has_ready(state, service):
        return
    endpoints = [] if options.noendpoints else list(_endpoint_candidates(state, service, name))
    if service.is_headless:
        own, rule = endpoints, "headless: the ready endpoints"
    else:
        own, rule = list(_virtual_candidates(service, name)), "the cluster IP"
    if own:
        entries[name] = _entry(name, own, rule, label, options.ttl)
    for port, group in _grouped(own).items():
        below = f"_{port[0]}._{port[1]}.{name}"
        what = f"{rule}, port {port[0]}"
        entries[below] = _entry(below, group, what, label, options.ttl)
    by_target: dict[str, list[_Candidate]] = {}
    for candidate in endpoints:
        by_target.setdefault(candidate.target, []).append(candidate)
    for target, group in by_target.items():
        entries[target] = _entry(target, group, "an endpoint's own name", label, options.ttl)


def _has_ready(state: ClusterState, service: Service) -> bool:
    return any(True for _ in _ready(state, NamespacedName(service.namespace, service.name)))


def _ready(
    state: ClusterState, key: NamespacedName
) -> Iterator[tuple[Endpoint, tuple[tuple[str, int, str], ...]]]:
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


def _endpoint_candidates(state: ClusterState, service: Service, name: str) -> Iterator[_Candidate]:
    for endpoint, ports in _ready(state, NamespacedName(service.namespace, service.name)):
        for address in endpoint.addresses:
            target = f"{_endpoint_label(endpoint, address)}.{name}"
            for port_name, port, protocol in ports:
                yield _Candidate(address, target, port, port_name, protocol)


def _endpoint_label(endpoint: Endpoint, address: str) -> str:
    return endpoint.hostname.lower() or dashed(address.lower())


def _virtual_candidates(service: Service, name: str) -> Iterator[_Candidate]:
    for address in service.cluster_ips:
        for port in service.ports:
            yield _Candidate(address, name, port.port, port.name.lower(), port.protocol.lower())


def _grouped(candidates: Iterable[_Candidate]) -> dict[tuple[str, str], list[_Candidate]]:
    """Return the candidates of each named port; only these have a name of their own."""
    groups: dict[tuple[str, str], list[_Candidate]] = {}
    for candidate in candidates:
        if candidate.port_name:
            groups.setdefault((candidate.port_name, candidate.protocol), []).append(candidate)
    return groups


def _entry(name: str, group: list[_Candidate], rule: str, service: str, ttl: int) -> Entry:
    found = _addresses(name, [candidate.address for candidate in group], ttl)
    # Candidates are counted before those with one target and port become one record.
    weight = max(1, 100 // len(group))
    targets = dict.fromkeys((item.port, item.target) for item in group if item.port)
    if targets:
        found["SRV"] = tuple(
            Record(name, ttl, "SRV", f"0 {weight} {port} {target}") for port, target in targets
        )
    return Entry(rule, service, found)


def _addresses(name: str, addresses: Iterable[str], ttl: int) -> dict[str, tuple[Record, ...]]:
    found: dict[str, tuple[Record, ...]] = {}
    unique = dict.fromkeys(addresses)
    for type, six in (("A", False), ("AAAA", True)):
        rrset = tuple([Record(name, ttl, type, a) for a in unique if (":" in a) is six])
        if rrset:
            found[type] = rrset
    return found


def _add_reverse(entries: dict[str, Entry], state: ClusterState, options: DNSOptions) -> None:
    """Add PTR records: of an address that is a cluster IP, only the Service's name."""
    reverse = [zone for zone in options.zones if zone not in options.forward_zones]
    if not reverse:
        return
    primary = options.forward_zones[0]
    virtual: dict[str, tuple[dict[str, None], str]] = {}
    real: dict[str, tuple[dict[str, None], str]] = {}
    for key in sorted(state.services):
        service = state.services[key]
        name, label = f"{key.name}.{key.namespace}.svc.{primary}", str(key)
        if service.type == "ExternalName":
            continue
        for address in () if service.is_headless else service.cluster_ips:
            virtual.setdefault(reverse_name(address), ({name: None}, label))
        for endpoint, _ in () if options.noendpoints else _ready(state, key):
            for address in endpoint.addresses:
                target = f"{_endpoint_label(endpoint, address)}.{name}"
                targets, _ = real.setdefault(reverse_name(address), ({}, label))
                targets[target] = None
    for rule, found in (("an endpoint's address", real), ("a cluster IP", virtual)):
        for name, (targets, label) in found.items():
            if any(within(name, zone) for zone in reverse):
                pointers = tuple(Record(name, options.ttl, "PTR", to) for to in targets)
                entries[name] = Entry(rule, label, {"PTR": pointers})
