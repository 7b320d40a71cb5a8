"""Which rules lead a packet to the proxy, and what the proxy does with its connection."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property, partial

from attrs import evolve, frozen

from svcnet.graph import (
    Balance,
    Decision,
    Deliver,
    Dispatch,
    NodeSettings,
    Packet,
    Pass,
    Refuse,
    RuleGraph,
    Way,
    ways,
)
from svcnet.graph.evaluate import entry_ways
from svcnet.meaning.claims import proxy_entry
from svcnet.meaning.explanation.account import (
    Account,
    ModeLine,
    Passage,
    Remark,
    is_of_node,
    passage,
)
from svcnet.meaning.explanation.remarks import LAST_CLAIM, remark_of_claims
from svcnet.renderers.userspace import (
    ListenerName,
    Portal,
    ProxiedPort,
    ProxyTable,
    service_rules,
)
from svcnet.renderers.userspace.listing import Row, rows
from svcnet.renderers.userspace.portals import jumps
from svcnet.words import count_noun

MOST_TOLD = 64
"""Of more endpoints than that only the one is told that is chosen."""

CHOICE = "the proxy gives each endpoint its turn"
HIDDEN_SOURCE = Remark(
    "endpoints see an address of the node as the client's",
    "source-is-the-nodes",
)
LEAVES = Remark(
    "what the node itself sends to an external IP that no interface of its has leaves the node",
    "node-leaves-for-external-ips",
)
NO_PORTAL = Remark(
    "a node port without endpoints is refused on the addresses only that answer node ports"
)


def account(table: ProxyTable, graph: RuleGraph, packet: Packet) -> Account:
    """Return what the proxy with `table`, which is of `graph`, does with a packet."""
    where = packet.destination, packet.protocol, packet.port
    is_own = is_of_node(graph.settings, packet)
    entry = proxy_entry(graph, *where, is_of_node=is_own)
    found = ways(graph, packet) if entry is None else entry_ways(graph, packet, entry)
    fragment = found[0].fragment
    if fragment is None:
        return Account(tuple(map(passage, found)))
    service = table.services.get(fragment.name)
    if service is None:
        lacks = (each for each in table.unsupported if each.name == fragment.name)
        remarks = tuple(Remark(str(each)) for each in lacks)
        return Account((_passage(found[0]),), remarks=remarks)
    reading = _Reading(table, service, packet)
    if reading.is_let_out(found[0]):
        return Account((_passage(found[0]),), remarks=(LEAVES,))
    if isinstance(found[0].verdict, Refuse) and not reading.has_portal(graph):
        return Account((_passage(found[0]),), remarks=(NO_PORTAL,))
    passages = tuple([reading.passage(way) for way in found])
    is_served = isinstance(passages[0].verdict, Deliver)
    remarks = (HIDDEN_SOURCE,) if is_served else ()
    remark = remark_of_claims(graph, packet, passages[0].verdict)
    if remark is not LAST_CLAIM:
        remarks = (remark,)
    return Account(passages, CHOICE if len(passages) > 1 else "", remarks)


def _passage(way: Way) -> Passage:
    return passage(Way(Pass(), Fraction(1), way.fragment, way.decisions[:1]))


@frozen
class _Reading:
    """One service port of the proxy, for one packet."""

    table: ProxyTable
    service: ProxiedPort
    packet: Packet

    @property
    def settings(self) -> NodeSettings:
        return self.table.settings

    @property
    def of_node(self) -> bool:
        return is_of_node(self.settings, self.packet)

    def is_let_out(self, way: Way) -> bool:
        first = way.decisions[0].node
        is_external = isinstance(first, Dispatch) and first.frontend == "external-ip"
        leaves = not self.settings.is_node_address(self.packet.destination)
        return is_external and leaves and self.of_node

    def has_portal(self, graph: RuleGraph) -> bool:
        where = (self.packet.destination, self.packet.protocol, self.packet.port)
        return where in graph.frontends or self.settings.answers_node_ports(where[0])

    def passage(self, way: Way) -> Passage:
        found = passage(way, partial(self.lines_of, self.portal(way)))
        if isinstance(way.verdict, Deliver):
            return evolve(found, verdict=evolve(way.verdict, masquerade=True))
        return found

    def portal(self, way: Way) -> Portal:
        part = way.decisions[0].node.id
        return next(each for each in self.service.portals if each.part == part)

    def lines_of(
        self, portal: Portal, decision: Decision, _before: Decision | None
    ) -> Iterator[ModeLine]:
        match decision.node:
            case Dispatch():
                if portal.part not in self._redirections:
                    self._redirections[portal.part] = tuple(self.redirection(portal))
                yield from self._redirections[portal.part]
            case Balance():
                yield self.listener(portal, decision.target)
            case _ if decision.target == "" and decision.node.id.startswith(("re", "drop")):
                yield self.listener(portal)

    @property
    def is_near(self) -> bool:
        """Whether the packet is the node's own, or a pod's of it."""
        detector, packet = self.settings.local_detector, self.packet
        is_pod = detector.is_local(packet.source, packet.interface)
        return is_pod or self.settings.is_node_address(packet.source)

    def redirection(self, portal: Portal) -> Iterator[ModeLine]:
        """Yield the jump and the rule that bring the packet to the proxy."""
        role = portal.near if self.is_near else portal.role
        port = self.table.ports[ListenerName(self.service.name, role)]
        is_node_port = portal.frontend == "node-port"
        kind = "KUBE-NODEPORT" if is_node_port else "KUBE-PORTALS"
        chain = f"{kind}-{'HOST' if self.of_node else 'CONTAINER'}"
        for jump in jumps(self.settings):
            of = "OUTPUT" if self.of_node else "PREROUTING"
            if jump.table == "nat" and (jump.chain, jump.target) == (of, chain):
                yield ModeLine("nat", jump.line.rstrip("\n"))
                break
        for rule in service_rules(self.service, self.table.ports, self.settings):
            is_for = rule.chain == chain and rule.cause == portal.part
            if is_for and rule.text.endswith((f":{port}", f"--to-ports {port}")):
                yield ModeLine("nat", f"-A {rule.chain} {rule.text}")
                return

    def listener(self, portal: Portal, target: str = "") -> ModeLine:
        """Return what the proxy does with what comes to the listener of the packet.

        Of many endpoints only `target` is told.
        """
        role = portal.near if self.is_near else portal.role
        found = self.rows[role]
        backends = ", ".join(found.backends)
        if len(found.backends) > MOST_TOLD and target:
            backends = f"{target} and {count_noun(len(found.backends) - 1, 'other')}"
        told = f" ({'; '.join(found.remarks)})" if found.remarks else ""
        text = f"{found.service_port} is served at {found.served_at}: {backends}{told}"
        return ModeLine("proxy", text)

    @cached_property
    def rows(self) -> dict[str, Row]:
        """What there is to say of each listener, by its role."""
        found = rows(self.service, self.table.ports, self.settings.node_ip)
        roles = [each.role for each in self.service.listeners]
        return dict(zip(roles, found, strict=True))

    @cached_property
    def _redirections(self) -> dict[str, tuple[ModeLine, ...]]:
        return {}
