"""What is on a machine, as far as IPVS mode cares, and whether it may have changed."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path

from attrs import frozen

from svcnet.errors import ApplyError
from svcnet.executors.ipvs import device, sets
from svcnet.executors.ipvs.device import Device
from svcnet.executors.ipvs.servers import IPVS, Real, real_of
from svcnet.executors.ipvs.sets import all_sets
from svcnet.executors.machine import Machine
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.family import IPFamily
from svcnet.netfilter import SavedTables as ObservedTables
from svcnet.netfilter.ipset import ObservedSet
from svcnet.netfilter.ipvs.messages import (
    MADE_BY_SVCNET,
    DestKey,
    IPVSService,
    Timeouts,
)
from svcnet.renderers.ipvs import IPVSTables, ServerKey
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
class IPVSState:
    """The state of one IP family in a machine's network namespace.

    ``services`` are all virtual servers, ``reals`` their real servers, ``sets`` those of
    ours that exist, ``sysctls`` the values of paths below /proc/sys, None for one that
    the kernel does not have.
    """

    family: IPFamily
    services: Mapping[ServerKey, IPVSService]
    reals: Mapping[ServerKey, Mapping[DestKey, Real]]
    sets: Mapping[str, ObservedSet]
    device: Device | None
    tables: ObservedTables
    sysctls: Mapping[str, int | None]
    timeouts: Timeouts

    def entries(self, name: str) -> frozenset[str]:
        """Return the entries of a set of ours, none if it does not exist."""
        return sets.entries_in(self.sets, name)

    def owns(self, key: ServerKey) -> bool:
        """Return whether svcnet made a virtual server that is there.

        It says so itself, by a flag. One that another program has edited since has lost
        that flag; its entry in a set of ours still tells.
        """
        if self.services[key].flags & MADE_BY_SVCNET:
            return True
        portal = f"{key.address},{key.protocol.lower()}:{key.port}"
        return any(portal in self.entries(each.name_in(self.family)) for each in _PORTALS)

    def real_servers(self, key: ServerKey) -> Mapping[DestKey, Real]:
        """Return the real servers of a virtual server that is there."""
        return self.reals.get(key, {})

    @property
    def own_services(self) -> list[IPVSService]:
        """The virtual servers that svcnet made."""
        return [service for key, service in self.services.items() if self.owns(key)]


def observe(
    family: IPFamily, tables: ObservedTables, sysctls: Iterable[str], ipvs: IPVS
) -> IPVSState:
    """Return the state of the network namespace that `ipvs` speaks with. Raises ApplyError.

    `tables` are the iptables rules, and `sysctls` names the settings to read.
    """
    protocols = ("TCP", "UDP", "SCTP")
    services = {
        key_of(service): service
        for service in ipvs.services()
        if service.family == family and not service.fwmark and service.protocol in protocols
    }
    return IPVSState(
        family=family,
        services=services,
        reals={
            key: {real.dest.key: real_of(real) for real in ipvs.dests(each)}
            for key, each in services.items()
        },
        sets=sets.save(ipvs.machine, (*all_sets(family), RESIZED)),
        device=device.observe(ipvs.machine, family),
        tables=tables,
        sysctls={path: read_sysctl(ipvs.machine, path) for path in sysctls},
        timeouts=ipvs.timeouts(),
    )


def key_of(service: IPVSService) -> ServerKey:
    """Return the renderer's key of a virtual server that has an address."""
    return ServerKey(service.address, service.port, service.protocol)


def read_sysctl(machine: Machine, path: str) -> int | None:
    """Return the value of a setting, None if the kernel does not have it."""
    try:
        return int(machine.read(SYS / path))
    except (OSError, ValueError):
        return None


def mark(artifact: IPVSTables, *, machine: Machine = THIS_MACHINE) -> Hashable | None:
    """Return a mark of what is there: equal marks mean that nobody changed anything.

    It covers the virtual servers of the artifact's family with their real servers, the sets
    of svcnet, the dummy device with its addresses, and the kernel's settings. What counts
    packets, connections or seconds is left out; but it counts whether an endpoint that drains is
    still needed. None if it cannot be told, because something changes just now.
    """
    family = artifact.family
    try:
        with IPVS(machine) as ipvs:
            servers = [each for each in ipvs.configurations() if each.family == family]
            return (
                _digest(part for each in servers for part in (each.settings, *ipvs.settings(each))),
                ipvs.timeouts(),
                _digest(sets.mark(machine, family)),
                device.mark(machine, family),
                tuple(read_sysctl(machine, path) for path in artifact.sysctls),
            )
    except (OSError, ValueError, ApplyError):
        return None


def _digest(parts: Iterable[bytes]) -> bytes:
    return blake2b(b"\n".join(parts)).digest()
