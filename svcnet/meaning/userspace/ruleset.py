"""The rules of a machine that lead to a userspace proxy, and what the proxy serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from svcnet.errors import ApplyError
from svcnet.meaning import iptables
from svcnet.meaning.ends import PacketGroup
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Leaf
from svcnet.meaning.iptables.aims import is_for_services
from svcnet.meaning.iptables.around import RulesAround
from svcnet.meaning.iptables.rule import XTRule
from svcnet.meaning.outcome import RuleLine
from svcnet.meaning.outcomes import RuleText
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


class ProxyRuleSet(RulesAround):
    """Rules and the proxy behind them, and what they do to packets. It does not change.

    Without a table nobody can say what becomes of what the proxy takes.
    """

    mode = "userspace"

    def __init__(self, rules: iptables.RuleSet, table: ListenerTable | None) -> None:
        super().__init__(rules)
        self.table = table
        self._dialer = Dialer(self.facts.addresses, self._onward)

    def walk(self, packets: PacketGroup) -> ProxyWalk:
        """Return the way of some packets through the rules and past the proxy.

        :meta private:
        """
        listeners = None if self.table is None else self.table.listeners
        return ProxyWalk(packets, self.rules, listeners, self._ports, self._dialer.dial)

    def _onward(self, sources: Sources, protocol: str, endpoint: Endpoint) -> list[Leaf]:
        """Return how packets end that the proxy itself sends to an endpoint."""
        address, port = endpoint
        return self.rules.leaves(sources, address, protocol, port, is_node=True)

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

    def ports(self, address: int) -> Mapping[str, set[Span]]:
        """Return the ports that rules name which are not for one other address, and the proxy's."""
        found = {name: set(spans) for name, spans in super().ports(address).items()}
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

    def causes_beside(self, kind: str, leaf: Leaf) -> list[object]:
        """Return the listeners that make a difference of a kind, with the rule that led there.

        :meta private:
        """
        served: list[object] = [each for each in leaf.flow.path if isinstance(each, ListenerEntry)]
        leading = self._leading(leaf)
        if not served or leading is None or kind in _SERVED_ALIKE:
            return served
        return [leading, *served]

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
        yield from super().texts()

    def line_of(self, rule: object) -> RuleLine:
        """Return where a rule or listener is; of a chain, its policy."""
        if isinstance(rule, ListenerEntry):
            file = "" if self.table is None else self.table.file
            return RuleLine(TABLE, "", rule.text, rule.line, file)
        if rule is NO_TABLE:
            return RuleLine(TABLE, "", NO_TABLE)
        return super().line_of(rule)
