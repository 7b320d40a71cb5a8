"""What the kernel's balancer does with a packet: virtual servers, sets and a few rules.

The balancer knows no sources, so what it does may be something else than the graph says: the
virtual server counts here, and each difference has a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cached_property

from attrs import frozen

from svcnet.addresses import contains
from svcnet.graph import (
    Balance,
    Decision,
    Deliver,
    Dispatch,
    Fragment,
    NodeSettings,
    Packet,
    Pass,
    Refuse,
    Reject,
    RuleGraph,
    Translate,
    Way,
    ways,
)
from svcnet.meaning.explanation.account import (
    Account,
    ModeLine,
    Passage,
    Remark,
    Stage,
    is_of_node,
    then,
)
from svcnet.meaning.explanation.remarks import LAST_CLAIM, SOURCE_OF_SERVICE, remark_of_claims
from svcnet.netfilter import ip, ipset
from svcnet.netfilter.ipvs import ipvsadm
from svcnet.netfilter.ipvs.messages import NewDest, NewService
from svcnet.renderers.ipvs import IPVSTables, Part, RealServer, ServerKey, VirtualServer, sets
from svcnet.renderers.ipvs.program import dest_of, service_of
from svcnet.renderers.ipvs.rules import JUMPS
from svcnet.renderers.ipvs.sets import SetDefinition
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE

IN_TURN = ("rr", "wrr")
"""The schedulers that give each real server its turn, by its weight."""

OTHER_PORTS = Remark(
    "a port of a Service's address that no Service has is refused",
    "other-ports-refused",
)
NO_LOOPBACK = Remark(
    "node ports do not answer on loopback",
    "no-node-ports-on-loopback",
)
NOT_REFUSED = Remark(
    "a node port without endpoints is refused on the addresses only that answer node ports"
)
FALLS_BACK = Remark(
    "a traffic policy Local without an endpoint on the node sends to those of other nodes",
    "local-policy-falls-back",
)
REFUSES = Remark(
    "an empty virtual server refuses, where iptables mode drops",
    "local-policy-refuses",
)
FOR_ALL = Remark(
    "with externalTrafficPolicy Local pods and the node get the endpoints on the node too",
    "local-policy-for-all",
)
NO_HAIRPIN = Remark(
    "a pod of another node that reaches itself through this node keeps its source address",
    "no-hairpin-for-other-nodes",
)
PASSES_RANGES = Remark(
    "ranges of sources do not hold for what the node itself sends",
    "node-passes-source-ranges",
)
PER_ADDRESS = Remark(
    "what affinity remembers is taken for that of this very address and port",
    "affinity-per-address",
)


def account(tables: IPVSTables, graph: RuleGraph, packet: Packet) -> Account:
    """Return what virtual servers, sets and rules, which are of `graph`, do with a packet."""
    meant = ways(graph, packet)
    key = ServerKey(packet.destination, packet.port, packet.protocol)
    names = tables.claims.get(key)
    if names is None:
        return _without_server(tables, packet, meant)
    part = tables.parts[names[-1]]
    reading = _Reading(tables, part, part.server(key), packet)
    passages = tuple(reading.passages())
    remark = remark_of_claims(graph, packet, passages[0].verdict)
    told: Iterable[Remark] = (remark,)
    if remark is LAST_CLAIM:
        told = _remarks(meant, passages, packet, part.fragment)
    remarks = tuple(dict.fromkeys((*told, *reading.remarks())))
    return Account(passages, reading.choice if len(passages) > 1 else "", remarks)


def _without_server(tables: IPVSTables, packet: Packet, meant: tuple[Way, ...]) -> Account:
    """Return what becomes of a packet for no virtual server: its address may be a Service's."""
    is_loopback = packet.destination.startswith("127.") or packet.destination == "::1"
    reason = NO_LOOPBACK if is_loopback else NOT_REFUSED
    remarks = (reason,) if meant[0].fragment is not None else ()
    held = any(
        definition is sets.IPVS_IPS and entry == packet.destination
        for definition, entry in _entries(tables, sets.IPVS_IPS)
    )
    ports = {entry for _, entry in _entries(tables, sets.HEALTH_CHECK_NODE_PORT)}
    if not held or str(packet.port) in ports:
        return Account((Passage(Pass(), Fraction(1), 1.0),), remarks=remarks)
    name = sets.IPVS_IPS.name_in(tables.family)
    lines = (
        _jump("filter", "INPUT", "KUBE-IPVS-FILTER"),
        *(rule for rule in _rules(tables, "KUBE-IPVS-FILTER") if f" {name} " in rule.text),
        ModeLine("ipset", ipset.add(name, packet.destination).rstrip("\n")),
    )
    verdict = Refuse("reject", "is a port of a Service's address that no Service has")
    stage = Stage(None, lines, f"the destination {verdict.reason}")
    passage = Passage(verdict, Fraction(1), 1.0, None, (stage,))
    return Account((passage,), remarks=(*remarks, OTHER_PORTS))


