"""Zone files, which authoritative servers load."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.discovery.dns.rdata import Rdatas, to_name
from svcnet.discovery.dns.zones import Zones
from svcnet.errors import UsageError
from svcnet.nogc import without_gc

__all__ = ["zone_file"]


@without_gc()
def zone_file(zones: Zones, origin: str) -> str:
    """Return the zone `origin` in the form of RFC 1035, section 5.

    SOA and NS come first, the other names in alphabetical order. Raises UsageError under
    ``pods insecure``, whose names cannot be listed.
    """
    if zones.options.pods == "insecure":
        raise UsageError("pods insecure answers names that no zone file lists; verified can be")
    return "".join([f"$ORIGIN {origin}\n", *_lines(zones, origin)])


def _lines(zones: Zones, origin: str) -> Iterator[str]:
    rdatas, top = Rdatas(), to_name(origin)
    # The SOA record has to be the first.
    names = sorted(zones.entries, key=lambda name: (name != origin, name))
    for name in names:
        if zones.zone_of(name) != origin:
            continue
        owner = "@" if name == origin else name.removesuffix(f".{origin}")
        for rrset in zones.entries[name].records.values():
            for record in rrset:
                data = rdatas.rdata(record).to_text(top, relativize=True)
                yield f"{owner} {record.ttl} IN {record.type} {data}\n"
