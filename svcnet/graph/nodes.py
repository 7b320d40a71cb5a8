"""The kinds of node of a rule graph. Each is one decision about a packet.

Nodes refer to each other by id. An id is unique within the fragment (one service
port) that holds it, and no edge leaves a fragment, so ids stay short and stable:
``cluster``, ``local``, ``external``, ``firewall``, ``reject``, ``drop``, and for an
endpoint its ``address:port``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from attrs import frozen

from svcnet.brief import Brief
from svcnet.graph.origin import EndpointSource, Origin

Frontend = Literal["cluster-ip", "external-ip", "load-balancer", "node-port"]
Masquerade = Literal["never", "off-cluster", "always"]


@frozen(repr=False)
class Dispatch(Brief):
    """A destination that belongs to this service port, and the node that decides next.

    ``address`` is empty for a node port: any address that the node answers node ports
    on. ``masquerade`` says for which sources this frontend alone asks for the node's
    source address; the nodes behind it may ask for it too.
    """

    id: str
    origin: Origin
    frontend: Frontend
    address: str
    port: int
    target: str
    masquerade: Masquerade = "never"


@frozen(repr=False)
class Firewall(Brief):
    """Whether a source may use a load balancer address.

    A source in ``ranges`` goes on to ``target``; any other to ``otherwise``.
    ``own_addresses`` are the load balancer addresses themselves, which are let in when
    the node is: a node that holds one uses it as its source (kube-proxy's rule).
    """

    id: str
    origin: Origin
    ranges: tuple[str, ...]
    own_addresses: tuple[str, ...]
    target: str
    otherwise: str


@frozen(repr=False)
class External(Brief):
    """Where traffic from outside the cluster goes, and whether its source is kept.

    Outside traffic goes to ``target``. With ``keep_source``, traffic of this node's
    pods goes to ``cluster`` unchanged, and the node's own traffic goes there
    masqueraded: both are treated as if they had left and come back through a load
    balancer. Without it everything is masqueraded and ``cluster`` is not used.
    """

    id: str
    origin: Origin
    target: str
    keep_source: bool
    cluster: str


@frozen(repr=False)
class Balance(Brief):
    """One of several endpoints, each as likely as the other.

    ``targets`` are ids of :class:`Translate` nodes in their order. ``affinity`` is the
    time in seconds for which a client stays with its endpoint, 0 for none.
    """

    id: str
    origin: Origin
    targets: tuple[str, ...]
    affinity: int = 0


class Translate(NamedTuple):
    """The endpoint that a packet is sent to; a packet from that very endpoint is masqueraded.

    ``weight`` is its share of the traffic beside the others', where a mode has shares.
    ``source`` and ``position`` say where in the input it is. A tuple, unlike the other nodes:
    a graph has a hundred thousand of these, and a tuple is made in a third of the time.
    """

    id: str
    source: EndpointSource
    position: int
    address: str
    port: int
    local: bool
    weight: int = 1

    @property
    def origin(self) -> Origin:
        """The place of the endpoint's address."""
        return self.source.origin(self.position)


@frozen(repr=False)
class Accept(Brief):
    """A health-check node port, which the node itself answers and must not filter."""

    id: str
    origin: Origin
    port: int


@frozen(repr=False)
class Reject(Brief):
    """Traffic is refused with an ICMP error, for ``reason``."""

    id: str
    origin: Origin
    reason: str


@frozen(repr=False)
class Drop(Brief):
    """Traffic is dropped without an answer, for ``reason``."""

    id: str
    origin: Origin
    reason: str


GraphNode: TypeAlias = Dispatch | Firewall | External | Balance | Translate | Accept | Reject | Drop
"""Any decision of a graph."""
