"""What the IPVS renderer makes: everything a node has in this mode, as values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from socket import AF_INET, AF_INET6, inet_pton

from attrs import field, frozen

from svcnet.graph import FragmentName, NodeSettings
from svcnet.renderers.ipvs.part import HealthCheck, Part, ServerKey, VirtualServer
from svcnet.renderers.ipvs.rules import restore_text
from svcnet.renderers.ipvs.sets import IPVS_IPS, SETS, IPSet, SetDefinition

DUMMY_DEVICE = "kube-ipvs0"


@frozen
class IPVSTables:
    """A whole sync in IPVS mode, for one IP family, kept in the parts it was made from."""

    settings: NodeSettings
    parts: Mapping[FragmentName, Part] = field(repr=False)

    @property
    def family(self) -> str:
        """The IP family, ``IPv4`` or ``IPv6``."""
        return self.settings.family

    @cached_property
    def servers(self) -> Mapping[ServerKey, VirtualServer]:
        """Every virtual server; of two service ports with the same one, the later wins."""
        return {server.key: server for part in self.parts.values() for server in part.servers}

    @cached_property
    def sets(self) -> Mapping[SetDefinition, IPSet]:
        """Every set, also the empty ones."""
        found: dict[SetDefinition, set[str]] = {definition: set() for definition in SETS}
        for part in self.parts.values():
            for definition, entry in part.entries:
                found[definition].add(entry)
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
        filled = {definition for definition, found in self.sets.items() if found.entries}
        rules = [rule for part in self.parts.values() for rule in part.out_filter]
        return restore_text(self.settings, filled, rules)

    @property
    def health_checks(self) -> tuple[HealthCheck, ...]:
        """The health-check node ports; ports of one Service count its endpoints together."""
        found: dict[tuple[str, int], frozenset[str]] = {}
        for part in self.parts.values():
            check = part.health_check
            if check is not None:
                key = (check.service, check.port)
                found[key] = found.get(key, frozenset()) | check.local_endpoints
        return tuple(HealthCheck(name, port, ends) for (name, port), ends in found.items())

    @property
    def sysctls(self) -> Mapping[str, int]:
        """The kernel settings that this mode needs, as paths below /proc/sys."""
        return sysctls(self.settings)


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


def by_address(address: str, *rest: int | str) -> tuple[bytes | int | str, ...]:
    """Return what sorts servers as numbers: the address first, then the rest."""
    return (inet_pton(AF_INET6 if ":" in address else AF_INET, address), *rest)
