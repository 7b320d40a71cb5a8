"""The tables of nf_tables of a machine, as ``nft list ruleset`` prints them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from svcnet.errors import ApplyError
from svcnet.meaning.aims import RuleAims
from svcnet.meaning.comparison.cells import RuleNames
from svcnet.meaning.ends import Ends, PacketGroup
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Leaf
from svcnet.meaning.nftables.aims import aims
from svcnet.meaning.nftables.names import RuleWords
from svcnet.meaning.nftables.reach import PortRule, port_rules, protocols
from svcnet.meaning.nftables.reading import RuleReader
from svcnet.meaning.nftables.steps import special_networks
from svcnet.meaning.nftables.tables import (
    HookChain,
    NFTLine,
    NFTMember,
    NFTTables,
    is_for_services,
    tables_of,
)
from svcnet.meaning.nftables.walk import NFTWalk
from svcnet.meaning.outcome import RuleLine
from svcnet.meaning.outcomes import RuleText
from svcnet.meaning.rule_ways import RuleWays
from svcnet.meaning.spans import Span
from svcnet.netfilter.nft import (
    ListingError,
    NFTState,
    ScriptError,
    load,
    read_document,
    read_listing,
)

_SCRIPT = re.compile(r"\A(?:\s|#.*\n)*(?:add|create|delete|destroy|flush) ")
_OUT = frozenset(("oif", "oifname"))
_TYPES = frozenset(("unicast", "broadcast", "multicast", "anycast"))
_DOCUMENT = re.compile(r'\s*\{\s*"nftables"')


def read(text: str, facts: Facts | None = None, *, file: str = "") -> NFTRuleSet:
    """Return the rules in what ``nft list ruleset`` printed, as text or as JSON.

    Or in lines for ``nft -f``, as they leave a machine that had no table. `facts` are what the
    rules ask of the machine. `file` is the name that rules are told by.
    Raises :class:`svcnet.errors.ApplyError` for what is cut off or no such listing.
    """
    return NFTRuleSet.of(read_tables(text, file), facts or Facts(), file)


def read_tables(text: str, file: str = "") -> NFTState:
    """Return the tables in a text that :func:`read` takes. Raises as that does."""
    try:
        if is_script(text):
            return load(NFTState(), text)
        return read_document(text) if is_document(text) else read_listing(text)
    except (ListingError, ScriptError) as error:
        raise ApplyError(f"{file or 'nft list ruleset'}: {error}") from None


def is_script(text: str) -> bool:
    """Return whether a text is of lines for ``nft -f`` that begin with a verb."""
    return _SCRIPT.search(text) is not None


def is_document(text: str) -> bool:
    """Return whether a text is what ``nft -j`` prints."""
    return _DOCUMENT.match(text) is not None


class NFTRuleSet(RuleWays):
    """Rules of nf_tables for one IP family, and what they do to packets. It does not change."""

    mode = "nftables"

    def __init__(self, tables: NFTTables, facts: Facts, file: str = "") -> None:
        self.facts = facts
        self.file = file
        self._tables = tables
        self._words = RuleWords(tables.containers)
        self._reader = RuleReader(tables, facts.family)

    @classmethod
    def of(cls, state: NFTState, facts: Facts, file: str = "") -> NFTRuleSet:
        """Return the rules of the tables that packets of a family meet."""
        return cls(tables_of(state, facts.family), facts, file)

    def without_own(self) -> NFTRuleSet:
        """Return the same without the table for Services."""
        tables = self._tables
        hooks = {
            hook: tuple(each for each in chains if not is_for_services(each.table))
            for hook, chains in tables.hooks.items()
        }
        rules = {
            place: lines for place, lines in tables.rules.items() if not is_for_services(place[0])
        }
        return NFTRuleSet(tables._replace(rules=rules, hooks=hooks), self.facts, self.file)

    def walk(self, packets: PacketGroup) -> NFTWalk:
        """Return the way of some packets through the rules.

        :meta private:
        """
        return NFTWalk(packets, self.facts, self._ends, self._tables, self._reader)

    @cached_property
    def aims(self) -> RuleAims:
        """The rules of others that decide, with what they are for."""
        return aims(self._tables, self._words)

    def names(self) -> RuleNames:
        """Return what any rule names: destinations with protocol and port, ranges of addresses."""
        keys: dict[tuple[int, str, int], None] = {}
        networks: dict[Span, None] = {}
        sets: dict[frozenset[int], None] = {}
        if self._tables.hooks.get("egress"):
            networks.update(dict.fromkeys(self.facts.interfaces))
        for rule in self._rules():
            networks.update(dict.fromkeys(self._networks_of(rule)))
        for named in self._words.each_once(self._rules()):
            alone: set[int] = set()
            for addresses, protocol, ports in named.all:
                if addresses is None:
                    continue
                first, last = addresses
                if first != last:
                    networks[addresses] = None
                elif ports is None or named.of_some:
                    alone.add(first)
                elif ports[0] == ports[1]:
                    keys.update(dict.fromkeys((first, p, ports[0]) for p in protocols(protocol)))
                else:
                    networks[addresses] = None
            sets[frozenset(alone)] = None
        return RuleNames(list(keys), list(networks), [some for some in sets if some])

    @cached_property
    def _ends(self) -> Ends:
        """What is known of how packets end once they are translated."""
        networks: set[Span] = set()
        ports: set[Span] = set()
        asks_for_origin = False
        if self._tables.hooks.get("egress"):
            networks.update(self.facts.interfaces)
        for rule in self._late_rules():
            asks_for_origin |= "original" in rule.words
            networks.update(self._networks_of(rule))
        for named in self._words.each_once(self._late_rules()):
            networks.update(named.addresses())
            ports.update(each.ports for each in named.all if each.ports is not None)
        return Ends(networks, ports, asks_for_origin=asks_for_origin)

    def _networks_of(self, rule: NFTLine) -> Iterable[Span]:
        """Return the networks that a rule tells apart by routes and not by name."""
        found = set(self.facts.interfaces) if not _OUT.isdisjoint(rule.words) else set()
        if "fib" in rule.words and not _TYPES.isdisjoint(rule.words):
            found.update((at, at) for span in self.facts.interfaces for at in span)
            found.update(special_networks(self.facts.family))
        return found

    def _late_rules(self) -> Iterator[NFTLine]:
        """Yield the rules that packets can meet once it is known where they go."""
        # What the node sends to itself comes in once more.
        hooks = self._tables.hooks
        waiting = [each for hook, there in hooks.items() if hook != "output" for each in there]
        places = [(each.table, each.chain) for each in waiting]
        seen: set[tuple[str, str]] = set()
        while places:
            place = places.pop()
            if place in seen:
                continue
            seen.add(place)
            for rule in self._tables.rules.get(place, ()):
                yield rule
                places += [(rule.table, name) for name in self._words.chains_of(rule)]

    def ports(self, address: int) -> Mapping[str, set[Span]]:
        """Return the ports that rules name which are not for one other address, by protocol."""
        found: dict[str, set[Span]] = {}
        for rule in self._port_rules:
            if rule.reach.has(address, self.facts):
                for protocol, span in rule.ports:
                    for each in protocols(protocol):
                        found.setdefault(each, set()).add(span)
        return found

    @cached_property
    def _port_rules(self) -> list[PortRule]:
        return list(port_rules(self._tables, self._words))

    def _rules(self) -> Iterator[NFTLine]:
        for rules in self._tables.rules.values():
            yield from rules

    def deciding(self, leaf: Leaf) -> object | None:
        """Return the rule that made packets end so, None if none did."""
        if leaf.rule is not None:
            return leaf.rule
        wanted = ("dnat",) if leaf.kind == "deliver" else ("masquerade", "snat")
        return _last_with(wanted, leaf.flow.path)

    def causes(self, kind: str, leaves: Iterable[Leaf]) -> list[object]:
        """Return the rules that make a difference of a kind, each once."""
        if kind in ("missing endpoint", "wrong weight"):
            return list(dict.fromkeys(each for leaf in leaves for each in self._choice(leaf)))
        is_hidden = kind in ("source not kept", "wrong source")
        wanted = ("masquerade", "snat") if is_hidden else ()
        found = dict.fromkeys(
            _last_with(wanted, leaf.flow.path) or self.deciding(leaf) for leaf in leaves
        )
        return [rule for rule in found if rule is not None]

    def _choice(self, leaf: Leaf) -> Iterator[object]:
        """Yield what chooses among endpoints: of a map the rule that asks it, and what led there.

        None of its elements, for each of them is right.
        """
        decides = self.deciding(leaf)
        if isinstance(decides, NFTMember):
            before = leaf.flow.path[: leaf.flow.path.index(decides)]
            led = [each for each in before if isinstance(each, NFTMember)]
            yield from led[-1:]
            decides = before[-1]
        if decides is not None:
            yield decides

    def is_own(self, rule: object) -> bool:
        """Return whether a rule is one of those for Services."""
        return isinstance(rule, NFTLine | NFTMember) and is_for_services(rule.table)

    def is_foreign(self, leaf: Leaf) -> bool:
        """Return whether it was a rule of somebody else that made packets end so."""
        rule = self.deciding(leaf)
        return rule is not None and not self.is_own(rule)

    def texts(self) -> Iterator[tuple[RuleText, object]]:
        """Yield what every rule, policy and element says, and which it is."""
        for hook, chains in self._tables.hooks.items():
            for chain in chains:
                said = f"{chain.type} {hook} {chain.priority} {chain.policy} {chain.devices}"
                yield (chain.table, chain.chain, said), chain
        for rule in self._rules():
            yield (rule.table, rule.chain, rule.text), rule
        for (table, name), held in self._tables.containers.items():
            for key, value in held.elements.items():
                element = NFTMember(table, name, key, value, held.lines.get(key, 0))
                yield (table, f"@{name}", f"{key} : {value}"), element

    def line_of(self, rule: object) -> RuleLine:
        """Return where a rule is; of a chain, its policy."""
        if isinstance(rule, HookChain):
            return RuleLine(rule.table, rule.chain, f"(policy {rule.policy})", 0, self.file)
        if isinstance(rule, NFTMember):
            text = f"{{ {rule.key} : {rule.value} }}"
            return RuleLine(rule.table, f"@{rule.container}", text, rule.line, self.file)
        assert isinstance(rule, NFTLine)
        return RuleLine(rule.table, rule.chain, rule.text, rule.line, self.file)


def _last_with(wanted: Sequence[str], path: Sequence[object]) -> NFTLine | NFTMember | None:
    """Return the last rule on a way that has one of some words, or the element that it took."""
    after: object = None
    for each in reversed(path):
        if isinstance(each, NFTLine) and not set(wanted).isdisjoint(each.words):
            return after if isinstance(after, NFTMember) else each
        after = each
    return None
