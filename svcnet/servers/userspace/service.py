"""A service port at work: its backends with their counts, pools by listener, and affinity."""

from __future__ import annotations

from attrs import define, field

from svcnet.renderers.userspace.table import Backend, ProxiedPort, Role
from svcnet.servers.userspace.admission import Service
from svcnet.servers.userspace.balancer import ActiveBackend, Affinity, Pool


@define(eq=False)
class ServedPort:
    """What the listeners of one service port share; ``owner`` is the Service.

    Counted is what there was no room for: connections that were ``refused``, since their source
    had too many, how often more ``waited``, and flows that were ``displaced`` by others.
    """

    config: ProxiedPort
    owner: Service = field(init=False)
    targets: dict[Backend, ActiveBackend] = field(factory=dict)
    pools: dict[Role, Pool] = field(factory=dict)
    affinity: Affinity = field(factory=Affinity)
    proxy_protocol: bool = False
    refused: int = 0
    waited: int = 0
    displaced: int = 0

    def __attrs_post_init__(self) -> None:
        self.owner = (self.config.name.namespace, self.config.name.name)
        self.change(self.config)

    def change(self, config: ProxiedPort) -> frozenset[ActiveBackend]:
        """Follow the table; return the targets that went.

        Backends that stay keep their counts. A pool whose backends are the same goes on
        where it was.
        """
        wanted = {backend for listener in config.listeners for backend in listener.backends}
        gone = frozenset(self.targets[backend] for backend in self.targets.keys() - wanted)
        self.targets = {
            backend: self.targets.get(backend) or ActiveBackend(backend)
            for backend in sorted(wanted)
        }
        for listener in config.listeners:
            targets = tuple(self.targets[backend] for backend in listener.backends)
            pool = self.pools.get(listener.role)
            if pool is None or pool.targets != targets:
                self.pools[listener.role] = Pool(targets)
        self.affinity.timeout = config.affinity
        self.proxy_protocol = config.proxy_protocol
        self.config = config
        return gone

    @property
    def active(self) -> int:
        """How many connections or flows are open."""
        return sum(target.active for target in self.targets.values())

    def choose(self, client: str, role: Role, now: float) -> ActiveBackend | None:
        """Return the backend for a new connection of `client`, None when there is none."""
        pool = self.pools[role]
        if self.affinity.timeout:
            return self.affinity.choose(client, pool, now)
        return pool.next()
