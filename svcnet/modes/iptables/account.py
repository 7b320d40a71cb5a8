"""Which rules of iptables do with a packet what the graph says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import cached_property

from attrs import frozen

from svcnet.graph import (
    Balance,
    Decision,
    Dispatch,
    Drop,
    External,
    Firewall,
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
from svcnet.graph.fragment import load_balancer, source_range
from svcnet.meaning.explanation.account import (
    Account,
    ModeLine,
    Passage,
    Remark,
    Stage,
    is_of_node,
    masquerades,
    passage,
    then,
)
from svcnet.renderers.iptables import RestoreText
from svcnet.renderers.iptables.block import Block, chain_and_rule
from svcnet.renderers.iptables.service import Lines

CHOICE = "each rule draws a number of 31 bits (xt_statistic)"
LEAVES = Remark(
    "KUBE-EXTERNAL-SERVICES is reached from INPUT and FORWARD only: what the node itself sends "
    "there is not refused, and leaves the node",
    "refusals-leave-the-node",
)
_BITS = 1 << 31


def account(text: RestoreText, graph: RuleGraph, packet: Packet) -> Account:
    """Return what the rules of `text`, which is of `graph`, do with a packet."""
    found = ways(graph, packet, address_first=bool(text.layout.most))
    fragment = found[0].fragment
    if fragment is None:
        return Account(tuple(map(passage, found)))
    reading = _Reading(text, text.blocks[fragment.name], packet)
    if reading.is_let_out(found[0]):
        way = Way(Pass(), Fraction(1), fragment, found[0].decisions[:1])
        return Account((passage(way),), remarks=(LEAVES,))
    passages = tuple([reading.passage(way) for way in found])
    return Account(passages, CHOICE if len(passages) > 1 else "")


def chances(lines: Iterable[str], chain: str) -> Mapping[str, float]:
    """Return the chance that the kernel gives to each chain that a `chain` chooses from.

    `lines` are the rules that choose, those of a chain before those of chains that it leads to. A
    rule's chance is written with ten digits, and iptables rounds that to 31 bits:
    ``lround(0x80000000 * probability)``. A rule without one takes what is left.
    """
    rest = {chain: 1.0}
    for line in lines:
        home, target = _ends(line)
        if home not in rest:
            continue
        _, found, number = line.partition(" --probability ")
        share = round(float(number.partition(" ")[0]) * _BITS) / _BITS if found else 1.0
        rest[target] = rest[home] * share
        rest[home] *= 1 - share
    return rest


def _ends(line: str) -> tuple[str, str]:
    """Return the chain that a rule is in, and where it leads to."""
    return line.split(" ", 2)[1], line[line.rindex(" ") + 1 :].rstrip("\n")


@frozen
class _Reading:
    """The rules of one service port, and those of all, for one packet."""

    text: RestoreText
    block: Block
    packet: Packet

    @property
    def settings(self) -> NodeSettings:
        return self.text.settings

    def is_let_out(self, way: Way) -> bool:
        """Whether the packet leaves because no rule refuses what the node itself sends."""
        first = way.decisions[0].node
        return (
            isinstance(way.verdict, Refuse)
            and isinstance(way.decisions[-1].node, Reject)
            and is_of_node(self.settings, self.packet)
            and not self.settings.is_node_address(self.packet.destination)
            and isinstance(first, Dispatch)
            and first.frontend != "cluster-ip"
        )

    def passage(self, way: Way) -> Passage:
        found = passage(way, self.lines_of, self.chance)
        if masquerades(way):
            text = "the node's own address becomes the source"
            return then(found, Stage(None, tuple(self.postrouting()), text))
        return found

    def chance(self, balance: Balance, endpoint: str) -> float:
        """Return the chance of an endpoint as the kernel draws it."""
        if balance.id not in self._chances:
            choosing = (line for line in self.block.writing.balancing if " -m recent " not in line)
            self._chances[balance.id] = chances(choosing, self.chain_of(balance))
        return self._chances[balance.id][self.block.chain_of_endpoint[endpoint]]

    @cached_property
    def _chances(self) -> dict[str, Mapping[str, float]]:
        return {}

    def chain_of(self, balance: Balance) -> str:
        """Return the chain that chooses an endpoint."""
        prefix = "KUBE-SVC-" if balance.id == "cluster" else "KUBE-SVL-"
        return next(chain for chain in self.block.chains if chain.startswith(prefix))

    def choice(self, balance: Balance, decision: Decision) -> Iterator[str]:
        """Yield the rules that lead to an endpoint, with those from group to group of many."""
        for rule in self.own(decision.target):
            found = [rule]
            while (home := _ends(found[0])[0]) in self._leading:
                found.insert(0, self._leading[home])
            # With affinity there are two of each endpoint, and that of the memory is first.
            is_meant = decision.because == "remembered" or " -m recent " not in rule
            if is_meant and home == self.chain_of(balance):
                yield from found
                return

    @cached_property
    def _leading(self) -> Mapping[str, str]:
        """The rule that leads to each group of many endpoints."""
        return {_ends(rule)[1]: rule for rule in self.own("") if " -g " in rule}

    def lines_of(self, decision: Decision, before: Decision | None) -> Iterator[ModeLine]:
        """Yield the rules that carry out a decision, in the order in which a packet meets them."""
        match decision.node:
            case Dispatch() as dispatch:
                yield from self.dispatch(dispatch, decision)
            case Firewall() as firewall:
                yield from self.firewall(firewall, decision)
            case External() as external:
                yield from self.external(external, decision)
            case Balance() as balance:
                yield from (ModeLine("nat", rule) for rule in self.choice(balance, decision))
            case Translate() as endpoint:
                hairpin, translation = self.endpoints[endpoint.id]
                if decision.masquerade:
                    yield ModeLine("nat", hairpin)
                    yield self.mark
                yield ModeLine("nat", translation)
            case Reject() | Drop() if before is not None:
                yield from self.refusal()

    def dispatch(self, dispatch: Dispatch, decision: Decision) -> Iterator[ModeLine]:
        if isinstance(self.block.fragment.node(decision.target), Reject | Drop):
            return
        chain = "OUTPUT" if is_of_node(self.settings, self.packet) else "PREROUTING"
        yield self.jump("nat", chain, "KUBE-SERVICES")
        if dispatch.frontend == "node-port":
            yield ModeLine("nat", self.node_ports())
        rules = self.shared_lines(dispatch.id)
        # The rule that counts packets for loopback comes first where there is one.
        rule = rules[0 if self.packet.destination.startswith("127.") else -1]
        yield from self.in_place("nat", dispatch, rule)
        if decision.masquerade:
            yield ModeLine("nat", self.own(dispatch.id)[0])
            yield self.mark

    def node_ports(self) -> str:
        """Return the rule that leads to KUBE-NODEPORTS."""
        rules = self.text.nat.last.splitlines()
        wanted = f" -d {self.packet.destination} "
        return next((rule for rule in rules if wanted in rule), rules[-1])

    def firewall(self, firewall: Firewall, decision: Decision) -> Iterator[ModeLine]:
        if decision.target != firewall.target:
            yield ModeLine("nat", self.own(firewall.id)[0])
            return
        part = load_balancer(decision.because)
        if decision.because in firewall.ranges:
            part = source_range(firewall.ranges.index(decision.because))
        yield ModeLine("nat", self.own(part)[0])

    def external(self, external: External, decision: Decision) -> Iterator[ModeLine]:
        rules = self.own(external.id)
        if not external.keep_source:
            yield ModeLine("nat", rules[0])
            yield self.mark
            rules = rules[1:]
        elif decision.because == "pod":
            rules = rules[:1]
        elif decision.because == "node":
            mark, leave = [rule for rule in rules if "-m addrtype --src-type LOCAL -j " in rule]
            yield ModeLine("nat", mark)
            yield self.mark
            rules = [leave]
        elif decision.target not in ("cluster", "local"):
            rules = []
        yield from (ModeLine("nat", rule) for rule in rules[-1:])

    def refusal(self) -> Iterator[ModeLine]:
        """Yield the rule of the filter table for the destination that the packet still has.

        That of ranges of sources is met first, also by those that are in one of them.
        """
        here = {each.id: each for each in self.block.fragment.dispatches if self.is_at(each)}
        found = [(part, line) for part, line in self.block.writing.filter if part in here]
        found.sort(key=lambda each: "-A KUBE-PROXY-FIREWALL " not in each[1])
        for part, line in found[:1]:
            chain, _ = chain_and_rule(line)
            yield self.jump("filter", self.hook(chain), chain)
            yield from self.in_place("filter", here[part], line.rstrip("\n"))

    def is_at(self, dispatch: Dispatch) -> bool:
        """Return whether the packet has the destination of a frontend."""
        is_addressed = dispatch.address in ("", self.packet.destination)
        return is_addressed and dispatch.port == self.packet.port

    def in_place(self, table: str, dispatch: Dispatch, rule: str) -> Iterator[ModeLine]:
        """Yield a rule of a shared chain where it is, behind those that lead there."""
        if not self.text.layout.most:
            yield ModeLine(table, rule)
            return
        chain, text = chain_and_rule(rule)
        protocol = self.packet.protocol.lower()
        destination = (dispatch.address, protocol, dispatch.port)
        way, home = self.text.forest.way(table, chain, destination)
        yield from (ModeLine(table, f"-A {place} {leading}") for place, leading in way)
        yield ModeLine(table, f"-A {home} {text}")

    def hook(self, chain: str) -> str:
        """Return the built-in chain of the filter table from which the packet gets to another."""
        is_here = self.settings.is_node_address(self.packet.destination)
        if is_here and chain != "KUBE-SERVICES":
            return "INPUT"
        return "OUTPUT" if is_of_node(self.settings, self.packet) else "FORWARD"

    def postrouting(self) -> Iterator[ModeLine]:
        yield self.jump("nat", "POSTROUTING", "KUBE-POSTROUTING")
        for rule in self.text.nat.first.splitlines():
            if rule.startswith("-A KUBE-POSTROUTING") and "-j RETURN" not in rule:
                yield ModeLine("nat", rule)

    @cached_property
    def mark(self) -> ModeLine:
        rules = self.text.nat.first.splitlines()
        return ModeLine(
            "nat", next(rule for rule in rules if rule.startswith("-A KUBE-MARK-MASQ "))
        )

    def jump(self, table: str, chain: str, target: str) -> ModeLine:
        found = (jump.table == table and jump.chain == chain for jump in self.text.jumps)
        for jump, is_there in zip(self.text.jumps, found, strict=True):
            if is_there and jump.target == target:
                return ModeLine(table, jump.line.rstrip("\n"))
        raise KeyError(target)

    def own(self, part: str) -> list[str]:
        return self._own.get(part, [])

    def shared_lines(self, part: str) -> list[str]:
        return self._lines_by_part.get(part, [])

    @cached_property
    def _own(self) -> Mapping[str, list[str]]:
        return _by_part(self.block.own_lines)

    @cached_property
    def _lines_by_part(self) -> Mapping[str, list[str]]:
        return _by_part(self.block.writing.shared)

    @cached_property
    def endpoints(self) -> Mapping[str, tuple[str, str]]:
        """The two rules of each endpoint's own chain."""
        rules = "".join(self.block.writing.endpoints).splitlines()
        pairs = zip(rules[::2], rules[1::2], strict=True)
        ids = (translate.id for translate in self.block.fragment.translates)
        return dict(zip(ids, pairs, strict=True))


def _by_part(lines: Lines) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part, line in lines:
        found.setdefault(part, []).append(line.rstrip("\n"))
    return found
