"""What the IPVS renderer makes: everything a node has in this mode, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from socket import AF_INET, AF_INET6, inet_pton
from typing import ClassVar

from attrs import field, frozen
from immutables import Map

from svcnet.brief import Brief
from svcnet.family import IPFamily
from svcnet.graph import FragmentName, NodeSettings, Origin
from svcnet.netfilter.ipvs import ipvsadm
from svcnet.renderers.ipvs.origins import Cause, Subject, causes, subject
from svcnet.renderers.ipvs.part import (
    Entry,
    HealthCheckPort,
    Part,
    RealServer,
    ServerKey,
    VirtualServer,
)
from svcnet.renderers.ipvs.rules import restore_text
from svcnet.renderers.ipvs.sets import IPVS_IPS, SETS, IPSet, SetDefinition

DUMMY_DEVICE = "kube-ipvs0"


@frozen(repr=False)
class IPVSTables(Brief):
    """A whole sync in IPVS mode, for one IP family.

    It is kept as the ``parts`` that service ports add, with counts that make the next
    step as cheap as its change: ``claims`` are the service ports that have a virtual
    server, nearly always one, in order; ``uses`` are how many have an entry of a set,
    and ``sizes`` how many entries a set has, if any.
    """

    mode: ClassVar[str] = "ipvs"

    settings: NodeSettings
    parts: Map[FragmentName, Part] = field(repr=False)
    claims: Map[ServerKey, tuple[FragmentName, ...]] = field(repr=False)
    uses: Map[Entry, int] = field(repr=False)
    sizes: Map[SetDefinition, int] = field(repr=False)

    @property
    def family(self) -> IPFamily:
        """The IP family, ``IPv4`` or ``IPv6``."""
        return self.settings.family

    def server(self, key: ServerKey) -> VirtualServer | None:
        """Return the virtual server of a key; of several service ports' the last one's."""
        names = self.claims.get(key)
        return None if names is None else self.parts[names[-1]].server(key)

    def origin_of(self, key: ServerKey) -> Origin | None:
        """Return what in the input caused a virtual server, None for one that is not wanted."""
        names = self.claims.get(key)
        if names is None:
            return None
        part = self.parts[names[-1]]
        return part.fragment.origin_of(part.server(key).part)

    def origin_of_endpoint(self, key: ServerKey, address: str, port: int) -> Origin | None:
        """Return what caused a real server of a virtual server, None for one not wanted there."""
        names = self.claims.get(key)
        if names is None:
            return None
        part = self.parts[names[-1]]
        server = part.server(key)
        targets = zip(server.real_servers, server.targets, strict=True)
        found = (target for real, target in targets if real[:2] == (address, port))
        target = next(found, None)
        return None if target is None else part.fragment.origin_of(target)

    def origin_of_line(self, line: str) -> Origin | None:
        """Return what caused a line for ipset, ipvsadm, ``ip -batch`` or iptables-restore.

        None for lines that no Service caused. An entry of a set or an address that several
        service ports have is told of the first by name.
        """
        if named := ipvsadm.read(line):
            key = ServerKey(named.server.address, named.server.port, named.protocol)
            if named.real is None:
                return self.origin_of(key)
            return self.origin_of_endpoint(key, named.real.address, named.real.port)
        cause = self._causes.get(subject(line, self.family))
        if cause is None:
            return None
        name, part = cause
        return self.parts[name].fragment.origin_of(part)

    @cached_property
    def _causes(self) -> Mapping[Subject, Cause]:
        """What each entry of a set, address and rule is written for."""
        found: dict[Subject, Cause] = {}
        for part in self._in_order():
            for key, cause in causes(part, self.family):
                found.setdefault(key, cause)
        return found

    @cached_property
    def servers(self) -> Mapping[ServerKey, VirtualServer]:
        """Every virtual server, in the order of the service ports."""
        return {server.key: server for part in self._in_order() for server in part.servers}

    @cached_property
    def sets(self) -> Mapping[SetDefinition, IPSet]:
        """Every set, also the empty ones."""
        found: dict[SetDefinition, list[str]] = {definition: [] for definition in SETS}
        for definition, entry in self.uses:
            found[definition].append(entry)
        return {
            definition: IPSet(definition, self.family, tuple(sorted(entries)))
            for definition, entries in found.items()
        }

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of the dummy device, in text order."""
        return self.sets[IPVS_IPS].entries

    @cached_property
    def restore_text(self) -> str:
        """The text for ``iptables-restore --noflush``."""
        rules = [f"-A {r.chain} {r.text}" for part in self._in_order() for r in part.out_filter]
        return restore_text(self.settings, self.sizes, rules)

    @property
    def health_checks(self) -> tuple[HealthCheckPort, ...]:
        """The health-check node ports; ports of one Service count its endpoints together."""
        found: dict[tuple[str, int], frozenset[str]] = {}
        for part in self._in_order():
            check = part.health_check
            if check is not None:
                key = (check.service, check.port)
                found[key] = found.get(key, frozenset()) | check.local_endpoints
        return tuple(HealthCheckPort(name, port, ends) for (name, port), ends in found.items())

    @property
    def sysctls(self) -> Mapping[str, int]:
        """The kernel settings that this mode needs, as paths below /proc/sys."""
        return sysctls(self.settings)

    def _in_order(self) -> Iterator[Part]:
        for name in sorted(self.parts):
            yield self.parts[name]


def sysctls(settings: NodeSettings) -> dict[str, int]:
    """Return the kernel settings of IPVS mode, as paths below /proc/sys, in text order.

    ``vs/conntrack`` lets iptables masquerade what IPVS balances. The two ``expire``
    settings end connections, and the memory of clients, at once when their endpoint
    is gone. For ``arp_ignore`` and ``arp_announce`` see strictARP.
    """
    found = {
        "net/ipv4/ip_forward": 1,
        "net/ipv4/vs/conntrack": 1,
        "net/ipv4/vs/expire_nodest_conn": 1,
        "net/ipv4/vs/expire_quiescent_template": 1,
    }
    if settings.ipvs.strict_arp:
        found["net/ipv4/conf/all/arp_ignore"] = 1
        found["net/ipv4/conf/all/arp_announce"] = 2
    if settings.conntrack_tcp_be_liberal:
        found["net/netfilter/nf_conntrack_tcp_be_liberal"] = 1
    return dict(sorted(found.items()))


def by_address(server: ServerKey | RealServer) -> tuple[bytes, int, ServerKey | RealServer]:
    """Return what sorts servers as numbers: by address, then by port, then by the rest."""
    family = AF_INET6 if ":" in server.address else AF_INET
    return inet_pton(family, server.address), server.port, server
