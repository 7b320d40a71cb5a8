"""Which backend is next: in turn, or the one that a client had before.

The rules are those of Kubernetes's userspace proxy (pkg/proxy/userspace/roundrobin.go), but
endpoints keep the order of the table, and a client's affinity has the timeout that its
Service has now.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from attrs import define, field

from svcnet.renderers.userspace.table import Backend

REMEMBERED_CLIENTS = 1 << 16


@define(eq=False)
class ActiveBackend:
    """A backend at work, with what was counted for it; bytes go ``up`` to it and ``down``.

    ``address`` is as the socket module wants it.
    """

    backend: Backend
    address: tuple[str, int] = field(init=False)
    connections: int = 0
    active: int = 0
    failed: int = 0
    up: int = 0
    down: int = 0

    @address.default
    def _address(self) -> tuple[str, int]:
        return (self.backend.address, self.backend.port)


class Pool:
    """Backends that take turns."""

    __slots__ = ("_next", "members", "targets")

    def __init__(self, targets: Iterable[ActiveBackend]) -> None:
        self.targets = tuple(targets)
        self.members = frozenset(self.targets)
        self._next = 0

    def next(self) -> ActiveBackend | None:
        """Return the next backend, None when there is none."""
        targets = self.targets
        if not targets:
            return None
        number = self._next
        if number >= len(targets):
            number = 0
        self._next = number + 1
        return targets[number]


@define(eq=False)
class Affinity:
    """Which backend each client of a service port had, and when last; ``timeout`` in seconds.

    The clients that were away longest go first, when they are due and when there are
    too many: senders of datagrams can invent addresses.
    """

    timeout: int = 0
    _clients: OrderedDict[str, tuple[ActiveBackend, float]] = field(factory=OrderedDict)

    def choose(self, client: str, pool: Pool, now: float) -> ActiveBackend | None:
        """Return the client's backend, or the next one, which is then the client's."""
        target = self._recall(client, pool, now) or pool.next()
        if target is not None:
            self._remember(client, target, now)
        return target

    def forget(self, client: str) -> None:
        """Let a client have another backend the next time."""
        self._clients.pop(client, None)

    def _recall(self, client: str, pool: Pool, now: float) -> ActiveBackend | None:
        found = self._clients.get(client)
        if found is None:
            return None
        target, used = found
        return target if now - used < self.timeout and target in pool.members else None

    def _remember(self, client: str, target: ActiveBackend, now: float) -> None:
        clients = self._clients
        clients[client] = (target, now)
        clients.move_to_end(client)
        while clients:
            oldest, (_, used) = next(iter(clients.items()))
            if now - used < self.timeout and len(clients) <= REMEMBERED_CLIENTS:
                break
            del clients[oldest]
