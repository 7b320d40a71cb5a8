"""What the rules of others are for, of those that decide what becomes of packets."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.meaning.aims import RuleAim, RuleAims
from svcnet.meaning.facts import Facts
from svcnet.meaning.iptables.chain import Chain
from svcnet.meaning.iptables.places import CALLED, places_of
from svcnet.meaning.iptables.rule import InSet, OriginallyTo, ToNetwork, ToPort, XTRule
from svcnet.meaning.iptables.walk import Tables

_REFUSALS = frozenset(("drop", "reject"))
_DECISIONS = frozenset(("accept", *_REFUSALS, "dnat", "snat", "redirect", "unknown"))


def aims(tables: Tables, facts: Facts) -> RuleAims:
    """Return the rules of others that decide, with the destinations that they name.

    A rule in a chain is for what the rule names that leads there, if it names nothing itself.
    """
    found: dict[object, RuleAim] = {}
    seen: set[tuple[str, str, RuleAim]] = set()
    waiting = [
        (chain, RuleAim())
        for chains in tables.values()
        for chain in chains.values()
        if (chain.policy or chain.name in CALLED) and not is_for_services(chain.name)
    ]
    while waiting:
        chain, led = waiting.pop()
        if (chain.table, chain.name, led) in seen:
            continue
        seen.add((chain.table, chain.name, led))
        for rule in chain.rules:
            aim = _aim(rule, facts) or led
            if rule.action in ("jump", "goto"):
                if not is_for_services(rule.chain) and rule.chain in tables[rule.table]:
                    waiting.append((tables[rule.table][rule.chain], aim))
            elif aim and _decides(rule, chain):
                found[rule] = _join(found.get(rule, RuleAim()), aim, rule.action in _REFUSALS)
    return found


def is_for_services(chain: str) -> bool:
    """Return whether a chain is one of kube-proxy's."""
    return chain.startswith("KUBE-")


def _decides(rule: XTRule, chain: Chain) -> bool:
    """Return whether packets that match a rule go no further in its table, or change."""
    is_called = bool(chain.policy) or chain.name in CALLED
    return rule.action in _DECISIONS or (rule.action == "return" and is_called)


def _join(one: RuleAim, other: RuleAim, refuses: bool) -> RuleAim:
    return RuleAim((*one.addresses, *other.addresses), (*one.ports, *other.ports), refuses)


def _aim(rule: XTRule, facts: Facts) -> RuleAim:
    """Return the destinations that a rule names, but for those that it leaves out."""
    places = [place for test in _positive(rule) for place in places_of(test, facts)]
    addresses = tuple(place.addresses for place in places if place.addresses is not None)
    ports = tuple(place.ports for place in places if place.ports is not None)
    return RuleAim(addresses, () if addresses else ports)


def _positive(rule: XTRule) -> Iterator[ToNetwork | ToPort | OriginallyTo | InSet]:
    for test in rule.tests:
        if isinstance(test, ToNetwork | ToPort | OriginallyTo | InSet) and not test.is_negated:
            yield test
