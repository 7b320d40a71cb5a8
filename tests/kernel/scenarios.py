"""What is tried with packets: clusters, who sends what where, and what must come of it.

A table that knows nothing of a mode: every mode of svcnet must pass it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import evolve, frozen

from svcnet.models import (
    Endpoint,
    EndpointPort,
    EndpointSlice,
    IPFamily,
    KubeProxyConfiguration,
    Service,
)
from svcnet.models.family import IP_FAMILIES
from svcnet.models.state import ClusterObject
from svcnet.testing import make_service, make_slice
from tests.kernel.netns import ENDPOINTS, Both

REFUSED = "refused"
DROPPED = "dropped"
UNTOUCHED = "untouched"
DEFAULTS = KubeProxyConfiguration()


@frozen
class Reach:
    """One end that a try may have: an endpoint's port, with the source kept or the node's."""

    endpoint: str
    port: int
    masquerade: bool


Expected: TypeAlias = str | frozenset[Reach]


def kept(*endpoints: str, port: int = 8080) -> frozenset[Reach]:
    """The endpoints, which see the address that the packet was sent from."""
    return frozenset(Reach(endpoint, port, False) for endpoint in endpoints)


def masked(*endpoints: str, port: int = 8080) -> frozenset[Reach]:
    """The endpoints, which see an address of the node."""
    return frozenset(Reach(endpoint, port, True) for endpoint in endpoints)


@frozen
class Probe:
    """`count` tries from each address of `source`; 0 means as many as the statistics need.

    ``in_turn`` sends them one after the other, for session affinity.
    """

    source: str
    destination: Both
    port: int
    expected: Expected
    protocol: str = "TCP"
    count: int = 0
    in_turn: bool = False


@frozen
class Change:
    """Objects come or are replaced, and the rules follow by the delta alone."""

    objects: tuple[ClusterObject, ...]


@frozen
class Expire:
    """Session affinity is waited out; the next answers must not all be those before."""

    seconds: float


@frozen
class Open:
    """A TCP connection is opened and held until the scenario's end."""

    source: str
    destination: Both
    port: int
    expected: Expected
    protocol: str = "TCP"


@frozen
class Exchange:
    """Every connection held so far, all by `source`, still carries bytes."""

    source: str


Step: TypeAlias = Probe | Change | Expire | Open | Exchange


@frozen
class Scenario:
    """A cluster and what is done in it.

    ``closed`` are TCP ports of the node that rules of its own close.
    """

    name: str
    objects: tuple[ClusterObject, ...]
    steps: tuple[Step, ...]
    config: KubeProxyConfiguration = DEFAULTS
    families: tuple[IPFamily, ...] = IP_FAMILIES
    closed: tuple[int, ...] = ()


CLUSTER_IP = Both("10.96.0.10", "fd00:10:96::10")
OTHER_CLUSTER_IP = Both("10.96.0.11", "fd00:10:96::11")
LOAD_BALANCER = Both("203.0.113.20", "2001:db8:203::20")
EXTERNAL = Both("203.0.113.40", "2001:db8:203::40")
CLUSTER_CIDRS = ("10.244.0.0/16", "fd00:10:244::/48")
ALL = ("pod1", "pod2", "pod3")

WITH_CIDR = KubeProxyConfiguration(cluster_cidrs=CLUSTER_CIDRS)


def service(name: str = "web", address: Both = CLUSTER_IP, **fields: Any) -> Service:
    """Return a Service of both families."""
    return make_service(
        name,
        cluster_ips=(address.v4, address.v6),
        ip_families=IP_FAMILIES,
        **fields,
    )


WEB = (EndpointPort(8080, "http"),)


def slices(
    *endpoints: str,
    of: str = "web",
    ports: tuple[EndpointPort, ...] = WEB,
    conditions: Mapping[str, Mapping[str, bool]] | None = None,
) -> tuple[EndpointSlice, EndpointSlice]:
    """Return a Service's slice of each family; `conditions` are those of an endpoint by name."""
    made = []
    for family in IP_FAMILIES:
        found = [
            Endpoint(
                (ENDPOINTS[name].of(family),),
                node_name="node-b" if name == "pod3" else "node-a",
                **(conditions or {}).get(name, {}),
            )
            for name in endpoints
        ]
        item = make_slice(of, *found, name=f"{of}-{family.lower()}", ports=ports)
        made.append(evolve(item, address_type=family))
    return made[0], made[1]


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "cluster-ip",
        (service(), *slices(*ALL)),
        (
            Probe("pod1", CLUSTER_IP, 80, masked("pod1") | kept("pod2", "pod3")),
            Probe("node", CLUSTER_IP, 80, kept(*ALL)),
            Probe("pod3", CLUSTER_IP, 80, kept("pod1", "pod2") | masked("pod3")),
            Probe("pod1", CLUSTER_IP, 81, UNTOUCHED),
        ),
    ),
)
