"""The proxy table: what a node's userspace proxy listens for, and whom it hands what to.

A service port has one **listener** for each way in which its traffic is treated, mostly a
single one, named ``cluster``. With a traffic policy Local some traffic may use only the
node's endpoints (``local``), and behind a firewall only some sources may come in
(``firewall-cluster``, ``firewall-local``). **Portals** are the addresses whose traffic is
redirected to a listener.

Which of a Service's addresses a client asked for is lost in the redirection, and for
datagrams no system call brings it back. So the listener that a packet comes to must say
it all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, NamedTuple, TypeAlias

from attrs import evolve, field, frozen
from immutables import Map

from svcnet.brief import Brief
from svcnet.family import IPFamily
from svcnet.graph import Fragment, FragmentName, NodeSettings, Origin
from svcnet.graph.nodes import Frontend
from svcnet.renderers.userspace.choice import DEFAULT_CHOICE, PortChoice

ServicePortName: TypeAlias = FragmentName
Role = Literal["cluster", "local", "firewall-cluster", "firewall-local"]
ROLES: tuple[Role, ...] = ("cluster", "local", "firewall-cluster", "firewall-local")
Answer = Literal["serve", "refuse", "drop"]


class Backend(NamedTuple):
    """An endpoint that connections are handed to."""

    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


class ListenerName(NamedTuple):
    """A listener's name among all of a node and IP family."""

    service_port: FragmentName
    role: Role

    def __str__(self) -> str:
        return f"{self.service_port}" + ("" if self.role == "cluster" else f" ({self.role})")


@frozen(repr=False)
class Listener(Brief):
    """One proxy port, and what becomes of what arrives there.

    ``serve`` hands it to one of ``backends``, in turn and in this order; ``refuse`` is
    for want of endpoints anywhere, ``drop`` for want of endpoints on this node. Sources
    outside the CIDRs of ``sources``, where there are any, are dropped. The CIDRs are
    merged: none lies in another, and they come in the order of their addresses.
    ``part`` is what of the service port it is there for, and ``targets`` are the ids of the
    backends' nodes, in their order; see :meth:`svcnet.graph.Fragment.origin_of`.
    """

    role: Role
    answer: Answer
    backends: tuple[Backend, ...] = ()
    sources: tuple[str, ...] = ()
    part: str = field(default="", eq=False, repr=False)
    targets: tuple[str, ...] = field(default=(), eq=False, repr=False)


@frozen
class Portal:
    """An address whose traffic is redirected, and the listeners it is redirected to.

    ``address`` is empty for a node port. ``role`` names the listener for traffic from
    elsewhere, ``near`` that for traffic of the node itself and of its pods. ``part`` is the id
    of its node.
    """

    frontend: Frontend
    address: str
    port: int
    role: Role
    near: Role
    part: str = field(default="", eq=False, repr=False)


@frozen(repr=False)
class ProxiedPort(Brief):
    """A service port as the proxy sees it.

    ``affinity`` is in seconds, 0 for none. With ``proxy_protocol`` each connection to a
    backend begins with a header of the PROXY protocol, version 2, that tells the client's
    address. ``health_check`` is the health-check node port, 0 for none. ``field`` is the
    port's place in its Service, such as ``spec.ports[0]``.
    """

    name: FragmentName
    listeners: tuple[Listener, ...]
    portals: tuple[Portal, ...]
    affinity: int = 0
    proxy_protocol: bool = False
    health_check: int = 0
    field: str = ""

    @property
    def listener_names(self) -> tuple[ListenerName, ...]:
        """The names of the listeners, in their order."""
        return tuple([ListenerName(self.name, listener.role) for listener in self.listeners])

    @property
    def internal_local(self) -> bool:
        """Whether the cluster IP leads to endpoints of this node only."""
        return any(p.frontend == "cluster-ip" and p.role == "local" for p in self.portals)

    @property
    def external_local(self) -> bool:
        """Whether traffic from elsewhere may use endpoints of this node only."""
        return any(portal.role != portal.near for portal in self.portals)


@frozen(order=True)
class UnsupportedPort:
    """A service port that this mode cannot carry: the field that asks for it, and why."""

    name: FragmentName
    field: str
    reason: str

    def __str__(self) -> str:
        return f"Service {self.name.namespace}/{self.name.name}: {self.field}: {self.reason}"


@frozen(repr=False)
class ProxyTable(Brief):
    """All that a node's proxy does in one IP family.

    ``ports`` are the proxy ports by listener. The renderer chooses them by ``choice``; a
    running proxy that found one in use has its own. For the next step, ``chosen`` are the
    renderer's in any case, and ``holders`` the same by port. ``fragments`` are those of the
    graph: they say what in the input all of it comes from.
    """

    mode: ClassVar[str] = "userspace"

    settings: NodeSettings
    services: Map[FragmentName, ProxiedPort] = field(default=Map(), repr=False)
    ports: Map[ListenerName, int] = field(default=Map(), repr=False)
    unsupported: tuple[UnsupportedPort, ...] = ()
    choice: PortChoice = DEFAULT_CHOICE
    chosen: Map[ListenerName, int] = field(default=Map(), repr=False, eq=False)
    holders: Map[int, ListenerName] = field(default=Map(), repr=False, eq=False)
    fragments: Map[FragmentName, Fragment] = field(default=Map(), repr=False, eq=False)

    @property
    def family(self) -> IPFamily:
        """The IP family, ``IPv4`` or ``IPv6``."""
        return self.settings.family

    def __iter__(self) -> Iterator[ProxiedPort]:
        """Yield the service ports in the order of their names."""
        for name in sorted(self.services):
            yield self.services[name]

    def origin_of(self, name: ListenerName) -> Origin | None:
        """Return what in the input a listener is there for, None for one that is not wanted."""
        listener = self._listener(name)
        return None if listener is None else self._origin(name.service_port, listener.part)

    def origin_of_endpoint(self, name: ListenerName, backend: Backend) -> Origin | None:
        """Return what a backend of a listener comes from, None for one that it does not have."""
        listener = self._listener(name)
        if listener is None or backend not in listener.backends:
            return None
        target = listener.targets[listener.backends.index(backend)]
        return self._origin(name.service_port, target)

    def origin_of_portal(self, name: FragmentName, portal: Portal) -> Origin | None:
        """Return what a portal of a service port comes from, None if it has no such portal."""
        service = self.services.get(name)
        own = service.portals if service else ()
        return self._origin(name, own[own.index(portal)].part) if portal in own else None

    def _listener(self, name: ListenerName) -> Listener | None:
        service = self.services.get(name.service_port)
        own = service.listeners if service else ()
        return next((listener for listener in own if listener.role == name.role), None)

    def _origin(self, name: FragmentName, part: str) -> Origin | None:
        fragment = self.fragments.get(name)
        return None if fragment is None else fragment.origin_of(part)

    def with_ports(self, ports: Mapping[ListenerName, int]) -> ProxyTable:
        """Return the same table with other proxy ports."""
        return evolve(self, ports=Map(ports))
