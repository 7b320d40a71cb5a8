"""The virtual servers of a machine for one IP family, and the rules around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import evolve

from svcnet.meaning import iptables
from svcnet.meaning.comparison.cells import RuleNames
from svcnet.meaning.ends import PacketGroup
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Leaf
from svcnet.meaning.iptables.aims import is_for_services
from svcnet.meaning.iptables.around import RulesAround
from svcnet.meaning.iptables.rule import XTRule
from svcnet.meaning.iptables.ruleset import early_exit
from svcnet.meaning.ipvs.servers import KernelServers
from svcnet.meaning.ipvs.walk import IPVSWalk
from svcnet.meaning.outcome import RuleLine
from svcnet.meaning.outcomes import RuleText
from svcnet.meaning.spans import number
from svcnet.netfilter.ipvs.listing import SavedDest, SavedServer, read_listing
from svcnet.netfilter.ipvs.messages import ServiceKey

TABLE = "ipvs"
"""What stands in the place of a table for a line of ipvsadm."""


def read(
    servers: str, rules: str, facts: Facts | None = None, *, file: str = "", rules_file: str = ""
) -> IPVSRuleSet:
    """Return the virtual servers that ``ipvsadm -Sn`` printed, and the rules of iptables-save.

    `facts` are what the rules ask of the machine: its addresses, those of Services among them, and
    the sets of ipset. `file` and `rules_file` are the names that lines are told by. Raises
    :class:`svcnet.errors.ApplyError` for what is cut off or no such listing.
    """
    facts = evolve(facts or Facts(), balances=True)
    saved = read_listing(servers, file or "ipvsadm -Sn")
    return IPVSRuleSet(saved, iptables.read(rules, facts, file=rules_file), file)


class IPVSRuleSet(RulesAround):
    """Virtual servers and rules, and what they do to packets. It does not change."""

    mode = "ipvs"

    def __init__(
        self, saved: Sequence[SavedServer], rules: iptables.RuleSet, file: str = ""
    ) -> None:
        super().__init__(rules)
        self.file = file
        self.servers = KernelServers(saved, self.facts.family)
        self._prefix = "KUBE-" if self.facts.family == "IPv4" else "KUBE-6-"

    def walk(self, packets: PacketGroup) -> IPVSWalk:
        """Return the way of some packets through the rules and past the virtual servers.

        :meta private:
        """
        return IPVSWalk(packets, self.rules, self.servers)

    def names(self) -> RuleNames:
        """Return what is named: destinations with protocol and port, ranges of addresses."""
        found = super().names()
        portals = list(self.servers.portals())
        keys = dict.fromkeys([*found.keys, *(each for each in portals if each[2])])
        networks = dict.fromkeys(found.networks)
        networks.update({(each[0], each[0]): None for each in portals if not each[2]})
        return RuleNames(list(keys), list(networks), found.sets)

    def deciding(self, leaf: Leaf) -> object | None:
        """Return the rule or the server that made packets end so, None if none did."""
        rules = [rule for rule in leaf.flow.path if isinstance(rule, XTRule)]
        early = early_exit(rules)
        if early is not None and not is_for_services(early.home):
            return early
        if leaf.rule is not None:
            return leaf.rule
        dests = (each for each in leaf.flow.path if isinstance(each, SavedDest))
        return next(dests, None) or self.rules.deciding(leaf)

    def causes_beside(self, kind: str, leaf: Leaf) -> list[object]:
        """Return the virtual and real servers that make a difference of a kind.

        :meta private:
        """
        servers = [each for each in leaf.flow.path if isinstance(each, SavedServer)]
        dests = [each for each in leaf.flow.path if isinstance(each, SavedDest)]
        if kind == "wrong scheduler":
            return [*servers]
        if kind in ("wrong weight", "stale endpoint", "wrong endpoint", "affinity"):
            return [*servers[: kind == "affinity"], *dests]
        return [leaf.rule] if isinstance(leaf.rule, SavedServer | SavedDest) else []

    def is_own(self, rule: object) -> bool:
        """Return whether a rule or server is one of those for Services."""
        match rule:
            case SavedServer():
                return self._is_own(rule.service.key)
            case SavedDest():
                return self._is_own(rule.server)
        return super().is_own(rule)

    def _is_own(self, key: ServiceKey) -> bool:
        """Return whether a virtual server is in a set of those that Services have."""
        if key.fwmark:
            return False
        address, protocol = number(key.address), key.protocol.lower()
        for name, members in self.facts.sets.items():
            if not name.startswith(("KUBE-", "KUBE-6-")) or members.parts == ("port",):
                continue
            ways = ("dst",) * min(len(members.parts), 2)
            if len(members.parts) <= 2 and members.senders(ways, address, protocol, key.port):
                return True
        ports = self.facts.sets.get(f"{self._prefix}NODE-PORT-{key.protocol}")
        return (
            ports is not None
            and self.facts.is_local(address)
            and bool(ports.senders(("dst",), address, protocol, key.port))
        )

    def is_foreign(self, leaf: Leaf) -> bool:
        """Return whether it was somebody else's that made packets end so."""
        rule = self.deciding(leaf)
        if isinstance(rule, SavedServer):
            return bool(rule.service.fwmark)
        if isinstance(rule, SavedDest):
            return bool(rule.server.fwmark)
        if isinstance(rule, XTRule) and is_for_services(rule.home):
            return False
        return self.rules.is_foreign(leaf)

    def texts(self) -> Iterator[tuple[RuleText, object]]:
        """Yield what every virtual server, real server and rule says, and which it is."""
        for server in self.servers.listing():
            yield (TABLE, "", server.text), server
            for dest in server.dests:
                yield (TABLE, "", dest.text), dest
        yield from super().texts()

    def line_of(self, rule: object) -> RuleLine:
        """Return where a rule or server is; of a chain, its policy."""
        if isinstance(rule, SavedServer | SavedDest):
            return RuleLine(TABLE, "", rule.text, rule.line, self.file)
        return super().line_of(rule)
