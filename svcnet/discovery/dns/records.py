"""All records of a state, made once.

Rules: ``findServices``, ``ServicesForPod`` and ``Reverse`` of CoreDNS's plugin
``kubernetes``, and ``SRV`` of its ``plugin/backend_lookup.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from svcnet.discovery.dns.apex import apex, apex_entries
from svcnet.discovery.dns.budget import left_out, without_endpoints
from svcnet.discovery.dns.candidates import (
    Candidate,
    endpoint_candidates,
    is_hidden,
    virtual_candidates,
)
from svcnet.discovery.dns.exposure import expose, exposed_namespaces
from svcnet.discovery.dns.names import MAX_NAME, absolute, is_ip, is_name, is_reverse, within
from svcnet.discovery.dns.options import DNSOptions
from svcnet.discovery.dns.pods import pod_entries
from svcnet.discovery.dns.reverse import pointers
from svcnet.discovery.dns.zonal import by_zonal_name
from svcnet.discovery.dns.zones import Entry, Record, Zones, addresses_of
from svcnet.errors import UsageError
from svcnet.models import ClusterState, Service
from svcnet.nogc import without_gc


@without_gc()
def records(state: ClusterState, options: DNSOptions | None = None) -> Zones:
    """Return every record that `state` has in the zones of `options`.

    Under ``pods insecure`` names of Pods are not among them: each address has one, so only
    a question tells which.

    Endpoints of Services that have too many of them (:class:`svcnet.models.Budget`) have no
    names.

    Raises UsageError where a zone is so long that a name in it is too long for DNS.
    """
    options = options or DNSOptions()
    namespaces = exposed_namespaces(state, options)
    state = expose(state, options)
    unnamed = left_out(state, options.budget)
    state = without_endpoints(state, unnamed)
    entries: dict[str, Entry] = {}
    absent: dict[str, str] = {}
    headless: dict[str, str] = {}
    # A question belongs to the smallest zone, so one inside another takes its names away.
    for zone in sorted(options.zones, key=len):
        entries = {name: entry for name, entry in entries.items() if not within(name, zone)}
        entries.update(apex(state, zone, options))
        if is_reverse(zone):
            continue
        entries.update(apex_entries(zone, namespaces, options))
        if options.pods == "verified":
            entries.update(pod_entries(state, zone, options))
        for key in sorted(state.services):
            service = state.services[key]
            name = f"{key.name}.{key.namespace}.svc.{zone}"
            entries.update(_of_service(state, service, name, options))
            if name not in entries:
                absent[name] = unnamed.get(key) or _why_absent(service, options)
            if service.is_headless:
                headless[name] = str(key)
    entries.update(pointers(state, options))
    longest = max(entries, key=len)
    if len(longest) > MAX_NAME + 1:
        raise UsageError(f"{longest} has {len(longest) - 1} letters, at most {MAX_NAME} are a name")
    return Zones(options, entries, namespaces, absent, headless)


def _of_service(
    state: ClusterState, service: Service, name: str, options: DNSOptions
) -> Iterator[tuple[str, Entry]]:
    label = f"{service.namespace}/{service.name}"
    if service.type == "ExternalName":
        yield from _alias(service, name, label, options.ttl)
        return
    if is_hidden(state, service, options):
        return
    endpoints = (
        [] if options.noendpoints else list(endpoint_candidates(state, service, name, options))
    )
    if service.is_headless:
        own, rule = endpoints, "headless: the ready endpoints"
    else:
        own, rule = list(virtual_candidates(service, name)), "the cluster IP"
    if own:
        yield name, _entry(name, own, rule, label, options.ttl)
    for (port, protocol), group in _by_port(own).items():
        below = f"_{port}._{protocol}.{name}"
        yield below, _entry(below, group, f"{rule}, port {port}", label, options.ttl)
    if options.zonal and service.is_headless:
        for below, zone, group in by_zonal_name(name, endpoints):
            if is_name(below):
                yield below, _entry(below, group, f"zonal: in zone {zone}", label, options.ttl)
    for target, group in _by_target(endpoints).items():
        yield target, _entry(target, group, "an endpoint's own name", label, options.ttl)


def _why_absent(service: Service, options: DNSOptions) -> str:
    if service.type == "ExternalName":
        return "ExternalName: an address is no alias"
    if not service.is_headless:
        if not options.ignore_empty_service:
            return "it has no cluster IP yet"
        known = "noendpoints" if options.noendpoints else "no endpoint is ready"
        return f"ignore empty_service: {known}"
    return "noendpoints" if options.noendpoints else "headless: no endpoint is ready"


def _alias(service: Service, name: str, label: str, ttl: int) -> Iterator[tuple[str, Entry]]:
    target = absolute(service.external_name)
    if is_ip(service.external_name):
        return
    if not is_name(target):
        # The API takes labels of more than 63 letters, and no message can hold them.
        yield name, Entry("ExternalName: no name that DNS can say", label)
        return
    record = Record(name, ttl, "CNAME", target)
    yield name, Entry("ExternalName: an alias", label, {"CNAME": (record,)})


def _by_port(candidates: Iterable[Candidate]) -> dict[tuple[str, str], list[Candidate]]:
    """Return the candidates of each named port; only these have a name of their own."""
    groups: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in candidates:
        if candidate.port_name:
            groups.setdefault((candidate.port_name, candidate.protocol), []).append(candidate)
    return groups


def _by_target(candidates: Iterable[Candidate]) -> dict[str, list[Candidate]]:
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.target, []).append(candidate)
    return groups


def _entry(name: str, group: list[Candidate], rule: str, service: str, ttl: int) -> Entry:
    found = addresses_of(name, [candidate.address for candidate in group], ttl)
    # Candidates are counted before those with one target and port become one record.
    weight = max(1, 100 // len(group))
    targets = dict.fromkeys((item.port, item.target) for item in group if item.port)
    if targets:
        found["SRV"] = tuple(
            Record(name, ttl, "SRV", f"0 {weight} {port} {target}") for port, target in targets
        )
    return Entry(rule, service, found)
