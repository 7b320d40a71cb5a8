"""What is on the machine, as far as IPVS mode cares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import frozen

from svcnet.executors.ipvs import device, ipsets
from svcnet.executors.ipvs.device import Device
from svcnet.executors.ipvs.kernel import IPVS
from svcnet.executors.ipvs.names import all_sets, draining
from svcnet.executors.ipvs.reals import Listing, Place, Real, real_of
from svcnet.netfilter import SavedTables as ObservedTables
from svcnet.netfilter.ipset import ObservedSet
from svcnet.netfilter.ipvs.messages import (
    MADE_BY_SVCNET,
    Service,
    Timeouts,
)
from svcnet.renderers.ipvs import ServerKey
from svcnet.renderers.ipvs.sections import RESIZED
from svcnet.renderers.ipvs.sets import (
    CLUSTER_IP,
    EXTERNAL_IP,
    EXTERNAL_IP_LOCAL,
    LOAD_BALANCER,
)

_PORTALS = (CLUSTER_IP, EXTERNAL_IP, EXTERNAL_IP_LOCAL, LOAD_BALANCER)
SYS = Path("/proc/sys")


@frozen
class Observed:
    """The state of one IP family in this network namespace.

    ``services`` are all virtual servers, ``reals`` their real servers, ``sets`` those of
    ours that exist, ``sysctls`` the values of paths below /proc/sys, None for one that
    the kernel does not have.
    """

    family: str
    services: Mapping[ServerKey, Service]
    reals: Listing
    sets: Mapping[str, ObservedSet]
    device: Device | None
    tables: ObservedTables
    sysctls: Mapping[str, int | None]
    timeouts: Timeouts

    def entries(self, name: str) -> frozenset[str]:
        """Return the entries of a set of ours, none if it does not exist."""
        found = self.sets.get(name)
        return found.entries if found else frozenset()

    def owns(self, key: ServerKey) -> bool:
        """Return whether svcnet made a virtual server that is there.

        It says so itself, by a flag. One that another program has edited since has lost
        that flag; its entry in a set of ours still tells.
        """
        if self.services[key].flags & MADE_BY_SVCNET:
            return True
        portal = f"{key.address},{key.protocol.lower()}:{key.port}"
        return any(portal in self.entries(each.name_in(self.family)) for each in _PORTALS)

    def is_draining(self, entry: str) -> bool:
        """Return whether a real server may still wait for its connections to end."""
        return entry in self.entries(draining(self.family))

    def real_servers(self, key: ServerKey) -> Mapping[Place, Real]:
        """Return the real servers of a virtual server that is there."""
        return self.reals.get(key, {})


def observe(family: str, tables: ObservedTables, sysctls: Iterable[str], ipvs: IPVS) -> Observed:
    """Return the state of this network namespace. Raises ApplyError.

    `tables` are the iptables rules, and `sysctls` names the settings to read.
    """
    protocols = ("TCP", "UDP", "SCTP")
    services = {
        key_of(service): service
        for service in ipvs.services()
        if service.family == family and not service.fwmark and service.protocol in protocols
    }
    return Observed(
        family=family,
        services=services,
        reals={key: dict(map(real_of, ipvs.dests(each))) for key, each in services.items()},
        sets=ipsets.save((*all_sets(family), RESIZED)),
        device=device.observe(family),
        tables=tables,
        sysctls={path: read_sysctl(path) for path in sysctls},
        timeouts=ipvs.timeouts(),
    )


def key_of(service: Service) -> ServerKey:
    """Return the renderer's key of a virtual server that has an address."""
    return ServerKey(service.address, service.port, service.protocol)


def read_sysctl(path: str) -> int | None:
    """Return the value of a setting, None if the kernel does not have it."""
    try:
        return int((SYS / path).read_text())
    except (OSError, ValueError):
        return None
