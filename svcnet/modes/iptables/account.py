"""Which rules of iptables do with a packet what the graph says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    found = ways(graph, packet)
    fragment = found[0].fragment
    if fragment is None:
        return Account(tuple(map(passage, found)))
    reading = _Reading(text, text.blocks[fragment.name], packet)
    if reading.is_let_out(found[0]):
        way = Way(Pass(), Fraction(1), fragment, found[0].decisions[:1])
        return Account((passage(way),), remarks=(LEAVES,))
    passages = tuple([reading.passage(way) for way in found])
    return Account(passages, CHOICE if len(passages) > 1 else "")


def chances(count: int) -> Iterator[float]:
    """Yield the chance that the kernel gives to each of so many endpoints.

    A rule is one in so many as are left, written with ten digits, and iptables rounds that to
    31 bits: ``lround(0x80000000 * probability)``. The last rule takes what is left.
    """
    rest = 1.0
    for left in range(count, 1, -1):
        share = round(float(f"{1 / left:.10f}") * _BITS) / _BITS
        yield rest * share
        rest *= 1 - share
    yield rest


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
            found = chances(len(balance.targets))
            self._chances[balance.id] = dict(zip(balance.targets, found, strict=True))
        return self._chances[balance.id][endpoint]

    @cached_property
    def _chances(self) -> dict[str, Mapping[str, float]]:
        return {}

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
                chain = "KUBE-SVC-" if balance.id == "cluster" else "KUBE-SVL-"
                rules = [rule for rule in self.own(decision.target) if f"-A {chain}" in rule]
                # With affinity there are two of each endpoint, and that of the memory is first.
                yield ModeLine("nat", rules[0 if decision.because == "remembered" else -1])
            case Translate() as endpoint:
                hairpin, translation = self.endpoints[endpoint.id]
                if decision.masquerade:
                    yield ModeLine("nat", hairpin)
                    yield self.mark
                yield ModeLine("nat", translation)
            case Reject() | Drop() as refusal if before is not None:
                yield from self.refusal(refusal, before)

    def dispatch(self, dispatch: Dispatch, decision: Decision) -> Iterator[ModeLine]:
        if isinstance(self.block.fragment.node(decision.target), Reject | Drop):
            return
        chain = "OUTPUT" if is_of_node(self.settings, self.packet) else "PREROUTING"
        yield self.jump("nat", chain, "KUBE-SERVICES")
        if dispatch.frontend == "node-port":
            yield ModeLine("nat", self.node_ports())
        rules = self.shared_lines(dispatch.id)
        # The rule that counts packets for loopback comes first where there is one.
        yield ModeLine("nat", rules[0 if self.packet.destination.startswith("127.") else -1])
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

    def refusal(self, refusal: Reject | Drop, before: Decision) -> Iterator[ModeLine]:
        """Yield the rule of the filter table for the destination that the packet still has."""
        is_firewall = isinstance(before.node, Firewall)
        rules = [
            line.rstrip("\n")
            for part, line in self.block.writing.filter
            if ("-A KUBE-PROXY-FIREWALL " in line) == is_firewall and self.is_here(part)
        ]
        for rule in rules[:1]:
            chain, _ = chain_and_rule(rule)
            yield self.jump("filter", self.hook(chain), chain)
            yield ModeLine("filter", rule)

    def is_here(self, part: str) -> bool:
        """Return whether a part is the destination of the packet."""
        return any(
            dispatch.id == part
            and dispatch.port == self.packet.port
            and dispatch.address in ("", self.packet.destination)
            for dispatch in self.block.fragment.dispatches
        )

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
