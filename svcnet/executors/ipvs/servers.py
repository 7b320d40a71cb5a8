"""Changes of virtual servers: from what is there to what is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from svcnet.executors.ipvs.excluded import Excluded
from svcnet.executors.ipvs.names import draining
from svcnet.executors.ipvs.observe import Observed
from svcnet.executors.ipvs.reals import Place, Real, Settings
from svcnet.netfilter import ipset
from svcnet.netfilter.ipvs.messages import (
    HASHED,
    DelDest,
    DelService,
    Dest,
    Message,
    NewDest,
    NewService,
    Service,
    SetDest,
    SetService,
)
from svcnet.renderers.ipvs import IPVSTables, RealServer, ServerKey, VirtualServer
from svcnet.renderers.ipvs.program import dest_of, service_of


class ServerChanges:
    """The messages that put virtual servers right, and the entries of those that drain."""

    def __init__(self, drain: int) -> None:
        self.messages: list[Message] = []
        self.drained: list[SetDest] = []
        self.ended: list[DelDest] = []
        self._drain = drain
        self._draining: list[str] = []

    def entries(self, family: str) -> list[str]:
        name = draining(family)
        return [ipset.add(name, ipset.numbered(entry), self._drain) for entry in self._draining]

    def change(
        self,
        wanted: VirtualServer,
        there: Service | None,
        reals: Mapping[Place, Real],
        observed: Observed | None,
    ) -> None:
        """Add what takes a virtual server from what is `there` to what is `wanted`."""
        service = service_of(wanted)
        if there is None:
            self.messages.append(NewService(service))
        elif _differs(service, there):
            self.messages.append(SetService(service))
        self.messages += [
            message
            for real in wanted.real_servers
            for message in _real_server(service, real, reals.get(Place(real.address, real.port)))
        ]
        kept = {(real.address, real.port) for real in wanted.real_servers}
        for place, real in reals.items():
            if place not in kept:
                self._remove(service, place, real, observed)

    def _remove(
        self, service: Service, place: Place, real: Real, observed: Observed | None
    ) -> None:
        """Take a real server away: one of TCP takes no more connections first.

        Datagrams have no end to wait for (https://issue.k8s.io/76664). Scheduler dh goes on
        sending its clients to a server that takes none. One of the other family, which somebody
        put there by hand, only a tunnel leads to: the kernel takes no weight for it otherwise.
        """
        entry = f"{place.address},tcp:{place.port},{service.address}"
        dest = Dest(place.address, place.port, 0)
        is_of_family = (":" in place.address) == (":" in service.address)
        may_drain = service.protocol == "TCP" and service.scheduler != "dh" and is_of_family
        drains = may_drain and self._drain
        if drains and real.settings.weight:
            self._draining.append(entry)
            self.drained.append(SetDest(service, dest))
            self.messages.append(self.drained[-1])
        elif not (drains and real.connections and observed and observed.is_draining(entry)):
            gone = DelDest(service, dest)
            self.messages.append(gone)
            if drains:
                self.ended.append(gone)


def _real_server(service: Service, wanted: RealServer, there: Real | None) -> Iterator[Message]:
    if there is None:
        yield NewDest(service, dest_of(wanted))
    elif there.settings != Settings(wanted.weight):
        yield SetDest(service, dest_of(wanted))


def _differs(wanted: Service, there: Service) -> bool:
    """Whether anything of a virtual server but the kernel's own mark is other than wanted."""
    return (
        there.scheduler != wanted.scheduler
        or there.flags & ~HASHED != wanted.flags
        or there.timeout != wanted.timeout
        or there.netmask != wanted.netmask
        or there.pe_name != wanted.pe_name
    )


def foreign_servers(wanted: IPVSTables, observed: Observed) -> set[ServerKey]:
    """Return the wanted virtual servers that are there already and others' work."""
    there = wanted.servers.keys() & observed.services.keys()
    return {key for key in there if not observed.owns(key)}


def unwanted_servers(wanted: IPVSTables, observed: Observed, kept: Excluded) -> Iterator[Message]:
    """Delete the virtual servers that svcnet made and that are not wanted."""
    for key, service in observed.services.items():
        if key not in wanted.servers and observed.owns(key) and key.address not in kept:
            yield DelService(service)
