"""A fragment: the part of the rule graph that one service port makes."""

from __future__ import annotations

from collections.abc import Iterator
from sys import intern
from typing import NamedTuple

from attrs import frozen

from svcnet.brief import Brief
from svcnet.graph.nodes import (
    Accept,
    Balance,
    Dispatch,
    Drop,
    External,
    Firewall,
    GraphNode,
    Reject,
    Translate,
)
from svcnet.graph.origin import EndpointSource, Origin

HEALTH_CHECK = "health-check"
"""The id of the node of a health-check port; a fragment has one at most."""


class FragmentName(NamedTuple):
    """The name of a service port; fragments are visited in the order of these names.

    ``protocol`` is ``TCP``, ``UDP`` or ``SCTP``.
    """

    namespace: str
    name: str
    port_name: str
    protocol: str

    @property
    def service_port(self) -> str:
        """``namespace/name``, with ``:port`` only when the port has a name."""
        port = f":{self.port_name}" if self.port_name else ""
        return f"{self.namespace}/{self.name}{port}"

    def __str__(self) -> str:
        return f"{self.service_port}/{self.protocol}"


@frozen(repr=False)
class Policy(Brief):
    """What a Service asks for, whether or not an endpoint is there to do it.

    The nodes of a fragment are decisions already made: without endpoints all of them
    are one refusal. A mode that keeps something for them all the same (IPVS an empty
    balancer, userspace a proxy port) reads the wishes here.
    ``affinity`` is in seconds, 0 for none; ``scheduler`` is empty for the node's own.
    ``source_fields`` are the places of ``source_ranges`` in the Service.
    """

    affinity: int = 0
    external_local: bool = False
    source_ranges: tuple[str, ...] = ()
    scheduler: str = ""
    internal_local: bool = False
    proxy_protocol: bool = False
    source_fields: tuple[str, ...] = ()


class LocalEndpoint(NamedTuple):
    """An endpoint on this node, usable or not; ``source`` and ``position`` say where it is."""

    address: str
    port: int
    ready: bool
    source: EndpointSource
    position: int

    @property
    def origin(self) -> Origin:
        """The place of the endpoint's address."""
        return self.source.origin(self.position)


@frozen(repr=False)
class Fragment(Brief):
    """The nodes of one service port, by role.

    ``dispatches`` come in the order in which rules are written: cluster IP, external
    IPs, load balancer addresses, node port. ``translates`` are all endpoints that
    ``cluster`` or ``local`` can choose, in the order that they have there.
    ``endpoint_count`` counts every endpoint that the service port has anywhere, usable or not.
    ``field`` is the port's own place in the Service, such as ``spec.ports[0]``. ``unused`` are the
    addresses and ports of UDP endpoints that serve, and that no client is sent to from here,
    because of hints, of a traffic policy, or of others that are ready: entries of the kernel may
    lead to them yet.
    """

    name: FragmentName
    dispatches: tuple[Dispatch, ...]
    firewall: Firewall | None = None
    external: External | None = None
    cluster: Balance | None = None
    local: Balance | None = None
    translates: tuple[Translate, ...] = ()
    refusals: tuple[Reject | Drop, ...] = ()
    health_check: Accept | None = None
    endpoint_count: int = 0
    policy: Policy = Policy()
    local_endpoints: tuple[LocalEndpoint, ...] = ()
    field: str = ""
    unused: tuple[tuple[str, int], ...] = ()

    def nodes(self) -> Iterator[GraphNode]:
        """Yield every node, in the order in which a packet could meet them."""
        yield from self.dispatches
        for node in (self.firewall, self.external, self.cluster, self.local):
            if node is not None:
                yield node
        yield from self.translates
        yield from self.refusals
        if self.health_check is not None:
            yield self.health_check

    def endpoints(self, balance: Balance | None) -> tuple[Translate, ...]:
        """Return those that a node chooses from, in their order: most often all that there are."""
        if balance is None:
            return ()
        if len(balance.targets) == len(self.translates):
            return self.translates
        chosen = set(balance.targets)
        return tuple([each for each in self.translates if each.id in chosen])

    def origin_of(self, part: str) -> Origin:
        """Return what in the input caused a part of the service port.

        A part is a node, by its id, a range of the firewall or an endpoint on this node, as
        ``source_range`` and ``local_endpoint`` name them, or for the empty text the port itself.
        Raises KeyError when there is none such.
        """
        if not part:
            return Origin("Service", self.name.namespace, self.name.name, self.field)
        name, _, number = part.partition("/")
        if name == "firewall" and number:
            place = self.policy.source_fields[int(number)]
            return Origin("Service", self.name.namespace, self.name.name, place)
        if name == "local-endpoint":
            return self.local_endpoints[int(number)].origin
        return self.node(part).origin

    def node(self, node_id: str) -> GraphNode:
        """Return the node with that id; raises KeyError when there is none."""
        for node in self.nodes():
            if node.id == node_id:
                return node
        raise KeyError(node_id)


def source_range(number: int) -> str:
    """Return the name of the part that a range of the firewall is, by its number from 0."""
    return intern(f"firewall/{number}")


def local_endpoint(number: int) -> str:
    """Return the name of the part that an endpoint on this node is, by its number from 0."""
    return intern(f"local-endpoint/{number}")


def load_balancer(address: str) -> str:
    """Return the id of the dispatch of a load balancer address."""
    return f"load-balancer/{address}"


def successors(node: GraphNode) -> tuple[str, ...]:
    """Return the ids of the nodes that `node` can hand a packet to."""
    match node:
        case Dispatch():
            return (node.target,)
        case Firewall():
            return (node.target, node.otherwise)
        case External():
            return (node.target, node.cluster) if node.keep_source else (node.target,)
        case Balance():
            return node.targets
        case _:
            return ()
