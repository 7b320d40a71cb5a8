"""What the whole graph shares: facts and choices of the node that it is made for."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from svcnet.addresses import contains
from svcnet.brief import Brief


@frozen(repr=False)
class LocalDetector(Brief):
    """How a packet from one of this node's pods is told from any other.

    ``value`` is a CIDR for kind ``cidr``, an interface for ``bridge``, the start of
    interface names for ``prefix``, and empty for ``none``: nothing can be told.
    """

    kind: Literal["none", "cidr", "bridge", "prefix"] = "none"
    value: str = ""

    def is_local(self, source: str, interface: str) -> bool:
        """Return whether a packet from `source` that came in by `interface` is a local pod's."""
        match self.kind:
            case "cidr":
                return contains(self.value, source)
            case "bridge":
                return interface == self.value
            case "prefix":
                return bool(interface) and interface.startswith(self.value)
            case _:
                return False


@frozen(repr=False)
class IPVSSettings(Brief):
    """What only IPVS mode asks of a node.

    ``exclude_cidrs`` hold virtual servers that are never removed. ``timeouts`` are
    those of idle TCP connections, of TCP after a FIN, and of UDP, in seconds; 0 leaves
    the kernel's.
    """

    scheduler: str = "rr"
    strict_arp: bool = False
    exclude_cidrs: tuple[str, ...] = ()
    timeouts: tuple[int, int, int] = (0, 0, 0)


@frozen(repr=False)
class NodeSettings(Brief):
    """The node's side of a rule graph, for one IP family.

    ``addresses`` are all of the host's in this family, loopback included.
    ``node_port_addresses`` are those that answer node ports; None means all of them.
    ``localhost_node_ports`` says whether node ports also answer on IPv4 loopback.
    ``masquerade_mark`` is the packet mark, one bit, that asks for masquerading. ``nfacct`` says
    that rules can count packets with the kernel's counters. ``service_cidrs`` are the ranges of
    cluster IPs, in a mode that has rules for those that no Service has.
    """

    family: Literal["IPv4", "IPv6"]
    node_name: str = ""
    node_ip: str = ""
    addresses: tuple[str, ...] = ()
    node_port_addresses: tuple[str, ...] | None = None
    localhost_node_ports: bool = False
    local_detector: LocalDetector = LocalDetector()
    masquerade_mark: int = 1 << 14
    masquerade_all: bool = False
    random_fully: bool = True
    conntrack_tcp_be_liberal: bool = False
    ipvs: IPVSSettings = IPVSSettings()
    nfacct: bool = False
    service_cidrs: tuple[str, ...] = ()

    def answers_node_ports(self, address: str) -> bool:
        """Return whether node ports are served on `address`, an address of this host."""
        if self.node_port_addresses is not None:
            return address in self.node_port_addresses
        if address == "::1":
            return False
        if address.startswith("127."):
            return self.localhost_node_ports
        return self.is_node_address(address)

    def is_node_address(self, address: str) -> bool:
        """Return whether the kernel treats `address` as the host's own (type LOCAL)."""
        return address in self.addresses or address.startswith("127.")
