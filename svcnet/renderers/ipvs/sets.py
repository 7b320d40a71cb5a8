"""The ipsets of IPVS mode: with them a handful of rules speaks of every Service.

Names, types and comments are those of pkg/proxy/ipvs/ipset.go of Kubernetes v1.36.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from attrs import frozen

from svcnet.family import IPFamily

SetType = Literal["hash:ip", "hash:ip,port", "hash:ip,port,ip", "hash:ip,port,net", "bitmap:port"]


class SetDefinition(NamedTuple):
    """One set: its name in IPv4, its type, and what its rules' comments say."""

    name: str
    type: SetType
    comment: str

    def name_in(self, family: IPFamily) -> str:
        """Return the set's name in a family; the kernel's limit of 31 letters cuts it."""
        return self.name if family == "IPv4" else self.name.replace("KUBE-", "KUBE-6-", 1)[:31]


CLUSTER_IP = SetDefinition(
    "KUBE-CLUSTER-IP",
    "hash:ip,port",
    "Kubernetes service cluster ip + port for masquerade purpose",
)
EXTERNAL_IP = SetDefinition(
    "KUBE-EXTERNAL-IP",
    "hash:ip,port",
    "Kubernetes service external ip + port for masquerade and filter purpose",
)
EXTERNAL_IP_LOCAL = SetDefinition(
    "KUBE-EXTERNAL-IP-LOCAL",
    "hash:ip,port",
    "Kubernetes service external ip + port with externalTrafficPolicy=local",
)
HEALTH_CHECK_NODE_PORT = SetDefinition(
    "KUBE-HEALTH-CHECK-NODE-PORT", "bitmap:port", "Kubernetes health check node port"
)
IPVS_IPS = SetDefinition("KUBE-IPVS-IPS", "hash:ip", "Addresses on the ipvs interface")
LOAD_BALANCER = SetDefinition("KUBE-LOAD-BALANCER", "hash:ip,port", "Kubernetes service lb portal")
LOAD_BALANCER_FW = SetDefinition(
    "KUBE-LOAD-BALANCER-FW",
    "hash:ip,port",
    "Kubernetes service load balancer ip + port for load balancer with sourceRange",
)
LOAD_BALANCER_LOCAL = SetDefinition(
    "KUBE-LOAD-BALANCER-LOCAL",
    "hash:ip,port",
    "Kubernetes service load balancer ip + port with externalTrafficPolicy=local",
)
LOAD_BALANCER_SOURCE_CIDR = SetDefinition(
    "KUBE-LOAD-BALANCER-SOURCE-CIDR",
    "hash:ip,port,net",
    "Kubernetes service load balancer ip + port + source cidr for packet filter purpose",
)
LOAD_BALANCER_SOURCE_IP = SetDefinition(
    "KUBE-LOAD-BALANCER-SOURCE-IP",
    "hash:ip,port,ip",
    "Kubernetes service load balancer ip + port + source IP for packet filter purpose",
)
LOOP_BACK = SetDefinition(
    "KUBE-LOOP-BACK",
    "hash:ip,port,ip",
    "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose",
)
NODE_PORT_LOCAL_SCTP = SetDefinition(
    "KUBE-NODE-PORT-LOCAL-SCTP-HASH",
    "hash:ip,port",
    "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'",
)
NODE_PORT_LOCAL_TCP = SetDefinition(
    "KUBE-NODE-PORT-LOCAL-TCP",
    "bitmap:port",
    "Kubernetes nodeport TCP port with externalTrafficPolicy=local",
)
NODE_PORT_LOCAL_UDP = SetDefinition(
    "KUBE-NODE-PORT-LOCAL-UDP",
    "bitmap:port",
    "Kubernetes nodeport UDP port with externalTrafficPolicy=local",
)
NODE_PORT_SCTP = SetDefinition(
    "KUBE-NODE-PORT-SCTP-HASH",
    "hash:ip,port",
    "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'",
)
NODE_PORT_TCP = SetDefinition(
    "KUBE-NODE-PORT-TCP", "bitmap:port", "Kubernetes nodeport TCP port for masquerade purpose"
)
NODE_PORT_UDP = SetDefinition(
    "KUBE-NODE-PORT-UDP", "bitmap:port", "Kubernetes nodeport UDP port for masquerade purpose"
)

SETS = (
    CLUSTER_IP,
    EXTERNAL_IP,
    EXTERNAL_IP_LOCAL,
    HEALTH_CHECK_NODE_PORT,
    IPVS_IPS,
    LOAD_BALANCER,
    LOAD_BALANCER_FW,
    LOAD_BALANCER_LOCAL,
    LOAD_BALANCER_SOURCE_CIDR,
    LOAD_BALANCER_SOURCE_IP,
    LOOP_BACK,
    NODE_PORT_LOCAL_SCTP,
    NODE_PORT_LOCAL_TCP,
    NODE_PORT_LOCAL_UDP,
    NODE_PORT_SCTP,
    NODE_PORT_TCP,
    NODE_PORT_UDP,
)
"""Every set, in the order of the names."""

NODE_PORT_SETS = {
    "TCP": (NODE_PORT_TCP, NODE_PORT_LOCAL_TCP),
    "UDP": (NODE_PORT_UDP, NODE_PORT_LOCAL_UDP),
    "SCTP": (NODE_PORT_SCTP, NODE_PORT_LOCAL_SCTP),
}
"""For each protocol the set of all its node ports, and that of those with policy Local."""

HASH_SIZE = 1024
MAX_ELEMENTS = 65536


def max_elements(entries: int) -> int:
    """Return the bound of a set with so many entries: kube-proxy's, doubled until all fit."""
    bound = MAX_ELEMENTS
    while bound < entries:
        bound *= 2
    return bound


@frozen
class IPSet:
    """One set with its entries, as text that ipset takes, in text order."""

    definition: SetDefinition
    family: IPFamily
    entries: tuple[str, ...]

    @property
    def name(self) -> str:
        """The set's name in its family."""
        return self.definition.name_in(self.family)

    @property
    def max_elements(self) -> int:
        """How many entries the kernel lets in; see :func:`max_elements`."""
        return max_elements(len(self.entries))

    @property
    def options(self) -> str:
        """What ``ipset create`` takes after the type."""
        if self.definition.type == "bitmap:port":
            return "range 0-65535"
        family = "inet6" if self.family == "IPv6" else "inet"
        return f"family {family} hashsize {HASH_SIZE} maxelem {self.max_elements}"