def _remarks(
    meant: tuple[Way, ...], found: tuple[Passage, ...], packet: Packet, owner: Fragment
) -> Iterator[Remark]:
    """Yield why the ends are others than those that the graph has."""
    wanted = {_end(way.verdict) for way in meant}
    got = {_end(each.verdict) for each in found}
    if wanted == got:
        return
    if meant[0].fragment is not owner:
        yield LAST_CLAIM
        return
    drops = [way for way in meant if isinstance(way.verdict, Refuse)]
    is_source_drop = any("source" in way.decisions[-1].node.id for way in drops)
    if drops and not is_source_drop:
        refused = any(isinstance(each.verdict, Refuse) for each in found)
        yield REFUSES if refused else FALLS_BACK
    elif drops:
        yield PASSES_RANGES
    elif {end[:2] for end in wanted} != {end[:2] for end in got}:
        yield FOR_ALL
    else:
        yield NO_HAIRPIN if packet.source in {end[0] for end in wanted} else FOR_ALL


def _end(verdict: object) -> tuple[str, int, bool, str]:
    match verdict:
        case Deliver(address, port, masquerade):
            return address, port, masquerade, ""
        case Refuse(how, _):
            return "", 0, False, how
        case _:
            return "", 0, False, "pass"


@frozen
class _Reading:
    """A virtual server, and what sets and rules say of packets for it, for one packet."""

    tables: IPVSTables
    part: Part
    server: VirtualServer
    packet: Packet

    @property
    def settings(self) -> NodeSettings:
        return self.tables.settings

    @property
    def fragment(self) -> Fragment:
        return self.part.fragment

    @cached_property
    def dispatch(self) -> Dispatch:
        node = self.fragment.node(self.server.part)
        assert isinstance(node, Dispatch)
        return node

    @property
    def of_node(self) -> bool:
        """Whether the node itself sends it, whose addresses are those of Services as well."""
        packet = self.packet
        if not packet.interface and (sets.IPVS_IPS, packet.source) in self.tables.uses:
            return True
        return is_of_node(self.settings, packet)

    @property
    def choice(self) -> str:
        scheduler = self.server.scheduler
        how = "each has its turn" if scheduler in IN_TURN else "it goes by no chance"
        return f"the scheduler {scheduler} chooses: {how}, and shares are those of many clients"

    def remarks(self) -> Iterator[Remark]:
        if self.of_node:
            yield SOURCE_OF_SERVICE
        if self.server.timeout and self.packet.remembered:
            yield PER_ADDRESS

    def passages(self) -> Iterator[Passage]:
        entry = self.entry()
        if (out := self.kept_out()) is not None:
            yield self.refusal(entry, *out)
            return
        servers = self.choices()
        total = sum(real.weight for _, real in servers)
        if not total:
            line = ModeLine("ipvsadm", ipvsadm.line(NewService(service_of(self.server))))
            refusal = next((r for r in self.fragment.refusals if isinstance(r, Reject)), None)
            reason = refusal.reason if refusal else "has no endpoint that takes connections"
            decision = Decision(refusal) if refusal else None
            stage = Stage(decision, (line,), f"the virtual server {reason}")
            yield self.refusal(entry, Refuse("reject", reason), stage)
            return
        balance = self.balance(len(servers))
        for target, real in servers:
            if real.weight:
                share = Fraction(real.weight, total)
                yield self.delivery(entry, balance, target, real, share)

    def refusal(self, entry: Stage, verdict: Refuse, stage: Stage) -> Passage:
        return Passage(verdict, Fraction(1), 1.0, self.fragment, (entry, stage))

    def entry(self) -> Stage:
        """Return how the packet gets to its virtual server."""
        lines = [ModeLine("ipvsadm", ipvsadm.line(NewService(service_of(self.server))))]
        if self.dispatch.frontend != "node-port" and self.holds:
            address = f"{self.packet.destination}/{128 if ':' in self.packet.destination else 32}"
            lines.append(ModeLine("ip", ip.address("add", address, DUMMY_DEVICE).rstrip("\n")))
        return Stage(Decision(self.dispatch, self.dispatch.target), (*lines, *self.marking()))

    @property
    def holds(self) -> bool:
        return (sets.IPVS_IPS, self.packet.destination) in self.tables.uses

    def marking(self) -> tuple[ModeLine, ...]:
        """Return the rules and entries that ask for the node's address as the source."""
        rule = self.mark
        if rule is None:
            return ()
        home, definition = rule
        found = [_jump("nat", "OUTPUT" if self.of_node else "PREROUTING", "KUBE-SERVICES")]
        name = f" {definition.name_in(self.tables.family)} "
        rules = _rules(self.tables, home)
        found += [each for each in rules if name in each.text and "RETURN" not in each.text][:1]
        if home == "KUBE-NODE-PORT":
            found[1:1] = [each for each in _rules(self.tables, "KUBE-SERVICES") if home in each[1]]
        if definition is sets.LOAD_BALANCER:
            found += [r for r in _rules(self.tables, "KUBE-LOAD-BALANCER") if "RETURN" not in r[1]]
        found += self.entries(definition)
        found += _rules(self.tables, "KUBE-MARK-MASQ")
        return tuple(found)

    @cached_property
    def mark(self) -> tuple[str, SetDefinition] | None:
        """The chain and the set that have the packet masqueraded, None if none does.

        Sets have what all Services claim, whosever the virtual server is.
        """
        source = self.packet.source
        if source.startswith("127.") or source == "::1":
            return None
        if self.has(sets.LOAD_BALANCER) and not self.has(sets.LOAD_BALANCER_LOCAL):
            return "KUBE-SERVICES", sets.LOAD_BALANCER
        if self.masks_cluster_ip:
            return "KUBE-SERVICES", sets.CLUSTER_IP
        if self.has(sets.EXTERNAL_IP):
            return "KUBE-SERVICES", sets.EXTERNAL_IP
        every, local = sets.NODE_PORT_SETS[self.packet.protocol]
        if self.has(every) and not self.has(local) and not self.has(sets.EXTERNAL_IP_LOCAL):
            return "KUBE-NODE-PORT", every
        return None

    def has(self, definition: SetDefinition) -> bool:
        """Return whether a set has the packet's destination."""
        return any(True for _ in self.entries(definition))

    @property
    def masks_cluster_ip(self) -> bool:
        detector = self.settings.local_detector
        if self.settings.masquerade_all:
            return self.has(sets.CLUSTER_IP)
        if detector.kind == "none":
            clustered = ServerKey(self.packet.source, self.packet.port, self.packet.protocol)
            server = self.tables.server(clustered)
            entry = f"{clustered.address},{clustered.protocol.lower()}:{clustered.port}"
            return server is not None and (sets.CLUSTER_IP, entry) in self.tables.uses
        is_local = detector.is_local(self.packet.source, self.packet.interface)
        return self.has(sets.CLUSTER_IP) and not is_local

    def entries(self, definition: SetDefinition) -> Iterator[ModeLine]:
        """Yield the entries of a set that are for the packet's destination."""
        packet = self.packet
        portal = f"{packet.destination},{packet.protocol.lower()}:{packet.port}"
        name = definition.name_in(self.tables.family)
        for entry in (portal, str(packet.port)):
            if (definition, entry) in self.tables.uses:
                yield ModeLine("ipset", ipset.add(name, entry).rstrip("\n"))

    def kept_out(self) -> tuple[Refuse, Stage] | None:
        """Return the refusal of a source that may not use a load balancer's address."""
        packet = self.packet
        guards = self.guards
        if not guards:
            return None
        is_own = packet.source == packet.destination
        if self.of_node:
            at = f"-s {packet.source} -m ipvs --vaddr {packet.source} "
            own = f"{at}--vproto {packet.protocol.lower()} --vport {packet.port} -j DROP"
            rules = [rule for part in guards for rule in part.out_filter if rule.text == own]
            # The rule asks for a connection of the virtual server, and an empty one has none.
            if not is_own or not rules or not self.server.real_servers:
                return None
            lines = [_jump("filter", "OUTPUT", "KUBE-IPVS-OUT-FILTER")]
            lines += [ModeLine("filter", f"-A {rule.chain} {rule.text}") for rule in rules]
        elif any(self.lets_in(part.fragment) for part in guards):
            return None
        else:
            lines = [
                _jump("filter", "INPUT", "KUBE-PROXY-FIREWALL"),
                *_rules(self.tables, "KUBE-PROXY-FIREWALL"),
                *self.entries(sets.LOAD_BALANCER_FW),
                *_rules(self.tables, "KUBE-SOURCE-RANGES-FIREWALL")[-1:],
            ]
        verdict = Refuse("drop", "does not accept this source")
        firewall = self.fragment.firewall if self.part in guards else None
        decision = None if firewall is None else Decision(firewall, firewall.otherwise)
        return verdict, Stage(decision, tuple(lines), "the ranges of sources do not have it")

    @cached_property
    def guards(self) -> list[Part]:
        """The service ports whose ranges of sources hold at the packet's destination."""
        portal = f"{self.packet.destination},{self.packet.protocol.lower()}:{self.packet.port}"
        parts = (self.tables.parts[name] for name in self.tables.claims[self.server.key])
        return [part for part in parts if (sets.LOAD_BALANCER_FW, portal) in part.entries]

    def lets_in(self, fragment: Fragment) -> bool:
        """Return whether ranges of sources have the packet's.

        The load balancer's address is among them where the node's is.
        """
        ranges, source = fragment.policy.source_ranges, self.packet.source
        if any(contains(cidr, source) for cidr in ranges):
            return True
        lets_node_in = any(contains(cidr, self.settings.node_ip) for cidr in ranges)
        return lets_node_in and source == self.packet.destination

    def choices(self) -> list[tuple[str, RealServer]]:
        """Return the real servers that the packet may get, with the ids of their nodes."""
        pairs = list(zip(self.server.targets, self.server.real_servers, strict=True))
        if self.server.timeout:
            for target, real in pairs:
                if target in self.packet.remembered and real.weight:
                    return [(target, real)]
        return pairs

    def balance(self, count: int) -> Balance | None:
        """Return the node of the graph whose choice the virtual server makes."""
        targets = self.server.targets
        found = (self.fragment.local, self.fragment.cluster)
        return next((each for each in found if each and each.targets == targets), None)

    def delivery(
        self, entry: Stage, balance: Balance | None, target: str, real: RealServer, share: Fraction
    ) -> Passage:
        endpoint = self.endpoints[target]
        loops = self.loops(real)
        dest = ModeLine("ipvsadm", ipvsadm.line(NewDest(service_of(self.server), dest_of(real))))
        stages = [entry]
        if balance is not None:
            kept = self.server.timeout and target in self.packet.remembered
            decision = Decision(balance, target, share, because="remembered" if kept else "")
            server = ModeLine("ipvsadm", ipvsadm.line(NewService(service_of(self.server))))
            stages.append(Stage(decision, (server,)))
        lines = (dest, *loops)
        stages.append(Stage(Decision(endpoint, masquerade=bool(loops)), lines))
        verdict = Deliver(endpoint.address, endpoint.port, self.mark is not None or bool(loops))
        found = Passage(verdict, share, float(share), self.fragment, tuple(stages))
        if self.mark is None:
            return found
        text = "the node's own address becomes the source"
        postrouting = [_jump("nat", "POSTROUTING", "KUBE-POSTROUTING")]
        rules = _rules(self.tables, "KUBE-POSTROUTING")[-2:]
        return then(found, Stage(None, (*postrouting, *rules), text))

    @cached_property
    def endpoints(self) -> dict[str, Translate]:
        return {node.id: node for node in self.fragment.translates}

    def loops(self, real: RealServer) -> list[ModeLine]:
        """Return what masquerades what an endpoint of this node sends to itself."""
        if self.packet.source != real.address:
            return []
        entry = f"{real.address},{self.packet.protocol.lower()}:{real.port},{real.address}"
        if (sets.LOOP_BACK, entry) not in self.tables.uses:
            return []
        name = sets.LOOP_BACK.name_in(self.tables.family)
        rules = _rules(self.tables, "KUBE-POSTROUTING")
        return [
            *(rule for rule in rules if f" {name} " in rule.text),
            ModeLine("ipset", ipset.add(name, entry).rstrip("\n")),
        ]


def _entries(tables: IPVSTables, wanted: SetDefinition) -> Iterator[tuple[SetDefinition, str]]:
    return (entry for entry in tables.uses if entry[0] is wanted)


def _rules(tables: IPVSTables, chain: str) -> list[ModeLine]:
    """Return the rules of a chain in both tables, in their order."""
    found: list[ModeLine] = []
    table = ""
    for line in tables.restore_text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(f"-A {chain} "):
            found.append(ModeLine(table, line))
    return found


def _jump(table: str, chain: str, target: str) -> ModeLine:
    for jump in JUMPS:
        if (jump.table, jump.chain, jump.target) == (table, chain, target):
            return ModeLine(table, jump.line.rstrip("\n"))
    raise KeyError(target)
