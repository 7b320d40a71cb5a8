"""UDP entries as ``conntrack -L`` prints them, read; with ``-o extended`` or without."""

from __future__ import annotations

import re
from collections.abc import Iterator

from svcnet.addresses import canonical_address, is_address
from svcnet.errors import ApplyError
from svcnet.renderers.conntrack.flows import Flow, ZoneOf

PATTERN = re.compile(r"^(?:ipv[46] +\d+ +)?\w+ +\d+ .*\bsrc=\S+ dst=\S+ ", re.MULTILINE)
"""A line of such a listing."""

_FIELD = re.compile(r"\b(src|dst|sport|dport|zone|zone-orig|zone-reply|id)=(\S+)")
_COUNT = re.compile(r"conntrack v\S+ .*: \d+ flow entries have been shown\.$")
_MOST_PORT = 0xFFFF


def read_listing(text: str, name: str = "conntrack -L") -> Iterator[Flow]:
    """Yield the UDP entries of a listing; those of other protocols are passed over.

    Raises ApplyError, with `name` and the number of the line, for what is no entry.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or _COUNT.match(line):
            continue
        if PATTERN.match(line) is None:
            raise ApplyError(f"{name}: line {number}: it is no entry: {line[:80]!r}")
        words = line.split()
        protocol = words[2] if words[0] in ("ipv4", "ipv6") else words[0]
        if protocol != "udp":
            continue
        try:
            yield _flow(_FIELD.findall(line))
        except (ValueError, IndexError, KeyError):
            raise ApplyError(f"{name}: line {number}: it is no entry: {line[:80]!r}") from None


def _flow(fields: list[tuple[str, str]]) -> Flow:
    """Return an entry: the first of each field is of the first datagram, the second of answers."""
    found: dict[str, list[str]] = {}
    for key, value in fields:
        found.setdefault(key, []).append(value)
    source, reply_source = map(_address, found["src"])
    destination, reply_destination = map(_address, found["dst"])
    source_port, reply_source_port = map(_port, found["sport"])
    port, reply_port = map(_port, found["dport"])
    zone_of: ZoneOf = "both"
    zone = found.get("zone", ["0"])[0]
    if "zone-orig" in found:
        zone_of, zone = "original", found["zone-orig"][0]
    elif "zone-reply" in found:
        zone_of, zone = "reply", found["zone-reply"][0]
    return Flow(
        source,
        source_port,
        destination,
        port,
        reply_source,
        reply_source_port,
        reply_destination,
        reply_port,
        int(zone),
        zone_of,
        int(found.get("id", ["0"])[0]),
    )


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError(text)
    return canonical_address(text)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= _MOST_PORT:
        raise ValueError(text)
    return port
