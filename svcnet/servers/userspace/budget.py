"""What one process may have at a time, whatever the families it serves."""

from __future__ import annotations

from collections.abc import Callable

from svcnet.renderers.userspace.table import ServicePortName
from svcnet.servers.userspace.admission import Admission, Service
from svcnet.servers.userspace.crowd import Crowd, Member
from svcnet.servers.userspace.limits import limits
from svcnet.servers.userspace.pipes import Carriers

UDP_FLOWS = 1 << 14


class FileBudget:
    """Connections, flows and pipes of a process, as many as `files` are enough for.

    ``most_flows`` is how many flows of datagrams there may be however many files there are.
    What is ``waiting`` is called when there may be room that there was not before.
    """

    def __init__(self, files: int, most_flows: int = UDP_FLOWS) -> None:
        self.most_flows = most_flows
        self._files = files
        self._ports = {"TCP": 0, "UDP": 0}
        self._listeners = 0
        self.connections = Admission(0)
        self.flows: Crowd[Member] = Crowd(0)
        self.carriers = Carriers()
        self.waiting: dict[Callable[[], None], None] = {}
        self.fit()

    def join(self, name: ServicePortName) -> None:
        """Hear of a service port that is served from now on."""
        self._ports[name.protocol] += 1
        if name.protocol == "TCP":
            self.connections.join(service_of(name))

    def leave(self, name: ServicePortName) -> None:
        """Hear of one that is served no more."""
        self._ports[name.protocol] -= 1
        if name.protocol == "TCP":
            self.connections.leave(service_of(name))

    def listen(self, number: int) -> None:
        """Hear of so many listeners more, or less."""
        self._listeners += number

    def fit(self) -> None:
        """Divide the files anew, after service ports and listeners have come and gone."""
        found = limits(
            max(self._files - self._listeners, 0),
            self.most_flows,
            streams=self._ports["TCP"] > 0,
            datagrams=self._ports["UDP"] > 0,
        )
        self.connections.capacity = found.connections
        self.flows.limit = found.flows
        self.carriers.most = found.pipes
        self.wake()

    def wake(self) -> None:
        """Have those who wait for room look for it."""
        for wake in self.waiting:
            wake()


def service_of(name: ServicePortName) -> Service:
    """Return whose connections those of a service port are."""
    return (name.namespace, name.name)
