"""The rules of a machine that lead to a userspace proxy, and what the proxy serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from svcnet.errors import ApplyError
from svcnet.graph import Packet
from svcnet.meaning import iptables
from svcnet.meaning.aims import RuleAims
from svcnet.meaning.comparison.cells import RuleNames
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Leaf, Meetings
from svcnet.meaning.iptables.aims import is_for_services
from svcnet.meaning.iptables.rule import XTRule
from svcnet.meaning.iptables.walk import Walk
from svcnet.meaning.outcome import FoundOutcome, RuleLine
from svcnet.meaning.outcomes import RuleText, outcomes_of
from svcnet.meaning.sources import Endpoint, Sources
from svcnet.meaning.spans import Span
from svcnet.meaning.userspace.table import ListenerEntry, ListenerTable, read_tables
from svcnet.meaning.userspace.walk import NO_TABLE, Dialer, ProxyWalk
from svcnet.renderers.userspace.portals import CHAINS

TABLE = "proxy"
"""What stands in the place of a table for what a proxy does."""

_SERVED_ALIKE = ("stale endpoint", "missing endpoint", "wrong endpoint", "wrong weight", "affinity")


def read(
    rules: str,
    facts: Facts | None = None,
    *,
    table: str | None = None,
    file: str = "",
    table_file: str = "",
) -> ProxyRuleSet:
    """Return the rules that iptables-save printed, and the proxy's table in a JSON document.

    `facts` are what the rules ask of the machine. `file` and `table_file` are the names that lines
    are told by. Raises :class:`svcnet.errors.ApplyError` for what cannot be read, and for a table
    of the other IP family.
    """
    facts = facts or Facts()
    found = None
    if table is not None:
        name = table_file or "the table"
        tables = {each.family: each for each in read_tables(name, table)}
        found = tables.get(facts.family)
        if found is None:
            raise ApplyError(f"{name}: it has no table of {facts.family}")
    return ProxyRuleSet(iptables.read(rules, facts, file=file), found)


class ProxyRuleSet:
    """Rules and the proxy behind them, and what they do to packets. It does not change.

    Without a table nobody can say what becomes of what the proxy takes.
    """

    mode = "userspace"

    def __init__(self, rules: iptables.RuleSet, table: ListenerTable | None) -> None:
        self.facts = rules.facts
        self.rules = rules
        self.table = table
        self._dialer = Dialer(self.facts.addresses, self._onward)

    def evaluate(self, packet: Packet) -> tuple[FoundOutcome, ...]:
        """Return every possible outcome for `packet`; the probabilities add up to 1."""
        return outcomes_of(self, packet)

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
        met: set[object] | None = None,
    ) -> list[Leaf]:
        """Return how packets of many senders to one destination end."""
        walk = ProxyWalk(
            tables=self.rules.tables,
            facts=self.facts,
            lists=self.rules.lists,
            sources=sources,
            address=address,
            protocol=protocol,
            port=port,
            ends=self.rules.ends,
            state=state,
            notes=notes,
            meetings=None if met is None else Meetings(self.aims, met),
        )
        walk.listeners = None if self.table is None else self.table.listeners
        walk.ports = self._ports
        walk.dial = self._dialer.dial
        return walk.leaves(is_node=is_node)

    def _onward(self, sources: Sources, protocol: str, endpoint: Endpoint) -> list[Leaf]:
        """Return how packets end that the proxy itself sends to an endpoint."""
        walk = Walk(
            tables=self.rules.tables,
            facts=self.facts,
            lists=self.rules.lists,
            sources=sources,
            address=endpoint[0],
            protocol=protocol,
            port=endpoint[1],
            ends=self.rules.ends,
        )
        return walk.leaves(is_node=True)

    @cached_property
    def _ports(self) -> frozenset[tuple[str, int]]:
        """The ports that rules for Services lead to, with their protocols."""
        found: set[tuple[str, int]] = set()
        for name in CHAINS["nat"]:
            chain = self.rules.tables.get("nat", {}).get(name)
            for rule in chain.rules if chain is not None else ():
                _, port = rule.endpoint
                protocol = rule.key[1] if rule.key else rule.portal[0] if rule.portal else ""
                if rule.action in ("dnat", "redirect") and port is not None and protocol:
                    found.add((protocol, port))
        return frozenset(found)

    @property
    def aims(self) -> RuleAims:
        """The rules of others that decide, with what they are for."""
        return self.rules.aims

    def without_own(self) -> iptables.RuleSet:
        """Return the rules alone, without those for Services."""
        return self.rules.without_own()

    def names(self) -> RuleNames:
        """Return what any rule names: destinations with protocol and port, ranges of addresses."""
        return self.rules.names()

    def ports(self, address: int) -> Mapping[str, set[Span]]:
        """Return the ports that rules name which are not for one other address, and the proxy's."""
        found = {name: set(spans) for name, spans in self.rules.ports(address).items()}
        if self.table is not None and self.facts.is_local(address):
            for protocol, port in self.table.listeners:
                found.setdefault(protocol, set()).add((port, port))
        return found

    def deciding(self, leaf: Leaf) -> object | None:
        """Return the rule that made packets end so, or brought them to the proxy, None if none."""
        if isinstance(leaf.rule, ListenerEntry):
            return self._leading(leaf) or leaf.rule
        return self.rules.deciding(leaf)

    def _leading(self, leaf: Leaf) -> XTRule | None:
        """Return the rule that brought packets to the proxy, None for those sent there."""
        for rule in reversed(leaf.flow.path):
            if isinstance(rule, XTRule) and rule.action in ("dnat", "redirect"):
                return rule
        return None

    def causes(self, kind: str, leaves: Iterable[Leaf]) -> list[object]:
        """Return what makes a difference of a kind, each once."""
        found: dict[object, None] = {}
        for leaf in leaves:
            served = [each for each in leaf.flow.path if isinstance(each, ListenerEntry)]
            leading = self._leading(leaf)
            if not served:
                found.update(dict.fromkeys(self.rules.causes(kind, [leaf])))
                continue
            if leading is not None and kind not in _SERVED_ALIKE:
                found[leading] = None
            found.update(dict.fromkeys(served))
        return list(found)

    def is_own(self, rule: object) -> bool:
        """Return whether a rule is one of those for Services."""
        return self.rules.is_own(rule)

    def is_foreign(self, leaf: Leaf) -> bool:
        """Return whether it was a rule of somebody else that made packets end so."""
        if isinstance(leaf.rule, ListenerEntry):
            leading = self._leading(leaf)
            return leading is not None and not is_for_services(leading.home)
        return self.rules.is_foreign(leaf)

    def texts(self) -> Iterator[tuple[RuleText, object]]:
        """Yield what every listener and rule says, and which it is."""
        if self.table is not None:
            for each in self.table.listeners.values():
                yield (TABLE, "", each.text), each
        yield from self.rules.texts()

    def line_of(self, rule: object) -> RuleLine:
        """Return where a rule or listener is; of a chain, its policy."""
        if isinstance(rule, ListenerEntry):
            file = "" if self.table is None else self.table.file
            return RuleLine(TABLE, "", rule.text, rule.line, file)
        if rule is NO_TABLE:
            return RuleLine(TABLE, "", NO_TABLE)
        return self.rules.line_of(rule)
