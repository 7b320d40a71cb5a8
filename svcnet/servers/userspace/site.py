"""What all connections and flows of one engine share."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from attrs import field, frozen

from svcnet.family import IPFamily
from svcnet.renderers.userspace.table import ServicePortName
from svcnet.servers.userspace.budget import FileBudget
from svcnet.servers.userspace.loop import EventLoop
from svcnet.servers.userspace.service import ServedPort
from svcnet.servers.userspace.sockets import ADDRESSES
from svcnet.servers.userspace.statistics import Refusals


class Overflow:
    """The service ports that were asked for more than there was room for."""

    def __init__(self) -> None:
        self._services: dict[ServicePortName, ServedPort] = {}

    def note(self, service: ServedPort) -> ServedPort:
        """Return `service`, which is one of them from now on."""
        self._services[service.config.name] = service
        return service

    def forget(self, name: ServicePortName) -> None:
        """Know nothing of a service port that is served no more."""
        self._services.pop(name, None)

    def refusals(self) -> Mapping[ServicePortName, Refusals]:
        """Return what there was no room for, of service ports where that is anything."""
        return {
            name: Refusals(
                refused=service.refused,
                waited=service.waited,
                displaced=service.displaced,
                open=service.active,
            )
            for name, service in self._services.items()
        }


@frozen
class Site:
    """Where an engine serves: its loop and IP family, and what it may have at a time."""

    loop: EventLoop
    family: IPFamily
    budget: FileBudget
    overflow: Overflow = field(factory=Overflow)
    address_family: socket.AddressFamily = field(init=False)

    @address_family.default
    def _address_family(self) -> socket.AddressFamily:
        return ADDRESSES[self.family]
