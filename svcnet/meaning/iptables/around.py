"""Rules of iptables with something beside them that has a say in where packets go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from svcnet.meaning.aims import RuleAims
from svcnet.meaning.comparison.cells import RuleNames
from svcnet.meaning.flow import Leaf
from svcnet.meaning.iptables.ruleset import RuleSet
from svcnet.meaning.outcome import RuleLine
from svcnet.meaning.outcomes import RuleText
from svcnet.meaning.rule_ways import RuleWays
from svcnet.meaning.spans import Span


class RulesAround(RuleWays):
    """What a machine's ``rules`` say, for those that have something beside them."""

    def __init__(self, rules: RuleSet) -> None:
        self.facts = rules.facts
        self.rules = rules

    @property
    def aims(self) -> RuleAims:
        """The rules of others that decide, with what they are for."""
        return self.rules.aims

    def without_own(self) -> RuleSet:
        """Return the rules alone, without those for Services."""
        return self.rules.without_own()

    def names(self) -> RuleNames:
        """Return what is named: destinations with protocol and port, ranges of addresses."""
        return self.rules.names()

    def ports(self, address: int) -> Mapping[str, set[Span]]:
        """Return the ports that are named which are not for one other address, by protocol."""
        return self.rules.ports(address)

    def causes(self, kind: str, leaves: Iterable[Leaf]) -> list[object]:
        """Return what makes a difference of a kind, each once."""
        found: dict[object, None] = {}
        for leaf in leaves:
            beside = self.causes_beside(kind, leaf)
            found.update(dict.fromkeys(beside or self.rules.causes(kind, [leaf])))
        return list(found)

    def causes_beside(self, kind: str, leaf: Leaf) -> list[object]:
        """Return what makes a difference of a kind that rules alone do not make.

        :meta private:
        """
        raise NotImplementedError

    def is_own(self, rule: object) -> bool:
        """Return whether a rule is one of those for Services."""
        return self.rules.is_own(rule)

    def texts(self) -> Iterator[tuple[RuleText, object]]:
        """Yield what every rule says, and which it is."""
        return self.rules.texts()

    def line_of(self, rule: object) -> RuleLine:
        """Return where a rule is; of a chain, its policy."""
        return self.rules.line_of(rule)
