"""The options of CoreDNS's plugin ``kubernetes`` that change an answer, under its names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from svcnet.discovery.dns.names import absolute, is_name, is_reverse, reverse_name
from svcnet.discovery.dns.selector import Requirement, parse_selector
from svcnet.errors import UsageError
from svcnet.models import Budget

MAX_TTL = 3600

PodMode: TypeAlias = Literal["disabled", "insecure", "verified"]


def _zones(zones: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for zone in zones for name in _zone(zone)))


def _zone(text: str) -> Iterator[str]:
    """Yield the zone that `text` names, or the reverse zones that make up a network."""
    if "/" not in text:
        yield absolute(text)
        return
    try:
        network = ip_network(text)
    except ValueError as error:
        raise UsageError(f"zone {text}: {error}") from None
    # A reverse zone ends where an octet or, for IPv6, a hexadecimal digit does.
    digit = 8 if network.version == 4 else 4
    length = max(-(-network.prefixlen // digit), 1) * digit
    if length - network.prefixlen >= digit:
        raise UsageError(
            f"zone {text}: has no end in a reverse zone; name in-addr.arpa or ip6.arpa"
        )
    for part in network.subnets(new_prefix=length):
        labels = reverse_name(str(part.network_address)).split(".")
        host_labels = (network.max_prefixlen - length) // digit
        yield ".".join(labels[host_labels:])


def _names(names: Iterable[str]) -> frozenset[str]:
    # A type checker does not know of what `frozenset` itself, as a converter, is a set.
    return frozenset(names)


@frozen
class DNSOptions:
    """How names are answered.

    ``zones`` are made absolute and lower case; a network such as ``10.96.0.0/12`` stands for
    the reverse zones that make it up. PTR records lead into the first zone that is no
    reverse zone, and exist only in reverse zones that are listed. ``namespaces`` are the
    only ones with names, where any are given; ``labels`` is a label selector for Services,
    slices and Pods. ``ttl`` is in seconds, 0 to 3600.

    ``pods`` says what ``1-2-3-4.<namespace>.pod.<zone>`` is: unknown, that address, or
    that address if a Pod of the namespace has it. With ``endpoint_pod_names`` an endpoint
    without a hostname has its Pod's name. ``ignore_empty_service`` makes Services without
    ready endpoints unknown, and ``noendpoints`` headless ones. ``zonal`` gives headless
    Services names for the endpoints of one zone of nodes. ``serial`` is that of every SOA record.
    ``budget`` is how many ports of endpoints may have names.

    Raises UsageError for a TTL out of range, labels that cannot be read, and zones that are
    not well-formed or without a forward one.
    """

    zones: tuple[str, ...] = field(
        default=("cluster.local.", "in-addr.arpa.", "ip6.arpa."), converter=_zones
    )
    namespaces: frozenset[str] = field(default=frozenset(), converter=_names)
    labels: str = ""
    pods: PodMode = "disabled"
    endpoint_pod_names: bool = False
    ttl: int = field(default=5)
    noendpoints: bool = False
    ignore_empty_service: bool = False
    zonal: bool = False
    serial: int = 1
    budget: Budget = field(factory=Budget)
    requirements: tuple[Requirement, ...] = field(init=False, repr=False)

    @requirements.default
    def _parse_labels(self) -> tuple[Requirement, ...]:
        return parse_selector(self.labels)

    @ttl.validator
    def _check_ttl(self, _attribute: Any, value: int) -> None:
        if not 0 <= value <= MAX_TTL:
            raise UsageError(f"ttl is from 0 to {MAX_TTL} seconds, not {value}")

    @zones.validator
    def _check_zones(self, _attribute: Any, value: tuple[str, ...]) -> None:
        for zone in value:
            if not is_name(zone):
                raise UsageError(f"zone {zone.removesuffix('.')!r} is no domain name")
        if all(is_reverse(zone) for zone in value):
            raise UsageError("zones name no forward zone, such as cluster.local")

    @property
    def forward_zones(self) -> tuple[str, ...]:
        """The zones that have Services' names, the primary one first."""
        return tuple(zone for zone in self.zones if not is_reverse(zone))
