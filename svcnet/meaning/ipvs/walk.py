"""The way of packets through the tables and past the balancer between them.

Source: Linux ``net/netfilter/ipvs/ip_vs_core.c`` (``ip_vs_ops4``: behind the filter's INPUT and
before nat's, behind nat's OUTPUT; ``ip_vs_leave``) and ``ip_vs_xmit.c`` (``ip_vs_nat_xmit``: what
is sent on meets OUTPUT, with a connection that nat's OUTPUT has seen already).
"""

from __future__ import annotations

from svcnet.meaning.ends import PacketGroup
from svcnet.meaning.facts import OWN
from svcnet.meaning.flow import Balancer, Branch, Leaf, PacketHead
from svcnet.meaning.iptables.walk import AFTER_ROUTING, INTO_NODE, OUT_OF_NODE, Walk, WalkRules
from svcnet.meaning.ipvs.servers import KernelDest, KernelServer, KernelServers


class IPVSWalk(Walk):
    """Packets of some senders to one destination, of one protocol, past ``servers``."""

    def __init__(self, packets: PacketGroup, rules: WalkRules, servers: KernelServers) -> None:
        super().__init__(packets, rules)
        self.servers = servers

    def _route(self, flow: Branch, leaves: list[Leaf]) -> None:
        """Add how packets end of which the kernel decides now which way they go."""
        if self.is_node:
            self._meet_balancer(flow, leaves, is_node=True)
        elif self.facts.is_local(flow.header.address):
            for each in self._hooks(INTO_NODE[:3], [flow], leaves):
                self._meet_balancer(each, leaves, is_node=False)
        else:
            super()._route(flow, leaves)

    def _meet_balancer(self, flow: Branch, leaves: list[Leaf], *, is_node: bool) -> None:
        """Add how packets end that the balancer sees."""
        header = flow.header
        server = None
        if self.state == "NEW":
            for address in self.facts.addresses if header.address == OWN else (header.address,):
                server = self.servers.find(header.mark, address, self.protocol, header.port)
                if server is not None:
                    break
        if server is not None and header.address == OWN:
            # Nobody says whether it is that address.
            leaves.append(Leaf("unknown", flow, server.saved))
            return
        if server is not None:
            self._balance(server, flow, leaves, is_node=is_node)
        elif is_node:
            leaves += self._rest(flow, is_node=True)
        else:
            self._arrive(flow, leaves)

    def _arrive(self, flow: Branch, leaves: list[Leaf]) -> None:
        """Add how packets end that are for a process of the node."""
        flows = self._hooks(INTO_NODE[3:], [flow], leaves)
        leaves += [Leaf("deliver" if each.header.is_translated else "pass", each) for each in flows]

    def _balance(
        self, server: KernelServer, flow: Branch, leaves: list[Leaf], *, is_node: bool
    ) -> None:
        """Add how packets end that a virtual server takes."""
        saved = server.saved
        if self.notes:
            flow = flow.past(saved)
        if server.doubt:
            leaves.append(Leaf("unknown", flow, saved))
            return
        header = flow.header
        if not saved.service.fwmark and not saved.service.port and server.seconds is None:
            # A port of zero is taken of persistent ones alone; others refuse.
            leaves.append(Leaf("reject", flow, saved))
            return
        if not server.reals:
            leaves.append(Leaf("reject", flow, saved))
            return
        balancer = Balancer(header.address, self.protocol, header.port, server.choice)
        if server.seconds is not None:
            for real in server.reals:
                known = flow.mask & self.sources.remembers(
                    frozenset((self._place(real, header),)), server.seconds
                )
                if known:
                    self._choose(real, flow.of(known), balancer, leaves, is_node=is_node)
                    flow = flow.of(flow.mask & ~known)
        if not flow.mask:
            return
        for real in server.reals:
            luck = flow.luck.split(real.chance)[0]
            self._choose(real, flow.by(luck), balancer, leaves, is_node=is_node)

    @staticmethod
    def _place(real: KernelDest, header: PacketHead) -> tuple[int, int]:
        address, port = real.endpoint
        return address, port or header.port

    def _choose(
        self,
        real: KernelDest,
        flow: Branch,
        balancer: Balancer,
        leaves: list[Leaf],
        *,
        is_node: bool,
    ) -> None:
        """Add how packets end that go to a real server."""
        if self.notes:
            flow = flow.past(real.saved)
        if not real.is_translating:
            leaves.append(Leaf("unknown", flow, real.saved))
            return
        header = flow.header.sent_by(balancer, *self._place(real, flow.header))
        sent = flow.with_header(header)
        if is_node and self.facts.is_local(header.address):
            leaves += self._rest(sent, is_node=True)
        elif self.facts.is_local(header.address):
            self._arrive(sent, leaves)
        else:
            leaves += self._rest(sent, is_node=is_node)

    def _end_routed(self, flow: Branch, *, is_node: bool) -> list[Leaf]:
        """Return how packets end from where the kernel has decided which way they go."""
        header = flow.header
        if header.balancer is None or self.facts.is_local(header.address):
            return super()._end_routed(flow, is_node=is_node)
        leaves: list[Leaf] = []
        again = (*OUT_OF_NODE[:2], *OUT_OF_NODE[3:])
        flows = self._hooks(again, [flow], leaves)
        flows = self._hooks(AFTER_ROUTING, flows, leaves)
        return [*leaves, *(Leaf("deliver", each) for each in flows)]
