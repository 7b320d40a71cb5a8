"""Which rules and elements of the table do with a packet what the graph says."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property, partial

from attrs import evolve, frozen

from svcnet.addresses import contains
from svcnet.graph import (
    Balance,
    Decision,
    Deliver,
    Dispatch,
    Drop,
    External,
    Firewall,
    Fragment,
    FragmentName,
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
from svcnet.graph.evaluate import FrontendEntry, entry_ways
from svcnet.meaning.claims import (
    asks_itself,
    guarding,
    ranges_of,
    refusing,
    table_entry,
)
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
from svcnet.meaning.explanation.remarks import remark_of_claims
from svcnet.netfilter.nft import NFTElement, NFTRule
from svcnet.renderers.nftables import Bucket, Lead, NFTablesBlock, Ruleset, endpoint_map, names
from svcnet.renderers.nftables.words import words

CHOICE = "one number of 32 bits is drawn (numgen random)"
CLOSED = Remark(
    "a port of a cluster IP that no Service has is refused",
    "closed-ports-of-cluster-ips-refused",
)
UNALLOCATED = Remark("an address of the ServiceCIDRs that is no Service's is dropped")
NOT_HERE = Remark(
    "a node port without endpoints is refused on the addresses only that answer node ports"
)
KEPT_OUT = Remark("the ranges of sources hold for a load balancer's address without endpoints, too")
NO_HAIRPIN = Remark(
    "a pod of another node that reaches itself through this node keeps its source address",
    "no-hairpin-for-other-nodes",
)
MOST_TOLD = 64
"""Of a map of more endpoints than that only the one is told that is chosen."""

_BITS = 1 << 32
_BALANCES = {"cluster": "service-", "local": "local-"}


def account(ruleset: Ruleset, graph: RuleGraph, packet: Packet) -> Account:
    """Return what the table, which is of `graph`, does with a packet."""
    where = (packet.destination, packet.protocol, packet.port)
    entry = table_entry(graph, *where)
    reading = _Reading(ruleset, packet)
    if entry is None:
        return reading.without_service()
    found = entry_ways(graph, packet, entry)
    if (out := reading.kept_out(graph, entry)) is not None:
        is_empty = out.fragment is not None and out.fragment.firewall is None
        remark = KEPT_OUT if is_empty else remark_of_claims(graph, packet, out.verdict)
        return Account((out,), remarks=(remark,))
    if isinstance(found[0].verdict, Refuse) and not reading.refuses_here(graph):
        return reading.without_service((NOT_HERE,))
    found = tuple([reading.with_refusal(graph, way) for way in found])
    is_meant = _ends(found) == _ends(ways(graph, packet))
    passages = tuple([reading.passage(way) for way in found])
    shared = () if is_meant else (remark_of_claims(graph, packet, passages[0].verdict),)
    changed = any(p.verdict != way.verdict for p, way in zip(passages, found, strict=True))
    choice = CHOICE if len(passages) > 1 else ""
    return Account(passages, choice, (*((NO_HAIRPIN,) if changed else ()), *shared))


def _ends(found: tuple[Way, ...]) -> set[tuple[object, Fraction]]:
    return {(way.verdict, way.probability) for way in found}


def chance(number: int, count: int) -> float:
    """Return the chance of one of `count`, by its number from 0.

    A random number of 32 bits is multiplied by the count, and its upper half counts
    (``reciprocal_scale``).
    """
    first, last = (-(-(each * _BITS) // count) for each in (number, number + 1))
    return (last - first) / _BITS


@frozen
class _Reading:
    """A table, for one packet."""

    ruleset: Ruleset
    packet: Packet

    @property
    def settings(self) -> NodeSettings:
        return self.ruleset.settings

    def block(self, fragment: Fragment) -> NFTablesBlock:
        return self.ruleset.blocks[fragment.name]

    def without_service(self, remarks: tuple[Remark, ...] = ()) -> Account:
        """Return what becomes of a packet for no service port."""
        destination = self.packet.destination
        if self.settings.is_node_address(destination):
            return Account((Passage(Pass(), Fraction(1), 1.0),), remarks=remarks)
        rules = [made for made in self.fixed_rules() if made.chain == names.CLUSTER_IPS_CHECK]
        jump = self.jump(names.CLUSTER_IPS_CHECK)
        element = self.ruleset.element((names.CLUSTER_IPS, destination))
        if element is not None:
            lines = (jump, self.line(rules[0]), self.line(element))
            verdict = Refuse("reject", "is a port of a cluster IP that no Service has")
            return _refuse(verdict, lines, (*remarks, CLOSED))
        if any(contains(cidr, destination) for cidr in self.settings.service_cidrs):
            verdict = Refuse("drop", "is a cluster IP that no Service has")
            return _refuse(verdict, (jump, self.line(rules[-1])), (*remarks, UNALLOCATED))
        return Account((Passage(Pass(), Fraction(1), 1.0),), remarks=remarks)

    def kept_out(self, graph: RuleGraph, entry: FrontendEntry) -> Passage | None:
        """Return the end at ranges of sources that the frontend itself does not ask, if it is."""
        packet = self.packet
        guard = guarding(graph, packet.destination, packet.protocol, packet.port)
        if guard is None or asks_itself(entry, guard[0]):
            return None
        fragment, dispatch = guard
        if any(contains(each, packet.source) for each in ranges_of(graph, fragment)):
            return None
        verdict = Refuse("drop", "does not accept this source")
        lines = tuple(self.guard(fragment, dispatch))
        return Passage(verdict, Fraction(1), 1.0, fragment, (Stage(Decision(dispatch, ""), lines),))

    def with_refusal(self, graph: RuleGraph, way: Way) -> Way:
        """Return a way, with the refusal of who claims it last where no endpoint gets the packet.

        That is another than the ranges of sources.
        """
        last, packet = way.decisions[-1].node, self.packet
        is_kept_out = any(
            isinstance(each.node, Firewall) and each.target == last.id for each in way.decisions
        )
        if is_kept_out or not isinstance(last, Reject | Drop):
            return way
        is_own = is_of_node(self.settings, packet)
        where = (packet.destination, packet.protocol, packet.port)
        node = refusing(graph, *where, is_of_node=is_own)
        if node is None or type(node) is type(last):
            return way
        how = "reject" if isinstance(node, Reject) else "drop"
        return evolve(way, verdict=Refuse(how, node.reason))

    def refuses_here(self, graph: RuleGraph) -> bool:
        where = (self.packet.destination, self.packet.protocol, self.packet.port)
        return where in graph.frontends or self.settings.answers_node_ports(where[0])

    def passage(self, way: Way) -> Passage:
        assert way.fragment is not None
        block = self.block(way.fragment)
        found = passage(way, partial(self.lines_of, block), self.chance)
        if isinstance(way.verdict, Deliver) and way.verdict.masquerade and not self.masks(way):
            found = evolve(found, verdict=evolve(way.verdict, masquerade=False))
        elif masquerades(way):
            text = "the node's own address becomes the source"
            found = then(found, Stage(None, tuple(self.postrouting(way)), text))
        return found

    def masks(self, way: Way) -> bool:
        """Return whether a rule masquerades; none knows hairpins of pods on other nodes."""
        return self.is_marked(way) or self.hairpin(way) is not None

    def is_marked(self, way: Way) -> bool:
        return any(decision.masquerade for decision in way.decisions[:-1])

    def hairpin(self, way: Way) -> NFTElement | None:
        node = way.decisions[-1].node
        if not isinstance(node, Translate) or not way.decisions[-1].masquerade:
            return None
        protocol = self.packet.protocol.lower()
        key = f"{node.address} . {node.address} . {protocol} . {node.port}"
        return self.ruleset.element((names.HAIRPIN_CONNECTIONS, key))

    def chance(self, balance: Balance, endpoint: str) -> float:
        """Return the chance of an endpoint as the kernel draws it."""
        return chance(self.numbers(balance)[endpoint], len(balance.targets))

    def lines_of(
        self, block: NFTablesBlock, decision: Decision, before: Decision | None
    ) -> Iterator[ModeLine]:
        match decision.node:
            case Dispatch() as dispatch:
                # All ends of a packet have it, and each a decision of its own.
                if dispatch.id not in self._dispatches:
                    found = tuple(self.dispatch(block, dispatch, decision))
                    self._dispatches[dispatch.id] = found
                yield from self._dispatches[dispatch.id]
            case Firewall():
                if before is not None and isinstance(before.node, Dispatch):
                    yield from self.guard(block.fragment, before.node)
            case External() as external:
                yield from self.external(block, external, decision)
            case Balance() as balance:
                yield from self.balance(block, balance, decision)
            case Translate() as endpoint:
                lead = self.lead(block)
                if lead is not None and before is not None and isinstance(before.node, Balance):
                    yield self.line(self.endpoint_element(lead, before.node, endpoint))
                    return
                # Only with affinity has an endpoint a chain of its own.
                own = self.rules_of(block, endpoint.id)
                yield from (self.line(rule) for rule in own if rule.chain.startswith("endpoint-"))
            case Reject() | Drop():
                if before is not None and not isinstance(before.node, Firewall):
                    yield from self.refusal(block)

    def dispatch(
        self, block: NFTablesBlock, dispatch: Dispatch, decision: Decision
    ) -> Iterator[ModeLine]:
        if isinstance(block.fragment.node(decision.target), Reject | Drop):
            return
        hook = names.NAT_OUTPUT if is_of_node(self.settings, self.packet) else names.NAT_PREROUTING
        yield self.jump(names.SERVICES, hook)
        is_node_port = dispatch.frontend == "node-port"
        place = names.SERVICE_NODE_PORTS if is_node_port else names.SERVICE_IPS
        if decision.masquerade:
            yield self.services(names.CLUSTER_IPS)
        yield self.services(place)
        yield self.element(block, place)

    @cached_property
    def _dispatches(self) -> dict[str, tuple[ModeLine, ...]]:
        return {}

    def element(self, block: NFTablesBlock, place: str) -> ModeLine:
        """Return the element of a map for the packet's destination.

        It is the one that is there: of several that say the same one has the comment.
        """
        own = next((place, key) for key in self.keys() if (place, key) in block.elements)
        found = self.ruleset.element(own)
        assert found is not None
        return self.line(found)

    def keys(self) -> tuple[str, str]:
        packet = self.packet
        port = f"{packet.protocol.lower()} . {packet.port}"
        return f"{packet.destination} . {port}", port

    def guard(self, fragment: Fragment, dispatch: Dispatch) -> Iterator[ModeLine]:
        """Yield what looks at the sources of a load balancer's address."""
        block = self.block(fragment)
        of_node = is_of_node(self.settings, self.packet)
        hook = names.FILTER_OUTPUT_PRE_DNAT if of_node else names.FILTER_PREROUTING_PRE_DNAT
        yield self.jump(names.FIREWALL_CHECK, hook)
        yield self.rule(names.FIREWALL_CHECK, names.FIREWALL_IPS)
        yield self.element(block, names.FIREWALL_IPS)
        for chain, rules in block.chains.items():
            if chain.startswith("firewall-"):
                yield from map(self.line, rules)

    def external(
        self, block: NFTablesBlock, external: External, decision: Decision
    ) -> Iterator[ModeLine]:
        lead = self.lead(block)
        rules = (
            self.rules_of(block, external.id) if lead is None else self.bucket_rules(lead.bucket)
        )
        local = [rule for rule in rules if rule.text.startswith("fib saddr type local ")]
        if not external.keep_source:
            chosen = rules
        elif decision.because == "pod":
            chosen = rules[:1]
        elif decision.because == "node":
            chosen = local
        else:
            chosen = rules[-1:] if decision.target in _BALANCES else []
        yield from map(self.line, chosen)

    def lead(self, block: NFTablesBlock) -> Lead | None:
        """Return where the packet's frontend leads, if that is to a chain that Services share."""
        address, port = self.keys()
        found = block.leads.get((names.SERVICE_IPS, address))
        return found or block.leads.get((names.SERVICE_NODE_PORTS, port))

    def bucket_rules(self, bucket: Bucket) -> list[NFTRule]:
        """Return the rules of a chain that Services share."""
        return list(bucket.rules(words(self.settings)))

    def endpoint_element(self, lead: Lead, balance: Balance, endpoint: Translate) -> NFTElement:
        """Return the element of a map of endpoints that leads to one of them."""
        protocol, is_node_port = lead.bucket.protocol, lead.bucket.is_node_port
        is_local = balance.id == "local"
        where = endpoint_map(protocol, is_node_port=is_node_port, is_local=is_local)
        number = self.numbers(balance)[endpoint.id]
        row = next(row for row in lead.rows if row.container == where)
        return next(row.part(number, number + 1).elements())

    def balance(
        self, block: NFTablesBlock, balance: Balance, decision: Decision
    ) -> Iterator[ModeLine]:
        lead = self.lead(block)
        if lead is not None:
            buckets = lead.bucket, *lead.bucket.leads_to()
            chosen = next(each for each in buckets if each.choice == balance.id)
            # The other rule is met only while a commit takes an endpoint away.
            yield self.line(self.bucket_rules(chosen)[0])
            return
        chain = f"{_BALANCES[balance.id]}{names.service_base(block.fragment.name)}"
        if decision.because == "remembered":
            own = self.rules_of(block, decision.target)
            yield self.line(next(rule for rule in own if rule.chain == chain))
            return
        if len(balance.targets) <= MOST_TOLD:
            yield self.line(block.chains[chain][-1])
            return
        number = self.numbers(balance)[decision.target]
        before, element, after = self.parts_of(chain, block.chains[chain][-1], number)
        yield ModeLine("nft", f"{before}{{ {element} , … }}{after}")

    def parts_of(self, chain: str, rule: NFTRule, number: int) -> tuple[str, str, str]:
        """Return a rule with a map in parts: before it, one of its elements, and behind it."""
        if chain not in self._parts:
            before, _, rest = self.line(rule).text.partition("{ ")
            elements, _, after = rest.rpartition(" }")
            self._parts[chain] = before, elements.split(" , "), after
        before, parts, after = self._parts[chain]
        return before, parts[number], after

    @cached_property
    def _parts(self) -> dict[str, tuple[str, list[str], str]]:
        return {}

    def numbers(self, balance: Balance) -> dict[str, int]:
        """Return the number of each endpoint, by its id."""
        if balance.id not in self._numbers:
            self._numbers[balance.id] = {each: n for n, each in enumerate(balance.targets)}
        return self._numbers[balance.id]

    @cached_property
    def _numbers(self) -> dict[str, dict[str, int]]:
        return {}

    def refusal(self, block: NFTablesBlock) -> Iterator[ModeLine]:
        for place, check in (
            (names.NO_ENDPOINT_SERVICES, names.SERVICE_ENDPOINTS_CHECK),
            (names.NO_ENDPOINT_NODE_PORTS, names.NODE_PORT_ENDPOINTS_CHECK),
        ):
            keys = [key for container, key in block.elements if container == place]
            if not set(keys) & set(self.keys()):
                continue
            yield self.jump(check)
            yield self.rule(check, place)
            element = self.element(block, place)
            yield element
            if names.REJECT in element.text:
                yield from (
                    self.line(made) for made in self.fixed_rules() if made.chain == names.REJECT
                )
            return

    def rules_of(self, block: NFTablesBlock, part: str) -> list[NFTRule]:
        """Return the rules that are for a part of the service port, in their order."""
        if block.fragment.name not in self._rules:
            found: dict[str, list[NFTRule]] = {}
            for made, own in block.objects_and_parts():
                if isinstance(made, NFTRule):
                    found.setdefault(own, []).append(made)
            self._rules[block.fragment.name] = found
        return self._rules[block.fragment.name].get(part, [])

    @cached_property
    def _rules(self) -> dict[FragmentName, dict[str, list[NFTRule]]]:
        return {}

    def postrouting(self, way: Way) -> Iterator[ModeLine]:
        yield self.jump(names.MASQUERADING)
        rules = [made for made in self.fixed_rules() if made.chain == names.MASQUERADING]
        if self.is_marked(way):
            yield self.line(rules[0])
            return
        yield self.line(rules[1])
        if (element := self.hairpin(way)) is not None:
            yield self.line(element)

    def jump(self, target: str, hook: str = "") -> ModeLine:
        """Return the rule of a hook that leads to a chain; without a hook the last such rule."""
        found = [
            made
            for made in self.fixed_rules()
            if made.text.endswith(f"jump {target}") and hook in ("", made.chain)
        ]
        return self.line(found[-1])

    def services(self, container: str) -> ModeLine:
        return self.rule(names.SERVICES, container)

    def rule(self, chain: str, container: str) -> ModeLine:
        """Return the rule of a chain that looks into a set or map."""
        rules = (made for made in self.fixed_rules() if made.chain == chain)
        wanted = f"@{container}"
        return self.line(next(made for made in rules if wanted in made.text.split(" ")))

    def fixed_rules(self) -> Iterator[NFTRule]:
        return (made for made in self.ruleset.fixed.objects if isinstance(made, NFTRule))

    def line(self, made: NFTRule | NFTElement) -> ModeLine:
        return ModeLine("nft", made.add(str(self.ruleset.table)).rstrip("\n"))


def _refuse(verdict: Refuse, lines: tuple[ModeLine, ...], remarks: tuple[Remark, ...]) -> Account:
    stage = Stage(None, lines, f"the destination {verdict.reason}")
    return Account((Passage(verdict, Fraction(1), 1.0, None, (stage,)),), remarks=remarks)
