"""What is asked about a cluster that nobody has seen yet: ranges, readiness, Nodes."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal, TypeAlias

from attrs import frozen

from svcnet.errors import UsageError
from svcnet.family import IP_FAMILIES, IPFamily, family_of

When: TypeAlias = Literal["auto", "always", "never"]
Readiness: TypeAlias = Literal["all", "none"]
Network: TypeAlias = IPv4Network | IPv6Network

POD_CIDRS: dict[IPFamily, str] = {"IPv4": "10.244.0.0/16", "IPv6": "fd00:10:244::/56"}
SERVICE_CIDRS: dict[IPFamily, str] = {"IPv4": "10.96.0.0/12", "IPv6": "fd00:10:96::/112"}
"""The ranges of addresses that kubeadm and most networks of Pods have."""

NODE_CIDRS: dict[IPFamily, str] = {"IPv4": "198.18.0.0/16", "IPv6": "2001:db8:0:18::/64"}
BALANCER_CIDRS: dict[IPFamily, str] = {"IPv4": "198.19.0.0/16", "IPv6": "2001:db8:0:19::/112"}
"""Made-up Nodes and load balancers have addresses that no machine has (RFC 2544, RFC 3849)."""


@frozen
class Assumptions:
    """What to take of a cluster that objects do not tell.

    ``when`` says whether anything is assumed at all: never; always where it is missing; or, which
    is ``auto``, if no object was in a cluster. ``pod_cidrs`` and ``service_cidrs`` are one of each
    IP family at most. With ``nodes`` there are so many Nodes, in turn in one of ``node_zones``.
    """

    when: When = "auto"
    pod_cidrs: tuple[str, ...] = ()
    service_cidrs: tuple[str, ...] = ()
    ready: Readiness = "all"
    nodes: int = 0
    node_zones: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Raise UsageError where ranges overlap: an address would be a Pod's and a Service's."""
        for family in IP_FAMILIES:
            pods, services = self.pod_network(family), self.service_network(family)
            if pods.overlaps(services):
                raise UsageError(f"the ranges {pods} of Pods and {services} of Services overlap")

    def pod_network(self, family: IPFamily) -> Network:
        """Return the range from which Pods have addresses of a family."""
        return _network(self.pod_cidrs, family, POD_CIDRS)

    def service_network(self, family: IPFamily) -> Network:
        """Return the range from which Services have addresses of a family."""
        return _network(self.service_cidrs, family, SERVICE_CIDRS)

    @property
    def families(self) -> tuple[IPFamily, ...]:
        """The IP families of a cluster with these ranges of Services, none where none is given."""
        return tuple(map(family_of, self.service_cidrs))


def _network(cidrs: Sequence[str], family: IPFamily, usual: dict[IPFamily, str]) -> Network:
    given = (cidr for cidr in cidrs if family_of(cidr) == family)
    return ip_network(next(given, usual[family]))
