"""The tables of nf_tables of a machine, as ``nft list ruleset`` prints them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from svcnet.errors import ApplyError
from svcnet.family import IPFamily
from svcnet.graph import Packet
from svcnet.meaning import spans
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Leaf
from svcnet.meaning.nftables.walk import HookChain, NFTLine, NFTMembers, NFTTables, NFTWalk
from svcnet.meaning.outcome import FoundOutcome, RuleLine
from svcnet.meaning.outcomes import outcomes
from svcnet.meaning.sources import Endpoint, Memory, OneSender, Sender, Sources
from svcnet.netfilter.nft import ListingError, NFTState, read_listing

_FAMILIES: Mapping[IPFamily, tuple[str, str]] = MappingProxyType(
    {"IPv4": ("ip", "inet"), "IPv6": ("ip6", "inet")}
)


def read(text: str, facts: Facts | None = None, *, file: str = "") -> NFTRuleSet:
    """Return the rules in what ``nft list ruleset`` printed.

    `facts` are what the rules ask of the machine. `file` is the name that rules are told by.
    Raises :class:`svcnet.errors.ApplyError` for what is cut off or no such listing.
    """
    try:
        state = read_listing(text)
    except ListingError as error:
        raise ApplyError(f"{file or 'nft list ruleset'}: {error}") from None
    return NFTRuleSet(state, facts or Facts(), file)


class NFTRuleSet:
    """Rules of nf_tables for one IP family, and what they do to packets. It does not change."""

    mode = "nftables"

    def __init__(self, state: NFTState, facts: Facts, file: str = "") -> None:
        self.facts = facts
        self.file = file
        self._tables = _tables(state, facts.family)

    def evaluate(self, packet: Packet) -> tuple[FoundOutcome, ...]:
        """Return every possible outcome for `packet`; the probabilities add up to 1."""
        remembered = frozenset(map(_endpoint, packet.remembered))
        sender = Sender(spans.number(packet.source), packet.interface, Memory())
        leaves = self.leaves(
            OneSender(sender, remembered),
            spans.number(packet.destination),
            packet.protocol.lower(),
            packet.port,
            is_node=not packet.interface and self.facts.is_local(sender.address),
            notes=True,
        )
        return outcomes(leaves, self.facts.family, self.line_of)

    def leaves(
        self,
        sources: Sources,
        address: int,
        protocol: str,
        port: int,
        *,
        is_node: bool,
        state: str = "NEW",
        notes: bool = False,
    ) -> list[Leaf]:
        """Return how packets of many senders to one destination end."""
        walk = NFTWalk(
            *(self._tables, self.facts, sources, address, protocol, port), state=state, notes=notes
        )
        return walk.leaves(is_node=is_node)

    def line_of(self, rule: object) -> RuleLine:
        """Return where a rule is; of a chain, its policy."""
        if isinstance(rule, HookChain):
            return RuleLine(rule.table, rule.chain, f"(policy {rule.policy})", 0, self.file)
        assert isinstance(rule, NFTLine)
        return RuleLine(rule.table, rule.chain, rule.text, rule.line, self.file)


def _tables(state: NFTState, family: IPFamily) -> NFTTables:
    rules: dict[tuple[str, str], tuple[NFTLine, ...]] = {}
    containers: dict[tuple[str, str], NFTMembers] = {}
    hooks: dict[str, list[HookChain]] = {}
    lists: dict[tuple[str, str], set[Endpoint]] = {}
    for (kind, _), table in state.tables.items():
        if kind not in _FAMILIES[family]:
            continue
        name = str(table)
        for chain in table.chains.values():
            found = tuple(
                NFTLine(name, chain.name, rule.text, rule.line, tuple(rule.text.split()))
                for rule in chain.rules
            )
            rules[name, chain.name] = found
            if chain.hook is not None:
                type_, hook, priority, policy, _ = chain.hook
                hooks.setdefault(hook, []).append(
                    HookChain(priority, name, chain.name, type_, policy)
                )
            for key, endpoint in _lists(found):
                lists.setdefault((name, key), set()).add(endpoint)
        for held in table.sets.values():
            containers[name, held.name] = NFTMembers(
                {element.key: element.value for element in held.elements.values()},
                "dynamic" in held.flags,
                int(held.timeout) if held.timeout else None,
            )
    return NFTTables(
        rules,
        containers,
        {hook: tuple(sorted(chains)) for hook, chains in hooks.items()},
        {key: frozenset(endpoints) for key, endpoints in lists.items()},
    )


def _lists(rules: tuple[NFTLine, ...]) -> list[tuple[str, Endpoint]]:
    """Return the sets that a chain puts clients into, with the endpoint that it sends them to."""
    sets = [rule.words[1][1:] for rule in rules if rule.words[:1] in (("update",), ("add",))]
    places = [rule.words[-1] for rule in rules if rule.words[-3:-1] == ("dnat", "to")]
    return [(name, _endpoint(place)) for name in sets for place in places]


def _endpoint(text: str) -> Endpoint:
    address, _, port = text.rpartition(":")
    return spans.number(address.strip("[]")), int(port)
