"""The rules of a machine for one IP family, as iptables-save prints them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property, partial

from svcnet.graph import Packet
from svcnet.meaning import spans
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Leaf
from svcnet.meaning.iptables.chain import Chain
from svcnet.meaning.iptables.parse import parse
from svcnet.meaning.iptables.rule import Action, XTRule
from svcnet.meaning.iptables.walk import Tables, Walk
from svcnet.meaning.outcome import FoundOutcome, RuleLine
from svcnet.meaning.outcomes import outcomes
from svcnet.meaning.sources import Endpoint, Memory, OneSender, Sender, Sources
from svcnet.netfilter.listing import Listing, whole_listing

_COUNTERS = re.compile(r"^\[\d+:\d+\] (?=-A )", re.MULTILINE)
_SET = " --set "


def read(text: str, facts: Facts | None = None, *, file: str = "") -> RuleSet:
    """Return the rules in what iptables-save or ip6tables-save printed, with counters or without.

    `facts` are what the rules ask of the machine. `file` is the name that rules are told by.
    Raises :class:`svcnet.errors.ApplyError` for what is cut off or no such listing.
    """
    if "\n[" in text:
        text = _COUNTERS.sub("", text)
    listing = whole_listing(text, file or "iptables-save")
    return RuleSet(listing, facts or Facts(), text, file)


class RuleSet:
    """Rules, and what they do to packets. It does not change."""

    def __init__(self, listing: Listing, facts: Facts, text: str = "", file: str = "") -> None:
        self.facts = facts
        self.file = file
        self._text = text
        self.tables: Tables = {
            table: self._chains(table, chains, listing.policies, facts)
            for table, chains in listing.tables.items()
        }

    @staticmethod
    def _chains(
        table: str,
        chains: Mapping[str, list[str]],
        policies: Mapping[tuple[str, str], str],
        facts: Facts,
    ) -> dict[str, Chain]:
        make = partial(parse, chains=chains, sets=facts.sets)
        return {
            name: Chain(table, name, rules, make, policies.get((table, name), ""))
            for name, rules in chains.items()
        }

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
        walk = Walk(
            *(self.tables, self.facts, self.lists, sources, address, protocol, port),
            state=state,
            notes=notes,
        )
        return walk.leaves(is_node=is_node)

    @cached_property
    def lists(self) -> Mapping[str, frozenset[Endpoint]]:
        """For each list of ``recent`` the endpoints that a client is sent to who is put on it."""
        found: dict[str, set[Endpoint]] = {}
        for chain in self.tables.get("nat", {}).values():
            for place, text in enumerate(chain.texts):
                if _SET in text and " -m recent " in f" {text}":
                    rule = chain.rules[place]
                    name = _list(text)
                    address, port = rule.endpoint
                    if rule.action is Action.DNAT and address is not None and port is not None:
                        found.setdefault(name, set()).add((address, port))
        return {name: frozenset(endpoints) for name, endpoints in found.items()}

    def rules(self) -> Iterator[XTRule]:
        """Yield every rule of every table."""
        for chains in self.tables.values():
            for chain in chains.values():
                yield from chain.rules

    def line_of(self, rule: object) -> RuleLine:
        """Return where a rule is; of a chain, its policy."""
        if isinstance(rule, Chain):
            line = self._line(f":{rule.name} ", self._start(rule.table))
            return RuleLine(rule.table, rule.name, f"(policy {rule.policy})", line, self.file)
        assert isinstance(rule, XTRule)
        chain = self.tables[rule.table][rule.home]
        at = self._start(rule.table)
        for text in chain.texts[: rule.place + 1]:
            found = self._text.find(f"\n-A {rule.home} {text}", at)
            if found < 0:
                return RuleLine(rule.table, rule.home, rule.text, 0, self.file)
            at = found + 1
        line = self._text.count("\n", 0, at) + 1
        return RuleLine(rule.table, rule.home, rule.text, line, self.file)

    def _start(self, table: str) -> int:
        head = f"*{table}\n"
        return 0 if self._text.startswith(head) else max(self._text.find(f"\n{head}"), 0)

    def _line(self, start: str, at: int) -> int:
        found = self._text.find(f"\n{start}", at)
        return 0 if found < 0 else self._text.count("\n", 0, found) + 2


def _list(text: str) -> str:
    """Return the name of the list of a rule with ``recent``."""
    _, found, rest = f" {text} ".partition(" --name ")
    return rest.partition(" ")[0] if found else "DEFAULT"


def _endpoint(text: str) -> Endpoint:
    address, _, port = text.rpartition(":")
    return spans.number(address.strip("[]")), int(port)
