"""The options of CoreDNS's plugin ``kubernetes`` that change an answer, under its names."""

from __future__ import annotations

from typing import Any, Literal

from attrs import field, frozen

from svcnet.discovery.dns.names import absolute, is_reverse
from svcnet.errors import UsageError

MAX_TTL = 3600


def _zones(zones: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(absolute(zone) for zone in zones)


@frozen
class DNSOptions:
    """How names are answered.

    ``zones`` are made absolute and lower case; PTR records lead into the first that is no
    reverse zone, and exist only in reverse zones that are listed. ``ttl`` is in seconds,
    0 to 3600. ``pods`` says what ``1-2-3-4.<namespace>.pod.<zone>`` is: unknown, or that
    address. ``ignore_empty_service`` makes Services without ready endpoints unknown, and
    ``noendpoints`` headless ones. ``serial`` is that of every SOA record.

    Raises UsageError for a TTL out of range and for zones without a forward one.
    """

    zones: tuple[str, ...] = field(
        default=("cluster.local.", "in-addr.arpa.", "ip6.arpa."), converter=_zones
    )
    ttl: int = field(default=5)
    pods: Literal["disabled", "insecure"] = "disabled"
    ignore_empty_service: bool = False
    noendpoints: bool = False
    serial: int = 1

    @ttl.validator
    def _check_ttl(self, _attribute: Any, value: int) -> None:
        if not 0 <= value <= MAX_TTL:
            raise UsageError(f"ttl is from 0 to {MAX_TTL} seconds, not {value}")

    @zones.validator
    def _check_zones(self, _attribute: Any, value: tuple[str, ...]) -> None:
        if all(is_reverse(zone) for zone in value):
            raise UsageError("zones name no forward zone, such as cluster.local")

    @property
    def forward_zones(self) -> tuple[str, ...]:
        """The zones that have Services' names, the primary one first."""
        return tuple(zone for zone in self.zones if not is_reverse(zone))
