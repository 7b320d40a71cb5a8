"""One question to zones that are already made, and why it is answered as it is."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from svcnet.discovery.dns.names import absolute, within
from svcnet.discovery.dns.pods import insecure
from svcnet.discovery.dns.zonal import without_endpoints
from svcnet.discovery.dns.zones import Entry, Record, Zones

Rcode = Literal["NOERROR", "NXDOMAIN", "REFUSED"]
"""What an answer says of its name: it is there, it is not, or its zone is no matter of ours."""


@frozen
class Answer:
    """The sections of an answer, and why they are what they are.

    ``authority`` has the zone's SOA record for a name or a type that does not exist, so
    that a resolver knows how long to remember it. REFUSED is a name outside all zones.
    """

    rcode: Rcode
    rule: str
    service: str = ""
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()


MAX_CHAIN = 11
"""How many aliases CoreDNS follows: ten after the first (``maxCnameChainLength``)."""

# Whose data names a host that the client will ask for next (RFC 2782, RFC 1035 3.3.11).
HAVE_TARGETS = ("SRV", "NS")


def lookup(zones: Zones, name: str, rdtype: str = "A") -> Answer:
    """Return the answer to a question; a name counts as absolute, in any case of letters.

    `rdtype` is a record type's name such as ``AAAA``. Cost does not depend on the cluster.
    """
    name = absolute(name)
    zone, entry = find(zones, name)
    if zone is None:
        return Answer("REFUSED", "the name is in none of the zones")
    if entry is None:
        return _nothing(zones, zone, "NXDOMAIN", *_why_missing(zones, name, zone))
    if "PTR" in entry.records and rdtype != "PTR" and zones.is_reverse(zone):
        return _nothing(zones, zone, "NXDOMAIN", "a reverse zone has PTR records only")
    if "CNAME" in entry.records and rdtype in ("A", "AAAA"):
        return _chase(zones, zone, entry, rdtype)
    found = entry.records.get(rdtype)
    if found is None:
        rule = f"{entry.rule}; it has no {rdtype} record"
        return _nothing(zones, zone, "NOERROR", rule, entry.service)
    return Answer(
        "NOERROR",
        entry.rule,
        entry.service,
        _rename(found, name),
        additional=_targets(zones, found) if rdtype in HAVE_TARGETS else (),
    )


def find(zones: Zones, name: str) -> tuple[str | None, Entry | None]:
    """Return the zone of an absolute name in lower case, if any, and what is there, if anything."""
    zone = zones.zone_of(name)
    return zone, None if zone is None else entry_in(zones, name, zone)


def _why_missing(zones: Zones, name: str, zone: str) -> tuple[str, str]:
    """Return the reason for NXDOMAIN, and the Service that it has to do with, if any."""
    if zones.is_reverse(zone):
        return "no cluster IP and no ready endpoint has this address", ""
    *below, kind = name.removesuffix(f".{zone}").split(".")
    if kind == "pod" and zones.options.pods == "disabled":
        return "pods disabled: no Pod has a name", ""
    if kind not in ("svc", "pod"):
        return f"below {zone} are svc, pod and dns-version", ""
    *below, namespace = below
    if namespace not in zones.namespaces:
        return f"nothing is known of a namespace {namespace}", ""
    if kind == "pod":
        return f"pods {zones.options.pods}: this is no Pod's address in {namespace}", ""
    *below, service = below
    label = f"{namespace}/{service}"
    full = f"{service}.{namespace}.svc.{zone}"
    if full in zones.absent:
        return zones.absent[full], label
    if full not in zones.entries:
        return f"namespace {namespace} has no Service {service}", ""
    if "CNAME" in zones.entries[full].records:
        return "ExternalName: no name is below it", label
    match len(below):
        case 1:
            return f"no ready endpoint is named {below[0]}", label
        case 2:
            port, protocol = (part.removeprefix("_") or part for part in below)
            return f"it has no port {port} of protocol {protocol}", label
    return "no Service has names that deep", label


def entry_in(zones: Zones, name: str, zone: str) -> Entry | None:
    """Return what is at a name of a zone, also where the name is spelt in another way."""
    entry = zones.entries.get(name)
    if entry is None and not zones.is_reverse(zone):
        entry = _below_services(zones, name, zone) or insecure(zones, name, zone)
        if entry is None and zones.options.zonal:
            entry = without_endpoints(zones, name)
    return entry


def _rename(found: tuple[Record, ...], name: str) -> tuple[Record, ...]:
    """Return records under the name that was asked, where that has two spellings."""
    if found[0].name == name:
        return found
    return tuple(record._replace(name=name) for record in found)


def _below_services(zones: Zones, name: str, zone: str) -> Entry | None:
    """Return the entry of ``port.proto.service…``: underscores may be left out."""
    below = f".svc.{zone}"
    if not name.endswith(below) or name.count(".", 0, -len(below)) != 3:
        return None
    port, protocol, service = name.split(".", 2)
    port, protocol = port.removeprefix("_"), protocol.removeprefix("_")
    return zones.entries.get(f"_{port}._{protocol}.{service}")


def _chase(zones: Zones, zone: str, entry: Entry, rdtype: str) -> Answer:
    """Follow an ExternalName through the zones; what is outside is the resolver's to find."""
    chain: list[Record] = []
    kept: tuple[Record, ...] = ()
    at = zone
    current: Entry | None = entry
    while current is not None and "CNAME" in current.records:
        alias = current.records["CNAME"][0]
        if alias in chain or len(chain) == MAX_CHAIN:
            return _dangling(zones, zone, entry, kept, "the chain of names has no end")
        chain.append(alias)
        inside = zones.zone_of(alias.data)
        if inside is None:
            return Answer("NOERROR", entry.rule, entry.service, tuple(chain))
        if not within(alias.data, at):
            kept, at = tuple(chain), inside
        current = entry_in(zones, alias.data, inside)
    found = current.records.get(rdtype) if current is not None else None
    if not found:
        rule = f"{entry.rule}; {chain[-1].data} has no {rdtype} record"
        return _dangling(zones, zone, entry, kept, rule)
    addresses = _rename(found, chain[-1].data)
    return Answer("NOERROR", entry.rule, entry.service, (*chain, *addresses))


def _dangling(zones: Zones, zone: str, entry: Entry, kept: tuple[Record, ...], rule: str) -> Answer:
    """Return what is left of aliases that lead to no address: those out of their zone.

    CoreDNS asks another zone as it asks any other server, and then has answered already.
    """
    if kept:
        return Answer("NOERROR", rule, entry.service, kept)
    return _nothing(zones, zone, "NOERROR", rule, entry.service)


def _targets(zones: Zones, found: tuple[Record, ...]) -> tuple[Record, ...]:
    """Return the addresses of the hosts that records name, as far as the zones have them."""
    targets = dict.fromkeys(record.data.rpartition(" ")[2] for record in found)
    return tuple(
        record
        for target in targets
        if target in zones.entries
        for type in ("A", "AAAA")
        for record in zones.entries[target].records.get(type, ())
    )


def without_records(zones: Zones, found: Answer) -> Answer:
    """Return NODATA for the name of an alias, whose target has turned out to have nothing."""
    zone = zones.zone_of(found.answers[0].name)
    if zone is None:
        raise ValueError(f"{found.answers[0].name} is in none of the zones")
    return _nothing(zones, zone, "NOERROR", found.rule, found.service)


def _nothing(zones: Zones, zone: str, rcode: Rcode, rule: str, service: str = "") -> Answer:
    return Answer(rcode, rule, service, authority=zones.entries[zone].records["SOA"])
