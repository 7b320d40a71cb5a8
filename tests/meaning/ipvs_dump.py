"""What a machine would print that has what svcnet renders for mode ipvs."""

from __future__ import annotations

from attrs import evolve, frozen

from svcnet.graph import RuleGraph
from svcnet.meaning import Facts, ipvs, spans
from svcnet.meaning.ipsets import read_sets
from svcnet.netfilter.jumps import text_on_clean_machine
from svcnet.renderers.ipvs import full, section
from svcnet.renderers.ipvs.rules import JUMPS
from svcnet.testing import FakeIPTables


@frozen
class Dump:
    """Virtual servers, rules and sets as text, and the addresses on the device for Services."""

    servers: str
    rules: str
    sets: str
    held: tuple[str, ...]

    @classmethod
    def of(cls, graph: RuleGraph) -> Dump:
        """Return what there is once a graph is rendered and applied."""
        tables = full(graph)
        machine = FakeIPTables(graph.settings.family)
        machine.restore(section(tables, "iptables"))
        machine.restore(text_on_clean_machine(JUMPS, ("nat", "filter")))
        return cls(
            section(tables, "ipvsadm"),
            machine.save(),
            section(tables, "ipset").replace(" -exist", ""),
            tables.addresses,
        )

    def read(self, graph: RuleGraph) -> ipvs.IPVSRuleSet:
        """Return the interpreter of it."""
        facts = Facts.of(graph.settings)
        own = frozenset(map(spans.number, self.held))
        facts = evolve(
            facts, addresses=facts.addresses | own, sets=read_sets("ipset save", self.sets)
        )
        return ipvs.read(self.servers, self.rules, facts)
