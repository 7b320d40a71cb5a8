"""Names that ask for the endpoints of one zone, as the nodes' zones are meant.

``<zone>.pin._zone.<service>`` has those alone, ``<zone>.prefer._zone.<service>`` all endpoints
if there are none. Headless Services only. Source: CoreDNS's plugin ``kubernetes``, ``zonal``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from svcnet.discovery.dns.candidates import Candidate
from svcnet.discovery.dns.zones import Entry, Zones

DIRECTIVES = ("pin", "prefer")
ANCHOR = "_zone"


def by_zonal_name(
    name: str, candidates: Iterable[Candidate]
) -> Iterator[tuple[str, str, list[Candidate]]]:
    """Yield each zone that endpoints of the Service `name` are in: a name, the zone, they."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.zone:
            groups.setdefault(candidate.zone, []).append(candidate)
    for zone, group in groups.items():
        for directive in DIRECTIVES:
            yield f"{zone}.{directive}.{ANCHOR}.{name}", zone, group


def without_endpoints(zones: Zones, name: str) -> Entry | None:
    """Return what such a name means for a zone that has no endpoints; None for other names."""
    head, found, service = name.rpartition(f".{ANCHOR}.")
    zone, dot, directive = head.rpartition(".")
    if not (found and dot and zone) or directive not in DIRECTIVES:
        return None
    if service not in zones.headless:
        return None
    if directive == "prefer" and service in zones.entries:
        return zones.entries[service]
    label = zones.headless[service]
    return Entry("zonal: no ready endpoint is in this zone", label)
